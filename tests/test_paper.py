"""python -m src.paper from the command line."""

from pathlib import Path

import pytest

from src.paper import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "fig=0 is no figure that can be drawn: choose one of 2, 3, 4, 5"),
        (["fig=6"], "fig=6 is no figure that can be drawn"),
        (["fig=2", "prior=gaussian"], "prior=gaussian is unknown here: choose toybox or sd21"),
        (["fig=2", "pictures=1"], "pictures=1 is too few"),
        (["fig=2", "pictures=-1"], "pictures=-1 is out of range"),
        (["fig=2", "path=nowhere"], "prior.path=nowhere is no folder"),
        (["fig=2", "device=tpu"], "device=tpu is unknown: choose cpu, cuda or cuda:0"),
        (["figure=2"], "figure=2: no such setting"),
    ],
)
def test_a_slip_is_one_sentence(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the sentence, alone, and exit code 2."""
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_a_figure_of_the_toy_world(tmp_path: Path) -> None:
    """Oracle: figure 2 of two pictures leaves its three files, and says where the pictures are from."""
    assert main(["fig=2", "pictures=2", f"out={tmp_path}"]) == 0
    said = " ".join((tmp_path / "fig2-toybox/caption.md").read_text().split())
    assert "photographs of the toy world, whose true silhouettes are known" in said
    assert {path.name for path in (tmp_path / "fig2-toybox").iterdir()} == {
        "figure.png",
        "numbers.json",
        "caption.md",
    }
