"""kill -9 at random moments of training, saving, exporting, sweeping and evaluating: what is left, goes on.

    python -m tests.campaign.kills [n=100] [seed=0] [out=/tmp/kills]

Each case forks a run, kills it after a random share of the time that an undisturbed twin takes (every other
case: of the time within a phase drawn at random), and gives the same command again.  Right: it ends with the
twin's parameters, rows and digests, and repeats at most one checkpoint interval.
"""

import json
import mmap
import os
import random
import re
import shutil
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import src.evaluate
import src.run.checkpoint
import src.train
from src.door import door
from src.evaluation import looks
from src.generators.nerf import NeRF
from src.run.log import Log
from tests.campaign import children
from tests.campaign.children import emptied, half_files, run, start, wait
from tests.evaluation.judges import write_tiny_clip
from tests.runs import TINY

INTERVAL = 5
PHASES = ("training", "saving", "exporting")
SWEEP = ["-m", "prompt=a red cube", "loss=nfsd,sds", *TINY, "steps=12", "logging.checkpoint_every=5"]


class Progress:
    """A word of shared memory: how many steps a child has logged, and in which phase it is."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def put(self, steps: int | None = None, phase: int | None = None) -> None:
        before = self.get()
        told = (before[0] if steps is None else steps, before[1] if phase is None else phase)
        self._memory[:8] = struct.pack("ii", *told)

    def get(self) -> tuple[int, int]:
        steps, phase = struct.unpack("ii", self._memory[:8])
        return steps, phase

    def watched(self, task: Callable[[], int]) -> Callable[[], int]:
        """The task, telling how far it is."""

        def watch() -> int:
            self.put(0, 0)
            log_step, save, export = Log.step, src.run.checkpoint.save, NeRF.export

            def logged(log: Log, step: int, *rest: Any) -> None:
                log_step(log, step, *rest)
                self.put(steps=step + 1)

            def phased(function: Callable[..., Any], phase: int) -> Callable[..., Any]:
                def during(*given: Any, **named: Any) -> Any:
                    self.put(phase=phase)
                    try:
                        return function(*given, **named)
                    finally:
                        self.put(phase=0)

                return during

            Log.step = logged  # type: ignore[method-assign]
            src.run.checkpoint.save = phased(save, 1)
            NeRF.export = phased(export, 2)  # type: ignore[method-assign]
            return task()

        return watch


class Case(NamedTuple):
    """What became of one kill."""

    number: int
    kind: str
    after_seconds: float
    phase: str
    right: bool
    why: str


def outcome(folder: Path) -> dict[str, Any]:
    """What must be equal: parameters, and every row of metrics.jsonl."""
    told = json.loads((folder / "manifest.json").read_text())
    rows = (folder / "metrics.jsonl").read_text(errors="replace")
    keys = ("parameters_sha256", "finished", "step", "unet_passes_per_sample", "opacity")
    return {"rows": rows, **{key: told[key] for key in keys}}


def outcomes(folder: Path) -> dict[str, Any]:
    """The outcome of every run of a sweep; whatever else lies there has none."""
    return {
        path.name: outcome(path) if (path / "manifest.json").exists() else path.name
        for path in sorted(folder.iterdir())
        if path.is_dir()
    }


def alive(child: int) -> bool:
    """Whether a child still runs; it is left to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def kill_run(number: int, draw: random.Random, out: Path, twin: dict[str, Any], seconds: float) -> Case:
    """Kill one run, and give its command again."""
    folder, progress = emptied(out / "killed"), Progress()
    said = out / "said"
    child = start(progress.watched(children.train(folder)), said)
    began = time.monotonic()
    wanted = draw.randrange(3) if number % 2 else None
    share = draw.random()
    if wanted is None:
        time.sleep(share * seconds)
    else:  # saving takes a tenth of a run: in every other case the phase is drawn, and then the moment
        times = draw.randrange(1, 6)
        while times and alive(child):
            if progress.get()[1] == wanted:
                times -= 1
                while times and progress.get()[1] == wanted and wanted and alive(child):
                    time.sleep(0.0002)
            if wanted != 1 or not times:
                break
            time.sleep(0.0002)
        while wanted == 2 and progress.get()[1] != 2 and alive(child):
            time.sleep(0.001)
        time.sleep(share * (0.004 if wanted == 1 else seconds / 2))
    os.kill(child, signal.SIGKILL)
    after = time.monotonic() - began
    if (ended := wait(child, said)).code != -signal.SIGKILL:  # it had ended before
        assert ended.code == 0, ended.err
        return kill_run(number, draw, out, twin, seconds)
    steps, phase = progress.get()
    wrong = half_files(folder)
    again = run(children.train(folder), said)
    why = [f"half files: {wrong}"] if wrong else []
    if again.code:
        why.append(f"the same command ended with {again.code}: {again.sentences()}")
    else:
        found = outcome(folder)
        why += [f"{key} differs" for key in twin if found[key] != twin[key]]
        resumed = re.search(r"(?:continuing|finished) at step (\d+)", again.out)
        repeated = steps - (int(resumed[1]) if resumed else 0)
        if repeated > INTERVAL:
            why.append(f"{repeated} steps repeated")
        if left := [path.name for path in folder.rglob("*.broken*")]:
            why.append(f"set aside: {left}")
    return Case(number, "run", round(after, 3), PHASES[phase], not why, "; ".join(why))


