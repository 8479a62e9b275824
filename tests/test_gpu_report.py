"""The report: a section for everything, whatever fails, and one file."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from src import gpu_report
from src.run.folder import write_manifest


def test_a_failing_section_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: three sections, of which the second fails; the file has all, with exit codes and last words."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[0] != sys.executable:  # platform asks uname
            return subprocess.CompletedProcess(command, 0, "", "")
        asked.append(command)
        failed = len(asked) == 2
        return subprocess.CompletedProcess(command, int(failed), "said\n", "a bad ending" if failed else "")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gpu_report.subprocess, "run", run)
    monkeypatch.setattr(gpu_report.replica, "write", lambda folder, scale: Path(folder).mkdir(parents=True))
    monkeypatch.setattr(gpu_report, "provenance", lambda: {"commit": "abc", "versions": {}})
    assert gpu_report.main(["device=cpu", "out=report.md"]) == 0
    text = Path("report.md").read_text()
    assert text.count("## ") == len(asked) == 3
    assert text.count("exit code 0") == 2
    assert "a bad ending" in text
    assert "please send it" in capsys.readouterr().out
    assert all("device=cpu" in command for command in asked)


def test_a_runs_seconds_are_told_by_step(tmp_path: Path) -> None:
    """Oracle: by hand; and nothing of a run that was cut short."""
    write_manifest(tmp_path, {"finished": False})
    assert gpu_report.spent([f"out={tmp_path}"]) == []
    (tmp_path / "config.yaml").touch()
    (tmp_path / "metrics.jsonl").touch()
    told = {"step": 4, "seconds": {"render": 2.0, "unet": 1.0, "rest": 9.0}, "peak_rss_bytes": 2 * 10**9}
    write_manifest(tmp_path, {**told, "parameters_sha256": "ab" * 32})
    assert gpu_report.spent(["-m", "src.train", f"out={tmp_path}"])[1] == (
        "seconds a step: render 0.5000, unet 0.2500; besides, 9 s for the whole run and 2.0 GB of the host's "
        "memory; parameters abababababababab"
    )
    assert gpu_report.spent(["-m", "pytest"]) == []


def test_without_a_device_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: one sentence, exit code 2."""
    assert gpu_report.main(["device=cuda"]) == 2
    assert "torch finds no CUDA device here: choose device=cpu" in capsys.readouterr().err
