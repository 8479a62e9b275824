"""What training costs under the studio: python -m tests.studio.slowdown [pairs=3] [steps=300]

The same run of preset=bench by turns in a terminal and under a studio whose page watches it in a headless
Chromium.  Wall-clock seconds mean something on a machine that does nothing else; the processor's seconds of
the trainer, and of the studio with the process that draws, do on any.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from src.arguments import in_range, parse
from src.run.folder import read_manifest
from tests.chromium import chromium

OFTEN = 12  # steps between two shapes: what the studio asks bench for
PATIENCE_SECONDS = 3600


@dataclass
class Settings:
    """What the command line can change."""

    pairs: int = 3
    steps: int = 300

    def __post_init__(self) -> None:
        in_range(self, ["pairs", "steps"], 1, 10_000)


def train(folder: Path, *settings: str) -> tuple[float, float]:
    """Train; returns seconds of the steps by the wall clock, and of all by the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "src.train", "prompt=a ceramic lion", "preset=bench", "threads=1"]
    subprocess.run([*command, f"out={folder}", *settings], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return sum(read_manifest(folder)["seconds"].values()), processor


def watched(outputs: Path, name: str, *settings: str) -> tuple[float, float, float]:
    """The same under a studio; and the processor's seconds of the studio, from when its page is up."""
    with ExitStack() as stack:
        command = [sys.executable, "-m", "src.studio", "port=0", f"outputs={outputs}"]
        studio = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(studio.terminate)
        assert studio.stdout is not None
        url = studio.stdout.readline().split()[0]
        page = stack.enter_context(chromium(url, Path(tempfile.mkdtemp(dir=outputs.parent))))
        page.until("typeof state !== 'undefined' && state !== null", PATIENCE_SECONDS)
        before, told = _seconds(studio.pid), list[tuple[float, float]]()
        training = threading.Thread(target=lambda: told.append(train(outputs / name, *settings)))
        training.start()
        page.until(f"state.runs.some((run) => run.name === '{name}')", PATIENCE_SECONDS)
        page.run(f"lookAt(['{name}']); 1")
        training.join()
        return *told[0], _seconds(studio.pid) - before


def _seconds(studio: int) -> float:
    processes = [psutil.Process(studio), *psutil.Process(studio).children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def main() -> None:
    """Print every figure, then medians."""
    cfg = parse(Settings, sys.argv[1:])
    os.environ["OMP_NUM_THREADS"] = "1"
    alone, under = [], []
    with tempfile.TemporaryDirectory() as scratch:
        outputs = Path(scratch) / "outputs"
        for pair in range(cfg.pairs):
            alone.append(train(outputs / f"alone-{pair}", f"steps={cfg.steps}"))
            often = f"logging.checkpoint_every={OFTEN}"
            under.append(watched(outputs, f"under-{pair}", f"steps={cfg.steps}", often))
            print(f"alone {alone[-1]}, under the studio {under[-1]}", flush=True)
    wall, processor, wall_under, processor_under, studio = (
        statistics.median(column) for column in (*zip(*alone, strict=True), *zip(*under, strict=True))
    )
    print(
        f"medians: wall {wall:.1f} s alone, {wall_under:.1f} s under the studio; processor {processor:.1f} s"
    )
    print(f"alone, {processor_under:.1f} s under the studio, and {studio:.1f} s for the studio itself")


if __name__ == "__main__":
    main()
