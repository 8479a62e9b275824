"""Pictures on the disk, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.export.picture import write_picture

NOISE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.WEBP", {"lossless": True})])
def test_what_is_written_is_read(tmp_path: Path, name: str, options: dict[str, bool]) -> None:
    """Oracle: the pixels themselves, and the format that the name's end promises."""
    write_picture(tmp_path / name, Image.fromarray(NOISE), **options)
    with Image.open(tmp_path / name) as read:
        assert read.format == name[2:].upper()
        assert np.array_equal(np.asarray(read), NOISE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_picture_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    """Oracle: what was there before; PNG has no floating point."""
    write_picture(tmp_path / "a.png", Image.fromarray(NOISE))
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(OSError, match="mode F"):
        write_picture(tmp_path / "a.png", Image.new("F", (2, 2)))
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
