"""A film by ffmpeg, which imageio-ffmpeg's wheel brings: frames through a pipe, and its exit code heeded.

ffmpeg that runs out of disk leaves what it has under the name it was given, and says so by that code alone.
"""

import errno
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from src.errors import UserError

CRF = "10"  # of H.264's 0 (lossless) to 51


def encoder() -> str:
    """Where ffmpeg is; raises UserError where there is none."""
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise UserError(
            f"films need ffmpeg, and imageio-ffmpeg finds none ({' '.join(str(error).split())}): pip "
            "install imageio-ffmpeg, or choose video.background=[transparent], which makes no film"
        ) from error


def write_film(path: Path, frames: Iterator[UInt8[np.ndarray, "height width 3"]], fps: int) -> None:
    """Write H.264 in an mp4 whose index comes first, so that it plays while it loads.

    Raises OSError with ffmpeg's last words if it could not write all of it.
    """
    first = _even(next(frames))
    size = f"{first.shape[1]}x{first.shape[0]}"
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(fps), "-i", "-", "-an"]
    made = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", CRF, "-movflags", "+faststart"]
    command = [encoder(), "-y", "-v", "error", *given, *made, str(path)]
    with TemporaryFile() as said:
        # In a session of its own: Ctrl-C is ours to answer.
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said, start_new_session=True) as ffmpeg:
            assert ffmpeg.stdin is not None
            try:
                with suppress(BrokenPipeError):  # it has ended, and its code says how
                    for frame in chain([first], map(_even, frames)):
                        ffmpeg.stdin.write(frame.tobytes())
                with suppress(BrokenPipeError):
                    ffmpeg.stdin.close()
            except BaseException:
                ffmpeg.kill()
                raise
        if ffmpeg.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()
            raise OSError(errno.EIO, words[-1] if words else _ending(ffmpeg.returncode))


def _ending(code: int) -> str:
    killed = signal.strsignal(-code) if code < 0 else None
    return f"ffmpeg ended with {killed or code}"


def _even(frame: UInt8[np.ndarray, "height width 3"]) -> NDArray[np.uint8]:
    """Double the last row or column where their number is odd: yuv420p halves both."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
