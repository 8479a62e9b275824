"""Pictures on the disk, whole or not at all."""

from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from src.run.checkpoint import write_atomically


def write_picture(path: Path, picture: Image.Image, **options: Any) -> None:
    """Replace a picture at once, in the format that its name ends in (.png, .webp).

    options: what Pillow's writer of that format takes.  Raises OSError if the disk does not take it; what
    was there before then still is.
    """
    file = BytesIO()
    picture.save(file, Image.registered_extensions()[path.suffix.lower()], **options)
    write_atomically(path, file.getvalue())
