"""When an object can first be named, by previews whose contents are known."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.errors import UserError
from src.evaluation import nameable
from src.evaluation.judge.judge import Judge

BEGAN = 1_000_000


def run_with(folder: Path, rows: dict[int, int]) -> Path:
    """A run of "a lion" whose preview at each step has so many white views of four, the rest black."""
    (folder / "previews").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"prompt": "a lion"}))
    (folder / "config.yaml").touch()
    os.utime(folder / "config.yaml", (BEGAN, BEGAN))
    for step, white in rows.items():
        row = np.zeros((8, 32, 3), np.uint8)
        row[:, : 8 * white] = 255
        path = folder / "previews" / f"step-{step:08d}.png"
        Image.fromarray(row).save(path)
        os.utime(path, (BEGAN + step, BEGAN + step))
    return folder


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """It calls white squares lions and all else cars."""

    def seen(_: Judge, images: torch.Tensor) -> list[str]:
        assert images.shape[1:] == (3, 8, 8)
        return ["lion" if image.mean() > 0.5 else "car" for image in images]

    monkeypatch.setattr(nameable, "kinds_seen", seen)
    return Judge.__new__(Judge)


def test_named_for_good(tmp_path: Path, judge: Judge) -> None:
    """Oracle: by hand: three of four at 10 are lost again at 20; from 30 on it stays."""
    found = nameable.judged(run_with(tmp_path / "run", {0: 0, 10: 3, 20: 2, 30: 3, 40: 4}), judge, 0.0)
    assert [each.share for each in found] == [0, 0.75, 0.5, 0.75, 1]
    assert nameable.named_at(found) == nameable.Preview(30, 30, 0.75)
    assert nameable.named_at(found[:3]) is None


def test_time_from_the_command_on(tmp_path: Path, judge: Judge) -> None:
    """Oracle: the clock that is given, 5 s before the run wrote its settings."""
    found = nameable.judged(run_with(tmp_path / "run", {0: 4}), judge, BEGAN - 5.0)
    assert found == [nameable.Preview(0, 5, 1)]


def test_a_run_that_was_continued(tmp_path: Path, judge: Judge) -> None:
    """Oracle: its settings were written again when it went on, so only a clock that is given counts."""
    folder = run_with(tmp_path / "run", {0: 4})
    (folder / "manifest.json").write_text(json.dumps({"prompt": "a lion", "resumed_from_steps": [5]}))
    with pytest.raises(UserError, match=r"was continued.*since=SECONDS"):
        nameable.judged(folder, judge, 0.0)
    assert nameable.judged(folder, judge, BEGAN - 5.0) == [nameable.Preview(0, 5, 1)]


def test_a_damaged_preview(tmp_path: Path, judge: Judge) -> None:
    """Oracle: half of a file: it is named, with what to do."""
    folder = run_with(tmp_path / "run", {0: 4, 10: 4})
    path = folder / "previews" / "step-00000010.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"run=.*step-00000010.png is damaged .*anew"):
        nameable.judged(folder, judge, 0.0)


@pytest.mark.parametrize("wrong", ["run=", "run=nowhere", "runs=x", "since=now"])
def test_what_cannot_be_judged(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the promise: one sentence that names the setting, and exit code 2."""
    given = [wrong] if wrong.startswith("run") else ["run=here", wrong]
    assert nameable.main(given) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert wrong.partition("=")[0] in said.err
