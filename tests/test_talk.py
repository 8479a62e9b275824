"""Talk that finds nobody: the work goes on, its files stay its own, and what can be said is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.talk import Talk, steady
from tests.runs import TINY

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "shell",
    [
        '{run} "out={out}" 2>&-',
        '{run} "out={out}" >&- 2>&- <&-',
        '{run} "out={out}" | head -1 >/dev/null; exit ${{PIPESTATUS[0]}}',
        'PYTHONIOENCODING=ascii {run} "out={out}" >/dev/null',
        '{run} "out={out}" >/dev/full 2>/dev/full',
    ],
    ids=["no stderr", "no descriptors at all", "head -1", "ascii", "full disk under the log"],
)
def test_a_run_ends_well_though_nobody_listens(tmp_path: Path, shell: str) -> None:
    """Oracle: exit code 0, all 2 steps in a clean metrics.jsonl, and a turntable."""
    command = f"{sys.executable} -m src.train 'prompt=ein Löwe' {' '.join(TINY)} steps=2"
    line = shell.format(run=command, out=tmp_path / "run")
    ended = subprocess.run(["bash", "-c", line], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert ended.returncode == 0
    rows = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert [row.startswith(f'{{"step": {number}, ') for number, row in enumerate(rows)] == [True, True]
    assert (tmp_path / "run/turntable.mp4").exists()


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
