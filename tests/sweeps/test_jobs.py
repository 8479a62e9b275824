"""Jobs of a sweep: failures reach the command that was typed, and no two jobs share a GPU."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from src.config import RunConfig
from src.errors import UserError
from src.sweeps.jobs import Failure, Failures, own_gpu
from tests.small_sweeps import composed

OVERRIDES = ["prompt=a", "loss=sds", "seed=-1", "preset=smoke"]


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that shows two GPUs; locks go to a folder of the test's own."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def unnamed() -> RunConfig:
    """Settings that name no device."""
    return replace(composed((), "a red cube"), device=None)


def test_failures_are_named_by_what_was_swept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the two swept settings; 2 and the sentence for the user's slip, 1 and a traceback for ours."""
    failures = Failures.below(tmp_path / "sweep", ["loss", "seed"])
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError as error:
        failures.note(10, OVERRIDES, error, None)
    failures.note(9, OVERRIDES, UserError("seed=-1 is out of range"), "seed=-1 is out of range")
    said = capsys.readouterr().err
    assert "job 9 (loss=sds seed=-1) failed: seed=-1 is out of range\n" in said
    assert "ZeroDivisionError: by zero" in said
    assert said.count("Traceback") == said.count("seed=-1 is out of range") == 1
    assert failures.collect() == [
        Failure("job 9 (loss=sds seed=-1)", "seed=-1 is out of range", 2),
        Failure("job 10 (loss=sds seed=-1)", "ZeroDivisionError: by zero", 1),
    ]
    assert list((tmp_path / "sweep").iterdir()) == []


def test_a_full_disk_hides_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a note without a word, as a full disk leaves it: the job has failed all the same."""

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    failures = Failures.below(tmp_path / "sweep", ["loss"])
    monkeypatch.setattr(Path, "write_text", full)
    failures.note(3, OVERRIDES, UserError("seed=-1 is out of range"), "seed=-1 is out of range")
    assert failures.collect() == [Failure("job 3", "failed, and its note could not be written", 1)]
    assert list((tmp_path / "sweep").iterdir()) == []


def test_every_job_has_a_gpu_of_its_own(tmp_path: Path, two_gpus: None) -> None:
    """Oracle: two jobs on two GPUs; a third waits until one is free and takes that one."""
    first, second, third = (unnamed() for _ in range(3))
    waited: list[float] = []
    with own_gpu(first):
        other = own_gpu(second)
        other.__enter__()

        def wait(seconds: float) -> None:
            waited.append(seconds)
            assert len(waited) < 3
            if len(waited) == 2:
                other.__exit__(None, None, None)

        with own_gpu(third, wait):
            assert [cfg.device for cfg in (first, second, third)] == ["cuda:0", "cuda:1", "cuda:1"]
    assert len(waited) == 2
    again = unnamed()
    with own_gpu(again):
        assert again.device == "cuda:0"


def test_a_gpu_is_known_by_the_drivers_number(
    tmp_path: Path, two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: of two processes that see GPUs 5, 4 and 6, 5, each takes the first it sees: 5 and 6."""
    first, second = unnamed(), unnamed()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,4")
    with own_gpu(first):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,5")
        with own_gpu(second):
            assert (first.device, second.device) == ("cuda:0", "cuda:0")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
        with own_gpu(second := unnamed()):
            assert second.device == "cuda:1"


def test_a_killed_job_gives_its_gpu_back(tmp_path: Path, two_gpus: None) -> None:
    """Oracle: a process that holds GPU 0's lock, before and after kill -9."""
    with own_gpu(unnamed()):
        (lock,) = tmp_path.glob("*gpu-0.lock")
    hold = f"import fcntl; f = open({str(lock)!r}); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while_held, afterwards = unnamed(), unnamed()
        with own_gpu(while_held):
            assert while_held.device == "cuda:1"
        process.kill()
    with own_gpu(afterwards):
        assert afterwards.device == "cuda:0"


@pytest.mark.parametrize(("count", "named"), [(0, None), (1, None), (2, "cpu")])
def test_what_is_decided_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, named: str | None
) -> None:
    """Oracle: no GPU, one that a launcher chose, or a device that the user named: nothing changes."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "locks"))
    cfg = unnamed()
    cfg.device = named
    with own_gpu(cfg):
        assert cfg.device == named
    assert not (tmp_path / "locks").exists()
