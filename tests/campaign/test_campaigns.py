"""The campaigns of docs/reliability.md: in short, and under `make campaign` whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def campaign(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one in a process of its own: its children are forked, and this one has threads."""
    command = [sys.executable, "-m", f"tests.campaign.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


def test_every_campaign_in_short(tmp_path: Path) -> None:
    """Oracle: undisturbed twins; one sentence each; the campaigns' own verdicts."""
    done = campaign("short", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all right: 2 limits, 2 kills, 4 flips, 8 bad inputs" in done.stdout


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["kills", "faults", "flips", "bad_inputs", "soak"])
def test_a_whole_campaign(tmp_path: Path, name: str) -> None:
    """Oracle: the campaign's own verdict; its figures are printed (docs/reliability.md)."""
    done = campaign(name, f"out={tmp_path}")
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
