"""A disk that fails at the k-th write of a run, for every k: full, broken, or after half of the bytes.

    python -m tests.campaign.faults [every=1] [out=/tmp/faults]

A preloaded library (faults.c) fails open, write, fsync, rename, mkdir and unlink below the run's folder.
Right: exit code 2 and one sentence (or 0, where nothing was lost); nothing half-written under a final name; a
whole checkpoint where there was one; and the same command, with the disk mended, ends like the twin.  What
ffmpeg writes is out of the library's reach: its executable is linked statically.
"""

import ctypes
import errno
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAULTS = {
    "full": (errno.ENOSPC, 10**9, 0),  # from this call on
    "broken": (errno.EIO, 0, 0),  # this call alone
    "half": (errno.ENOSPC, 10**9, 1),  # half of it, then full
}
SHORT = ("steps=6", "logging.checkpoint_every=2", "logging.preview_every=4", "video.views=2")


def library(folder: Path) -> Path:
    """Compile faults.c."""
    path = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(path), str(source), "-ldl"], check=True)
    return path


def campaign(out: Path, every: int) -> tuple[int, list[dict[str, Any]]]:
    """Fail every k-th write in each way; returns how many calls a run makes, and what went wrong."""
    from src.run import checkpoint
    from tests.campaign import children
    from tests.campaign.children import emptied, half_files, run
    from tests.campaign.kills import outcome

    disk = ctypes.CDLL(os.environ["LD_PRELOAD"])
    folder, said = out / "run", out / "said"

    def failing(k: int, why: int, until: int, half: int) -> Callable[[], int]:
        def task() -> int:
            disk.fault_arm(str(folder).encode(), ctypes.c_long(k), ctypes.c_long(max(until, k)), why, half)
            try:
                return children.train(folder, *SHORT)()
            finally:
                (out / "calls").write_text(str(disk.fault_calls()))

        return task

    emptied(folder)
    assert run(failing(0, 0, 0, 0), said).code == 0
    calls, twin = int((out / "calls").read_text()), outcome(folder)
    found: list[dict[str, Any]] = []
    for name, (why, until, half) in FAULTS.items():
        for k in range(1, calls + 1, every):
            emptied(folder)
            ended = run(failing(k, why, until, half), said)
            wrong = []
            if ended.code not in (0, 2):
                wrong.append(f"exit code {ended.code}")
            if ended.code == 2 and len(ended.sentences()) != 1:
                wrong.append(f"{len(ended.sentences())} sentences")
            wrong += half_files(folder)
            steps = checkpoint.steps(folder / "checkpoints")
            try:
                whole = checkpoint.load_latest(folder / "checkpoints")
            except Exception as error:
                whole = None
                wrong.append(str(error))
            if steps and whole is None:
                wrong.append("no whole checkpoint")
            again = run(children.train(folder, *SHORT), said)
            if again.code or outcome(folder) != twin:
                wrong.append(f"the same command: {again.code} {again.sentences()[-3:]}")
            case = {"fault": name, "k": k, "code": ended.code, "said": ended.sentences()[-2:], "wrong": wrong}
            found.append(case)
            if wrong:
                print(json.dumps(case), flush=True)
    return calls, found


def main(arguments: list[str]) -> int:
    """Run the campaign and print its figures; 1 if a case was wrong."""
    given = {"every": "1", "out": "/tmp/faults"} | dict(argument.split("=", 1) for argument in arguments)
    out = Path(given["out"]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    if "faults.so" not in os.environ.get("LD_PRELOAD", ""):  # it must be there before anything is opened
        environment = os.environ | {"LD_PRELOAD": str(library(out))}
        return subprocess.run(
            [sys.executable, "-m", "tests.campaign.faults", *arguments], env=environment
        ).returncode
    calls, found = campaign(out, int(given["every"]))
    right = [case for case in found if not case["wrong"]]
    codes = Counter(f"{case['fault']}, exit code {case['code']}" for case in found)
    print(f"{len(right)} of {len(found)} faults right, at {calls} calls of a run; {dict(codes)}")
    return int(len(right) < len(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