def kill_sweep(number: int, draw: random.Random, out: Path, twin: dict[str, Any], seconds: float) -> Case:
    """Kill a sweep of two runs, and give its command again."""
    folder, said = emptied(out / "killed-sweep"), out / "said"
    task = lambda: door(src.train.train, [*SWEEP, f"out={folder}"])  # noqa: E731
    child = start(task, said)
    after = draw.random() * seconds
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    wait(child, said)
    wrong = half_files(folder)
    again = run(task, said)
    why = [f"half files: {wrong}"] if wrong else []
    found = outcomes(folder)
    if again.code or found != twin or not (folder / "sweep.md").exists():
        why.append(f"exit code {again.code}, {again.sentences()}, equal: {found == twin}")
    return Case(number, "sweep", round(after, 3), "sweeping", not why, "; ".join(why))


def evaluation(folder: Path) -> Callable[[], int]:
    """Evaluating a run, as a task: by a judge that knows nothing and costs nothing."""
    judge = folder.parent / "judge"

    def task() -> int:
        looks.CACHE = folder.parent / "samples"
        return src.evaluate.main([f"run={folder}", f"judge={judge}"])

    return task


def kill_evaluation(number: int, draw: random.Random, out: Path, run_folder: Path, seconds: float) -> Case:
    """Kill an evaluation, and give its command again; the twin's figures lie beside the run."""
    folder, said = out / "killed-evaluation", out / "said"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run_folder, folder)
    twin = (folder / "evaluation.json").read_text()
    for path in folder.glob("evaluation.*"):
        path.unlink()
    child = start(evaluation(folder), said)
    after = draw.random() * seconds
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    wait(child, said)
    wrong = half_files(folder)
    again = run(evaluation(folder), said)
    why = [f"half files: {wrong}"] if wrong else []
    if again.code or (folder / "evaluation.json").read_text() != twin:
        why.append(f"exit code {again.code}, {again.sentences()}")
    return Case(number, "evaluation", round(after, 3), "evaluating", not why, "; ".join(why))


def campaign(n: int, seed: int, out: Path, sweeps: int, evaluations: int, first: int = 0) -> list[Case]:
    """Kill n times in all, of them so many sweeps and evaluations; `first` goes on where one stopped."""
    out.mkdir(parents=True, exist_ok=True)
    twin_folder = emptied(out / "twin")
    began = time.monotonic()
    assert run(children.train(twin_folder), out / "said").code == 0
    seconds, twin = time.monotonic() - began, outcome(twin_folder)
    cases: list[Case] = []
    kinds = ["sweep"] * sweeps + ["evaluation"] * evaluations + ["run"] * (n - sweeps - evaluations)
    sweep_twin: dict[str, Any] = {}
    sweep_seconds = evaluation_seconds = 0.0
    if sweeps:
        folder, began = emptied(out / "twin-sweep"), time.monotonic()
        assert run(lambda: door(src.train.train, [*SWEEP, f"out={folder}"]), out / "said").code == 0
        sweep_seconds = time.monotonic() - began
        sweep_twin = outcomes(folder)
    if evaluations:
        judge = emptied(out / "judge")
        assert run(lambda: not write_tiny_clip(judge, 16).is_dir(), out / "said").code == 0
        began = time.monotonic()
        assert run(evaluation(twin_folder), out / "said").code == 0
        evaluation_seconds = time.monotonic() - began
    for number, kind in list(enumerate(reversed(kinds)))[first:]:
        draw = random.Random(f"{seed}-{number}")
        match kind:
            case "run":
                cases.append(kill_run(number, draw, out, twin, seconds))
            case "sweep":
                cases.append(kill_sweep(number, draw, out, sweep_twin, sweep_seconds))
            case _:
                cases.append(kill_evaluation(number, draw, out, twin_folder, evaluation_seconds))
        print(json.dumps(cases[-1]._asdict()), flush=True)
    return cases


def main(arguments: list[str]) -> int:
    """Run the campaign and print its figures; 1 if a case was wrong."""
    given = {"n": "100", "seed": "0", "out": "/tmp/kills", "sweeps": "15", "evaluations": "5", "first": "0"}
    given |= dict(argument.split("=", 1) for argument in arguments)
    n, seed, sweeps, evaluations = (int(given[key]) for key in ("n", "seed", "sweeps", "evaluations"))
    cases = campaign(n, seed, Path(given["out"]), sweeps, evaluations, int(given["first"]))
    phases = Counter(case.phase for case in cases)
    right = sum(case.right for case in cases)
    print(f"{right} of {len(cases)} kills right (seed {seed}); by phase: {dict(phases)}")
    return int(right < len(cases))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
