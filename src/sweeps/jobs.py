"""The jobs of a sweep, wherever a launcher runs them: named, their failures kept, a GPU each.

A job may run in this process, in another, or on another machine that shares the disk; so what went wrong is
written beside the runs, where the process that the user started finds it.
"""

import getpass
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock, Timeout

from src.config import RunConfig


class Failure(NamedTuple):
    """A job that did not end well; exit code 2 if the user can put it right, 1 if we must."""

    job: str
    why: str
    code: int

    def sentence(self) -> str:
        """What to tell the user."""
        return f"{self.job} failed: {self.why}"


@dataclass(frozen=True)
class Failures:
    """Where the jobs of one command note that they failed."""

    notes: Path
    swept: tuple[str, ...]  # settings with several values: together they name a job

    @classmethod
    def below(cls, folder: Path, swept: Sequence[str]) -> "Failures":
        """Make a place for notes; raises OSError where the folder cannot be written."""
        folder.mkdir(parents=True, exist_ok=True)
        here = f".failures-{platform.node()}-"
        for left in folder.glob(f"{here}*"):  # by a command that was killed
            pid = left.name.removeprefix(here).partition("-")[0]
            if pid.isdecimal() and not _lives(int(pid)):
                shutil.rmtree(left, ignore_errors=True)
        notes = tempfile.mkdtemp(prefix=f"{here}{os.getpid()}-", dir=folder.resolve())
        return cls(Path(notes), tuple(swept))

    def note(self, number: int, overrides: Sequence[str], error: Exception, sentence: str | None) -> None:
        """Say and write down that a job failed; without a sentence, the error is ours and is shown whole."""
        typed = [text.lstrip("+") for text in overrides]
        named = [text for text in typed if text.partition("=")[0] in self.swept]
        failure = Failure(
            f"job {number} ({' '.join(named)})" if named else f"job {number}",
            sentence or f"{type(error).__name__}: {error}",
            2 if sentence else 1,
        )
        if sentence is None:
            traceback.print_exception(error)
        print(failure.sentence(), file=sys.stderr, flush=True)
        path = self.notes / f"{number:06d}.json"
        path.touch()
        with suppress(OSError):  # a full disk: without a word in it, it still says that the job failed
            path.write_text(json.dumps(failure), encoding="utf-8")

    def collect(self) -> list[Failure]:
        """Take the notes away and return them, in the order of the jobs."""
        found = []
        for path in sorted(self.notes.glob("*.json")):
            try:
                found.append(Failure(*json.loads(path.read_text(encoding="utf-8"))))
            except (OSError, ValueError):  # cut short by a full disk
                found.append(Failure(f"job {int(path.stem)}", "failed, and its note could not be written", 1))
        shutil.rmtree(self.notes, ignore_errors=True)
        return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def own_gpu(cfg: RunConfig, wait: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Lend a job a GPU that no other job has, waiting for one; cfg.device then names it.

    Nothing happens where a device is named, or where a launcher left one GPU or none to see.  joblib and
    submitit's local launcher show every job all GPUs, and all jobs would take the first.
    """
    count = torch.cuda.device_count()
    if cfg.device is not None or count < 2:
        yield
        return
    # By the driver's number: two processes may see the same GPU in different places.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = visible if len(visible) == count else [str(index) for index in range(count)]
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()  # in a container it may have no name
    files = [Path(tempfile.gettempdir()) / f"nfsd3d-{user}-gpu-{name.strip()}.lock" for name in names]
    while True:
        for index, path in enumerate(files):
            lock = FileLock(path, timeout=0)
            try:
                lock.acquire()  # let go by the system, even after kill -9
            except Timeout:
                continue
            try:
                cfg.device = f"cuda:{index}"
                yield
            finally:
                lock.release()
            return
        wait(1.0)
