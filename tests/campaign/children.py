"""Runs in forked children: everything is imported once, and a child can be killed, starved or lied to.

The parent never computes with torch, so that a child may start its own threads.
"""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import RLock
from typing import NamedTuple

# All that a run imports late: a child starts with it.
import imageio_ffmpeg
import torch._dynamo
import torch.utils.tensorboard
import yaml
from PIL import Image, WebPImagePlugin  # noqa: F401
from tqdm import tqdm

import src.guidance.gaussian
import src.train
from src.config import RunConfig
from src.door import one_sentence
from tests.runs import tiny

LONG = ("steps=30", "logging.checkpoint_every=5", "logging.preview_every=10")
PROMPT = "a zeppelin"  # no true solid is searched for beside it, which would take an evaluation a minute


class Ended(NamedTuple):
    """How a child ended: exit code (negative: the signal), and what it said on stderr and stdout."""

    code: int
    err: str
    out: str

    def sentences(self) -> list[str]:
        """Lines of stderr but for the progress bar's."""
        lines = self.err.replace("\r", "\n").splitlines()
        return [line for line in lines if line.strip() and not re.search(r"\d%\||\d+(it|frame) \[", line)]


def start(task: Callable[[], int], said: Path) -> int:
    """Fork a child that does `task` and leaves with its exit code; what it says goes to said.out and .err."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for number, ending in ((1, ".out"), (2, ".err")):
            file = os.open(said.with_suffix(ending), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
            os.close(file)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1)
        torch.set_num_threads(1)
        tqdm.set_lock(
            RLock()
        )  # its own: the one that all share may have been held by a child that was killed
        code = task()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


def wait(child: int, said: Path, limit: float = 600.0) -> Ended:
    """Wait for a child; one that exceeds the limit (seconds) is killed, and its code is that."""
    deadline = time.monotonic() + limit
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    texts = [
        said.with_suffix(ending).read_text(errors="replace") if said.with_suffix(ending).exists() else ""
        for ending in (".err", ".out")
    ]
    return Ended(os.waitstatus_to_exitcode(status), *texts)


@cache
def composed(*more: str) -> RunConfig:
    """Settings of a tiny run, whatever its folder: half of such a run's time is Hydra's."""
    return tiny(Path("anywhere"), *LONG, *more, prompt=PROMPT)


def train(out: Path, *more: str) -> Callable[[], int]:
    """A tiny run as a task, from where Hydra hands over to us."""
    cfg = replace(composed(*more), out=str(out))

    @one_sentence
    def task() -> int:
        src.train.train(cfg)
        return 0

    return task


def run(task: Callable[[], int], said: Path, limit: float = 600.0) -> Ended:
    """Do a task in a child to its end."""
    return wait(start(task, said), said, limit)


def emptied(folder: Path) -> Path:
    """A folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def half_files(folder: Path) -> list[str]:
    """Files under a run's final names that cannot be read to their end."""
    import json

    from safetensors import safe_open

    wrong = []
    for path in (each for each in sorted(folder.rglob("*")) if each.is_file() and ".part" not in each.name):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".yaml":
                yaml.safe_load(path.read_text())
            elif path.suffix == ".jsonl":
                whole = path.read_text().splitlines(keepends=True)
                for row in whole if not whole or whole[-1].endswith("\n") else whole[:-1]:
                    json.loads(row)
            elif path.suffix in (".png", ".webp"):
                with Image.open(path) as picture:
                    for frame in range(getattr(picture, "n_frames", 1)):
                        picture.seek(frame)
                        picture.load()
            elif path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    assert file.keys()
            elif path.suffix == ".mp4":
                assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] > 0
        except Exception as error:
            wrong.append(f"{path.relative_to(folder)}: {type(error).__name__} {error}")
    return wrong
