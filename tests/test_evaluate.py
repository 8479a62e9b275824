"""The door: one run's figures, a suite that takes up where it stopped, slips in one sentence."""

import csv
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from src.evaluate import main
from src.evaluation import looks, measurements
from src.evaluation.suite import suite
from src.evaluation.suite.suite import Case, Job
from src.run.folder import read_manifest, write_manifest
from src.run.seal import unsealed
from src.train import train
from tests.evaluation.judges import write_tiny_clip
from tests.runs import tiny

PROMPTS = ["a zeppelin", "a teapot"]  # nothing that the toy world has a solid for


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A judge in the hub's format that knows nothing, and whose error nobody measured."""
    return str(write_tiny_clip(tmp_path_factory.mktemp("judge"), 16))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, judge: str) -> Iterator[Path]:
    """A tiny run of the Gaussian prior and its evaluation; a cache of samples of the tests' own."""
    folder = tmp_path_factory.mktemp("evaluated")
    train(tiny(folder / "run", prompt=PROMPTS[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looks, "CACHE", folder / "samples")
        assert main([f"run={folder / 'run'}", f"judge={judge}"]) == 0
        yield folder / "run"


@pytest.fixture
def run(evaluated: Path, tmp_path: Path) -> Path:
    """A copy of it to write into."""
    return Path(shutil.copytree(evaluated, tmp_path / "run"))


def current(run: Path, judge: str) -> dict[str, Any] | None:
    """The run's evaluation by this judge, if it still counts."""
    return measurements.read(run, measurements.judge_named(judge).sha256)


def test_one_run_gives_figures_and_a_picture(evaluated: Path, judge: str) -> None:
    """Oracle: every group is measured or says why not, and all figures are finite."""
    found = json.loads((evaluated / "evaluation.json").read_text())
    assert set(found["figures"]) | set(found["not_measured"]) == {
        *("geometry", "judge", "consistency", "failures", "looks", "cost")
    }
    assert "zeppelin" in found["not_measured"]["geometry"]
    numbers = [value for group in found["figures"].values() for value in group.values()]
    assert numbers
    assert np.isfinite(numbers).all()
    with Image.open(evaluated / "evaluation.png") as picture:
        assert picture.width > 1000
    assert measurements.thumbnails_of(evaluated).shape == (8, 3, 96, 96)
    assert current(evaluated, judge) == unsealed(found)


def test_again_beside_a_bad_run_the_figures_are_the_same(
    run: Path, judge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: exit code 2, the bad one's sentence, the good one's JSON bit-identical, and a table of it."""
    first = (run / "evaluation.json").read_bytes()
    (run / "evaluation.json").unlink()
    assert main([f"run={run.parent / 'none'}", f"run={run}", f"judge={judge}"]) == 2
    assert (run / "evaluation.json").read_bytes() == first
    captured = capsys.readouterr()
    assert "none holds no checkpoint" in captured.err
    assert f"{json.loads(first)['figures']['looks']['spectrum_distance']:.2f} dB" in captured.out


def test_an_evaluation_counts_until_something_that_it_depends_on_changes(
    run: Path, judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: another version of the figures, a judge known better, a run trained on, a file cut off."""
    assert current(run, judge) is not None
    with monkeypatch.context() as context:
        context.setattr(measurements, "VERSION", measurements.VERSION + 1)
        assert current(run, judge) is None
    other = Path(shutil.copytree(judge, tmp_path / "judge"))
    (other / "errors.json").write_text("{}")
    assert current(run, str(other)) is None
    manifest = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(json.dumps(json.loads(manifest) | {"parameters_sha256": "other"}))
    assert current(run, judge) is None
    (run / "manifest.json").write_text(manifest)
    assert current(run, judge) is not None
    (run / "evaluation.json").write_text("{ cut off")
    assert current(run, judge) is None


COPY = """
import pathlib, shutil, sys
source, target, what, calls = map(pathlib.Path, sys.argv[1:5])
if sys.argv[5] in target.name:
    sys.exit(f"{target.name}: out of memory")
with calls.open("a") as file:
    file.write(f"{what} {target.name}\\n")
target.mkdir(parents=True, exist_ok=True)
for path in source.iterdir():
    if path.is_file() and path.name.startswith("evaluation") == (str(what) == "evaluate"):
        shutil.copy(path, target)
"""


def test_a_suite_trains_evaluates_and_tabulates_what_is_missing_and_no_more(
    run: Path,
    judge: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Oracle: commands that copy one finished run count themselves; 8 runs, one cannot be trained."""
    write_manifest(run, read_manifest(run) | {"step": 20})  # as many as smoke has
    calls = tmp_path / "calls"
    broken = "teapot-sds-s100-seed1"

    def copy(what: str, cases: list[Case]) -> list[Job]:
        command = [sys.executable, "-S", "-c", COPY, str(run)]
        return [Job([*command, str(c.folder), what, str(calls), broken], [c]) for c in cases]

    monkeypatch.setattr(suite, "prompt_list", lambda *_: PROMPTS)
    monkeypatch.setattr(suite, "training", lambda case: copy("train", [case])[0])
    monkeypatch.setattr(suite, "evaluations", lambda todo, judge: copy("evaluate", todo))
    command = ["suite=pair", "preset=smoke", "losses=[nfsd,sds]", "seeds=2", f"out={tmp_path / 'out'}"]
    command.append(f"judge={judge}")

    assert main(command) == 1
    captured = capsys.readouterr()
    assert "out of memory" in captured.err
    assert broken in captured.err
    once = sorted(calls.read_text().splitlines())
    assert len(once) == len(set(once)) == 14
    out = tmp_path / "out"
    text = (out / "suite.md").read_text()
    assert "7 runs of 8: 2 prompts, 2 seeds" in text
    typed = ["preset=smoke", "'losses=[nfsd,sds]'", "seeds=2", f"out={out}", f"judge={judge}"]
    assert f"`python -m src.evaluate suite=pair {' '.join(typed)}`" in text
    plain = json.loads((out / "suite.json").read_text())
    assert len(plain["evaluations"]) == 7
    assert list(plain["failed"].values()) == [next(iter(plain["failed"])) + ": out of memory"]
    distance = json.loads((run / "evaluation.json").read_text())["figures"]["looks"]["spectrum_distance"]
    assert plain["means"]["looks.spectrum_distance"]["SDS 100"]["mean"] == pytest.approx(distance)
    assert plain["means"]["looks.diversity"]["NFSD 7.5"]["mean"] == 0  # all are copies of one run
    lines = list(csv.DictReader((out / "runs.csv").read_text().splitlines()))
    assert {(line["prompt"], line["method"], line["seed"]) for line in lines} == {
        (one["prompt"], one["method"], str(one["seed"])) for one in plain["evaluations"]
    }
    assert all(float(line["looks.spectrum_distance"]) == distance for line in lines)
    for flag, counts in plain["flags"].items():
        assert sum(int(line[flag]) for line in lines) == sum(count["hits"] for count in counts.values())
    assert {path.name for path in out.glob("*.png")} == {"sheet-seed0.png", "sheet-seed1.png"}

    assert main([*command, "train=false"]) == 0  # nothing failed, because nothing was tried
    assert main(command) == 1
    assert sorted(calls.read_text().splitlines()) == once
    monkeypatch.setattr(measurements, "VERSION", measurements.VERSION + 1)
    main([*command, "train=false"])
    assert len(calls.read_text().splitlines()) == 14 + 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "neither run= nor suite= is given"),
        (["run="], "run= names no folder"),
        (["run=no/such/run"], "run=no/such/run holds no checkpoint"),
        (["run=src", "seeds=2"], "seeds=2 does not go with run="),
        (["suite=nothing"], "suite=nothing does not exist: choose suite= one of gallery,"),
        (["run=src", "judge=no/such/judge"], "run=src holds no checkpoint"),
        (["suite=toybench", "judge=no such judge"], "judge=no such judge cannot be loaded"),
        (["suite=toybench", "losses=foo"], "losses=foo is unknown"),
        (["suite=toybench", "seeds=0"], "seeds=0 is out of range: choose 1 to 1000"),
        (["suite=toybench", "seeds=two"], "seeds=two is no number"),
        (["suite=toybench", "workers=0"], "workers=0 is out of range"),
        (["suite=toybench", "preset=huge"], "preset=huge does not exist: choose preset= one of bench,"),
        (["suite=toybench", "train=maybe"], "train=maybe is of the wrong kind"),
        (["suite=toybench", "colour=red"], "colour=red: no such setting"),
        (["suite=toybench", "seeds"], "seeds: no such setting"),
    ],
)
def test_a_slip_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Oracle: the sentence, nothing else on stderr, and no job started."""
    monkeypatch.setattr(suite, "work_off", lambda *_: pytest.fail("work began"))
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.strip().splitlines()) == 1
    assert torch.get_num_threads() == 1
