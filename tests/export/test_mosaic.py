"""Turntables side by side."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.export.mosaic import main


def run_folder(folder: Path, shades: list[int], size: int = 8) -> Path:
    """A run whose turntable shows one grey per frame, beside black depth and white opacity."""
    frames = []
    for shade in shades:
        frame = Image.new("RGB", (3 * size, size), "white")
        frame.paste((0, 0, 0), (size, 0, 2 * size, size))
        frame.paste((shade,) * 3, (0, 0, size, size))
        frames.append(frame)
    folder.mkdir()
    frames[0].save(
        folder / "turntable.webp", save_all=True, append_images=frames[1:], duration=40, lossless=True
    )
    return folder


def test_colour_panels_stand_side_by_side_and_turn_together(tmp_path: Path) -> None:
    """Oracle: the greys that were put in; 12: lossy compression."""
    first, second = run_folder(tmp_path / "a", [40, 90, 140]), run_folder(tmp_path / "b", [60, 110, 200])
    out = tmp_path / "out.webp"
    assert main([f"out={out}", "columns=2", str(first), str(second)]) == 0
    with Image.open(out) as made:
        assert (made.n_frames, made.size) == (3, (16, 8))
        for moment, greys in enumerate([(40, 60), (90, 110), (140, 200)]):
            made.seek(moment)
            made.load()
            assert made.info["duration"] == 40
            seen = [made.convert("L").getpixel((x, 4)) for x in (3, 12)]
            assert all(abs(s - g) < 12 for s, g in zip(seen, greys, strict=True)), (moment, seen)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere/turntable.webp is missing"),
        ([], "no run is named"),
        (["columns=0", "a"], "columns=0 is out of range"),
        (["out=a.gif", "a"], "out=a.gif has no ending that we know"),
        (["out=/dev/null/a.webp", "a"], "out=/dev/null/a.webp cannot be written (Not a directory)"),
        (["size=3", "a"], "size=3 is neither a run's folder nor a setting"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Oracle: exit code 2 and one sentence."""
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_half_a_turntable_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2 and one sentence, for a header that is broken and for frames that are cut short."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 8, 24, 3), dtype=np.uint8)
    first, *rest = map(Image.fromarray, noise)
    first.save(tmp_path / "turntable.webp", save_all=True, append_images=rest, lossless=True)
    whole = (tmp_path / "turntable.webp").read_bytes()
    for kept in (10, len(whole) // 2):
        (tmp_path / "turntable.webp").write_bytes(whole[:kept])
        assert main([f"out={tmp_path / 'a.webp'}", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert "turntable.webp cannot be read" in said
        assert said.count("\n") == 1


def test_runs_of_different_length_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2 and one sentence."""
    runs = [run_folder(tmp_path / "a", [1, 99]), run_folder(tmp_path / "b", [1, 99, 200])]
    assert main([f"out={tmp_path / 'o.webp'}", *map(str, runs)]) == 2
    assert "differ in size or length" in capsys.readouterr().err
