"""The machine: threads are kept by a continued run, and signals are collected, not died of."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.run import machine
from tests.runs import tiny

CPU = torch.device("cpu")


def test_a_continued_run_keeps_its_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: what was named, else what was used before, else nothing yet; a change is said."""
    named, unnamed = tiny(tmp_path), tiny(tmp_path, "threads=null")
    before = torch.get_num_threads()
    try:
        assert machine.set_up(unnamed, CPU, {"threads": 3, "device": "cpu"}) == 3
        assert torch.get_num_threads() == 3
        assert machine.set_up(unnamed, CPU, {}) is None
        assert capsys.readouterr().out == ""
        assert machine.set_up(named, CPU, {"threads": 3, "device": "cuda"}) == 1
        said = capsys.readouterr().out
        assert "threads=1, but this run used 3 so far" in said
        assert "device=cpu, but this run used cuda so far" in said
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("granted", "cores"), [("1", 1), ("64", 8), ("", 8), ("0", 8), ("4,2", 8), ("4", 4)])
def test_a_launcher_can_grant_fewer_cores(monkeypatch: pytest.MonkeyPatch, granted: str, cores: int) -> None:
    """Oracle: OMP_NUM_THREADS on a machine of 8 cores, as joblib sets it for its workers."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("OMP_NUM_THREADS", granted)
    assert machine.cores() == cores


def test_the_first_signal_is_collected_and_the_second_obeyed(capfd: pytest.CaptureFixture[str]) -> None:
    """Oracle: the list that the loop looks at; handlers are as before afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    with machine.interruptible() as received:
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before
    assert "once more to stop at once" in capfd.readouterr().err


def test_peak_memory_is_in_bytes() -> None:
    """Oracle: torch alone takes more than 50 MB, and this suite less than 64 GB."""
    assert 5e7 < machine.peak_rss_bytes() < 6.4e10


def test_what_tensors_free_is_kept() -> None:
    """Oracle: the kernel's count of new pages beside that of a process that does not keep them.

    20 times 64 MB want new pages each time there, and none after the first here; a tenth leaves room.
    """
    said = """
import resource, torch
from src.run.machine import keep_freed_memory
if keeps:
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for _ in range(20):
        torch.zeros(16 * 2**20)
work()
before = faults()
work()
print(faults() - before)
"""

    def faults(keeps: bool) -> int:
        command = [sys.executable, "-c", f"keeps = {keeps}\n{said}"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults(True) < faults(False) / 10
