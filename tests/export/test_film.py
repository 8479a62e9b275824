"""A film is whole or it is not there."""

import resource
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from src.errors import UserError
from src.export.film import write_film
from src.export.video import replace_file

NOISE = np.random.default_rng(0).integers(0, 256, (6, 33, 47, 3), dtype=np.uint8)  # odd sides


def test_a_film_has_all_frames_and_even_sides(tmp_path: Path) -> None:
    """Oracle: ffmpeg's own count; the index lies before the pictures (faststart)."""
    path = tmp_path / "a.mp4"
    write_film(path, iter(NOISE), 30)
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == len(NOISE)
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")


@pytest.mark.parametrize("size", [0, 1000, 10_000])
def test_a_film_that_finds_no_room_is_not_there(tmp_path: Path, size: int) -> None:
    """Oracle: the system's own limit of a file's size; before, the film was cut short and called done."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(UserError, match=r"a\.mp4 could not be written"):
            replace_file(tmp_path / "a.mp4", lambda path: write_film(path, iter(NOISE), 30))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_frames_that_fail_end_the_film(tmp_path: Path) -> None:
    """Oracle: the error itself; and no file, since what is half made is never given its name."""

    def frames():  # type: ignore[no-untyped-def]
        yield NOISE[0]
        raise RuntimeError("no frame")

    with pytest.raises(RuntimeError, match="no frame"):
        replace_file(tmp_path / "a.mp4", lambda path: write_film(path, frames(), 30))
    assert list(tmp_path.iterdir()) == []
