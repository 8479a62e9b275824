"""python -m src.compare from the command line."""

from pathlib import Path

import pytest

from src.compare import Settings, main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "prompt is empty: write what the losses are to want"),
        (["prompt=a lion", "losses=[sds]"], "losses=[sds] is one loss: name two or more"),
        (["prompt=a lion", "losses=[sds,lsd]"], "losses=lsd is unknown: choose from nfsd, sds, "),
        (
            ["prompt=a lion", "losses=[vsd,vsd+critic.rank=8]"],
            "losses=[vsd,vsd+critic.rank=8]: one critic is fitted for all",
        ),
        (["prompt=a lion", "losses=[sds,sds@100]"], "losses=[sds,sds@100]: SDS 100 is there twice"),
        (
            ["prompt=a lion", "losses=[nfsd,nfsd+prompts.negative=ugly]"],
            "losses=[nfsd,nfsd+prompts.negative=ugly]: NFSD 7.5 + prompts.negative=ugly is more than a loss",
        ),
        (["prompt=a lion", "pictures=1"], "pictures=1 is out of range: choose 2 to 1000"),
        (["prompt=a lion", "device=tpu"], "device=tpu is unknown: choose cpu, cuda or cuda:0"),
        (["prompt=a lion", "seed=-1"], "seed=-1 is out of range"),
        (["prompt=a lion", "colour=red"], "colour=red: no such setting"),
        (["prompt=a lion", "path=nowhere"], "prior.path=nowhere is no folder"),
    ],
)
def test_a_slip_is_one_sentence(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Oracle: the sentence, alone, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_folder_is_named_after_the_prompt() -> None:
    """Oracle: by hand."""
    assert Settings(prompt="A red/car!").folder() == Path("outputs/compare/a-red-car")
    assert Settings(prompt="x", out="here").folder() == Path("here")


def test_it_leaves_picture_numbers_and_caption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the closed-form prior, whose NFSD has every branch; both losses are named in the caption."""
    out = tmp_path / "compared"
    assert main(["prompt=a lion", "losses=[sds@7.5,nfsd]", "preset=smoke", "pictures=2", f"out={out}"]) == 0
    assert {path.name for path in out.iterdir()} == {"figure.png", "numbers.json", "caption.md"}
    said = (out / "caption.md").read_text()
    assert said.startswith("**a lion: SDS 7.5, NFSD 7.5**")
    assert said in capsys.readouterr().out
