"""How figures are laid out and written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.errors import UserError
from src.evaluation.paper.figure import Figure, Mean, index, label, markdown, mean, open_folder
from src.evaluation.paper.plate import CELL, Row, heat, plate


def test_pictures_stand_in_their_cells() -> None:
    """Oracle: four plain tones fill a cell each, and their middles lie as rows and columns do."""
    tones = [[0.2, 0.4], [0.6, 0.8]]
    rows = [Row(f"row {i}", [torch.full((3, 8, 8), tone) for tone in row]) for i, row in enumerate(tones)]
    sheet = np.asarray(plate(["left", "right"], rows))
    place = {}
    for tone in (51, 102, 153, 204):
        same = (sheet == tone).all(-1)
        rows_of, columns_of = (np.nonzero(same.sum(axis) > CELL / 2)[0] for axis in (1, 0))
        assert len(rows_of) == len(columns_of) == CELL
        place[tone] = rows_of[0], columns_of[0]
    assert place[51][0] == place[102][0] < place[153][0] == place[204][0]
    assert place[51][1] == place[153][1] < place[102][1] == place[204][1]


def test_heat_runs_from_black_to_white() -> None:
    """Oracle: 0, a third, two thirds and all of the top value."""
    colours = heat(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), 3.0)
    assert colours[:, 0, 0].tolist() == [0, 0, 0]
    assert colours[:, 0, 1].tolist() == [1, 0, 0]
    assert colours[:, 1, 0].tolist() == [1, 1, 0]
    assert colours[:, 1, 1].tolist() == [1, 1, 1]


def test_a_figure_leaves_picture_numbers_and_caption(tmp_path: Path) -> None:
    """Oracle: what was put in."""
    numbers = [{"t": 100, "size": Mean(0.5, 0.01)}, {"t": 999, "size": Mean(0.25, 0.02)}]
    Figure(Image.new("RGB", (4, 3)), numbers, "**Figure.**\n  It   shows\nthis.").write(
        open_folder(tmp_path / "fig")
    )
    with Image.open(tmp_path / "fig/figure.png") as picture:
        assert picture.size == (4, 3)
    assert json.loads((tmp_path / "fig/numbers.json").read_text())[1] == {"t": 999, "size": [0.25, 0.02]}
    said = (tmp_path / "fig/caption.md").read_text()
    assert said.startswith("**Figure.** It shows this.\n\n| t | size |\n|---|---|\n| 100 | 0.5 ± 0.01 |\n")
    assert open_folder(tmp_path / "fig") == tmp_path / "fig"  # a figure replaces a figure


@pytest.mark.parametrize("name", ["caption.md", "figure.png"])
def test_what_somebody_else_wrote_is_no_figure(tmp_path: Path, name: str) -> None:
    """Oracle: the file in the way is named, and still there."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=rf"out=.* holds {name}, which this command did not write"):
        open_folder(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_means_have_their_interval() -> None:
    """Oracle: 1.96 standard errors by hand; a single picture has none."""
    found = mean(torch.tensor([1.0, 3.0]))
    assert found.value == 2
    assert abs(found.error - 1.96 * 2**0.5 / 2**0.5) < 1e-9
    assert str(mean(torch.tensor([1.5]))) == "1.5"
    assert markdown([]) == ""


def test_t_1000_is_the_last_index() -> None:
    """Oracle: the schedule has 1,000 timesteps, 0 to 999."""
    assert [index(t) for t in (1, 999, 1000)] == [1, 999, 999]
    assert label(1000) == "t = 1000 (index 999)"
    assert label(700) == "t = 700"
