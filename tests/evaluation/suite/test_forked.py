"""Commands in forked processes: the same numbers, words and exit codes as anywhere else."""

import os
import time
from pathlib import Path

from src.door import settings
from src.evaluation.suite.forked import Forked
from src.run.folder import read_manifest
from src.train import train


def ended(forked: Forked) -> int:
    while (code := forked.poll()) is None:
        time.sleep(0.05)
    return code


def test_a_forked_run_is_the_run(tmp_path: Path) -> None:
    """Oracle: the same command in this process, to the last bit of its parameters."""
    said = ["prompt=a red car", "preset=smoke", "steps=2", "threads=1", "video.views=1"]
    train(settings(*said, f"out={tmp_path / 'here'}"))
    begun = os.getcwd(), dict(os.environ)
    assert ended(Forked("src.train", [*said, f"out={tmp_path / 'there'}"], tmp_path / "log")) == 0
    here, there = (read_manifest(tmp_path / name) for name in ("here", "there"))
    assert here["parameters_sha256"] == there["parameters_sha256"]
    assert "step 2 of 2" in (tmp_path / "log").read_text()
    assert (os.getcwd(), dict(os.environ)) == begun


def test_a_slip_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    """Oracle: what the command says and ends with in a terminal."""
    assert ended(Forked("src.train", ["prompt=x", "preset=huge"], tmp_path / "log")) == 2
    assert (tmp_path / "log").read_text().startswith("preset=huge does not exist: choose preset=")
