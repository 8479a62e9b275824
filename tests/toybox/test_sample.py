"""Pictures of the bundled prior as a grid, and slips at the command line."""

import numpy as np
import pytest
import torch

from src.toybox.sample import Settings, grid, main


def test_a_grid_is_laid_out_row_by_row() -> None:
    """Oracle: five plain images in rows of three, the sixth place white."""
    tones = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8])
    sheet = np.asarray(grid(tones.view(5, 1, 1, 1).expand(5, 3, 4, 6), 3, enlarge=1))
    assert sheet.shape == (8, 18, 3)
    assert sheet[::4, ::6, 0].tolist() == [[0, 51, 102], [153, 204, 255]]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("prompt= | ", "prompt is empty: write what you want to see"),
        ("n=0", "n=0 is out of range: choose 1 to 1024"),
        ("n=many", "n=many is no number: give n= a whole number"),
        ("steps=1001", "steps=1001 is out of range: choose 1 to 1000"),
        ("guidance_scale=nan", "guidance_scale=nan is out of range: choose 0 to 1000"),
        ("seed=-1", "seed=-1 is negative: seeds count from 0"),
        ("out=lion.xyz", "out=lion.xyz is no PNG: choose a name that ends in .png"),
        ("colour=red", "colour=red: no such setting; write name=value with one of prompt, n, "),
        ("path=nowhere", "prior.path=nowhere is no folder"),
    ],
)
def test_a_slip_is_one_sentence_and_exit_code_2(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the sentence alone on stderr, nothing on stdout."""
    assert main([argument]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_defaults_are_valid() -> None:
    """Oracle: making them raises nothing."""
    assert Settings().n == 16
