"""The theory's R beside what was measured, from tables written by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.evaluation import theory
from src.evaluation.answers import OWN

CELLS = (
    "prompt,method,R,overshoot,size,detail\n"
    "a lion,CSD 7.5,inf,9,0.2,2\na car,CSD 7.5,inf,7,0.4,4\n"
    "a lion,NFSD 7.5,2,1,0.1,1\na car,NFSD 7.5,3,2,0.3,-2\n"
    f"a lion,{OWN},0,0,1,0\n"
)
SUITE = (
    "figure,method,mean,low,high,runs\n"
    "looks.spectrum_detail,NFSD 7.5,-1.5,-2,-1,36\n"
    "looks.saturation_excess,NFSD 7.5,0.0123,0.01,0.02,36\n"
    "looks.spectrum_detail,SDS 100,4,3,5,36\n"
    "geometry.iou_share,NFSD 7.5,0.9,0.8,1,36\n"
)


def written(folder: Path) -> list[str]:
    (folder / "cells.csv").write_text(CELLS)
    (folder / "plot.csv").write_text(SUITE)
    return [f"cells={folder / 'cells.csv'}", f"suite={folder / 'plot.csv'}", f"out={folder / 'theory'}"]


def test_both_halves_stand_in_one_row(tmp_path: Path) -> None:
    """Oracle: means by hand; the least R first; what only one half has is left out or a dash.

    Samples are no method.
    """
    assert theory.main(written(tmp_path)) == 0
    _, _, nfsd, csd = (tmp_path / "theory.md").read_text("utf-8").splitlines()
    assert nfsd.startswith("| NFSD 7.5 | 2.5 | +1.50 |")
    assert nfsd.endswith("| +0.012 [+0.010, +0.020] | -1.50 [-2.00, -1.00] |")
    assert csd.startswith("| CSD 7.5 | inf | +8.00 |")
    assert csd.endswith("| – | – |")


def test_tables_of_several_commands_stand_in_one(tmp_path: Path) -> None:
    """Oracle: what one table has alone is there; what both have counts once: R of 2 and 3 is 2.5."""
    said = written(tmp_path)
    head, _, _, lion, *_ = CELLS.splitlines(keepends=True)
    (tmp_path / "more.csv").write_text(head + lion + "a lion,NFSD 7.5 + loss.cut=50,33,1,0.5,1\n")
    cells = f"cells=[{tmp_path / 'cells.csv'}, {tmp_path / 'more.csv'}]"
    assert theory.main([*said, cells]) == 0
    _, _, nfsd, low, csd = (tmp_path / "theory.md").read_text("utf-8").splitlines()
    assert nfsd.startswith("| NFSD 7.5 | 2.5 | +1.50 |")
    assert low.startswith("| NFSD 7.5 + loss.cut=50 | 33 | +1.00 |")
    assert csd.startswith("| CSD 7.5 | inf |")


def test_what_overshoots_without_end_is_drawn(tmp_path: Path) -> None:
    """Oracle: both methods' colours, of the palette's first two, are in the picture."""
    assert theory.main(written(tmp_path)) == 0
    pixels = np.array(Image.open(tmp_path / "theory.png").convert("RGB")).astype(int)
    for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (abs(pixels - color).max(-1) <= 40).any()


@pytest.mark.parametrize("wrong", ["suite=", "suite=nowhere.csv", "cells={folder}/plot.csv"])
def test_what_is_no_table_of_ours(wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the promise: one sentence that names the setting, exit code 2, and nothing written."""
    assert theory.main([*written(tmp_path), wrong.format(folder=tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert wrong.partition("=")[0] in said
    assert not (tmp_path / "theory.md").exists()


def test_another_file_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: somebody's own table is left as it was."""
    (tmp_path / "theory.md").write_text("mine\n")
    assert theory.main(written(tmp_path)) == 2
    assert "out=" in capsys.readouterr().err
    assert (tmp_path / "theory.md").read_text() == "mine\n"
