"""Talk that finds nobody: the work goes on, its files stay its own, and what can be said is said."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TextIO

import pytest

from src.door import door
from src.talk import Talk, steady
from src.train import train
from tests.runs import TINY

ROOT = Path(__file__).parent.parent


def ended_well(out: Path) -> None:
    """All 2 steps in a metrics.jsonl that nothing else was written into, and a turntable."""
    rows = (out / "metrics.jsonl").read_text().splitlines()
    assert [row.startswith(f'{{"step": {number}, ') for number, row in enumerate(rows)] == [True, True]
    assert (out / "turntable.mp4").exists()


def test_a_run_ends_well_without_descriptors(tmp_path: Path) -> None:
    """Oracle: exit code 0 and a clean run, though files that it opens would become its stdout and stderr."""
    command = [sys.executable, "-m", "src.train", "prompt=ein Löwe", *TINY, "steps=2", f"out={tmp_path}/run"]
    shell = ["bash", "-c", '"$@" >&- 2>&- <&-', "bash", *command]
    assert subprocess.run(shell, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode == 0
    ended_well(tmp_path / "run")


def closed_after_a_line() -> TextIO:
    """What `| head -1` is once it has its line: a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    return open(write, "w", encoding="utf-8")


@pytest.mark.parametrize(
    "stream",
    [
        closed_after_a_line,
        partial(open, os.devnull, "w", encoding="ascii"),
        partial(open, "/dev/full", "w", encoding="utf-8"),
    ],
    ids=["head -1", "ascii", "full disk under the log"],
)
def test_a_run_ends_well_though_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: Callable[[], TextIO]
) -> None:
    """Oracle: exit code 0 and a clean run."""
    said = [stream(), stream()]
    monkeypatch.setattr(sys, "stdout", said[0])
    monkeypatch.setattr(sys, "stderr", said[1])
    assert door(train, ["prompt=ein Löwe", *TINY, "steps=2", f"out={tmp_path}/run"]) == 0
    monkeypatch.undo()
    for each in said:
        with suppress(OSError):
            each.close()
    ended_well(tmp_path / "run")


def test_letters_that_an_alphabet_lacks_are_written_out(tmp_path: Path) -> None:
    """Oracle: Python's backslashreplace."""
    with (tmp_path / "said").open("w", encoding="ascii") as file:
        Talk(file).write("ein Löwe")
    assert (tmp_path / "said").read_text() == r"ein L\xf6we"


def test_the_streams_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: identity; what was said within is heard."""
    before = sys.stdout, sys.stderr
    with steady(), steady():
        print("out")
        print("err", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("out\n", "err\n")
