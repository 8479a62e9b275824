"""A film by imageio and the ffmpeg in its wheel, and whether it is whole.

ffmpeg that runs out of disk leaves what it has under the name it was given, and imageio does not look at its
exit code: so the frames are counted once more.
"""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from src.errors import UserError


def check_encoder() -> None:
    """Raise UserError where there is no ffmpeg."""
    import imageio_ffmpeg

    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UserError(
            f"films need ffmpeg, and imageio-ffmpeg finds none ({' '.join(str(error).split())}): pip "
            "install imageio-ffmpeg, or choose video.background=[transparent], which makes no film"
        ) from error


def write_film(path: Path, frames: Iterator[UInt8[np.ndarray, "height width 3"]], fps: int) -> None:
    """Write H.264 in an mp4 whose index comes first, so that it plays while it loads.

    Raises OSError if not all of it could be written.
    """
    import imageio.v2 as imageio  # nobody else needs it

    writer: Any = imageio.get_writer(
        path,
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",
        quality=8,
        macro_block_size=1,
        ffmpeg_log_level="error",
        output_params=["-movflags", "+faststart"],
    )
    count = 0
    try:
        for frame in frames:
            writer.append_data(_even(frame))
            count += 1
    finally:
        writer.close()  # as a context it stays open after an error, and ffmpeg would write on
    found = _frames_of(path)
    if found != count:
        raise OSError(errno.EIO, f"ffmpeg left {found} of {count} frames")


def _frames_of(path: Path) -> int:
    import imageio_ffmpeg

    try:
        return int(imageio_ffmpeg.count_frames_and_secs(str(path))[0])
    except RuntimeError:  # nothing in it that plays
        return 0


def _even(frame: UInt8[np.ndarray, "height width 3"]) -> NDArray[np.uint8]:
    """Double the last row or column where their number is odd: yuv420p halves both."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
