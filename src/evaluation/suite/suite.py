"""A suite: prompts × methods × seeds, each a run of its own; what is finished is never done again.

A method is a loss, or loss@scale with another guidance scale than the loss's own: nfsd, sds, sds@7.5; or a
system: magic3d.  Other settings that make a run what it is may follow, each after a +, to compare what
differs in nothing else: nfsd+prompts.interpolate=true+batch_size=1, magic3d+stage.fine.loss=nfsd.  Its runs
are those of `python -m src.train` with the same settings, in OUT/<run name>, whoever trained them.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from src.command_line import prompt_list
from src.config import LOSSES, NOT_IDENTITY, RunConfig, run_name
from src.door import CONF, stages
from src.errors import UserError
from src.run import machine
from src.run.folder import read_manifest
from src.systems import placed

LOG = "suite.log"  # in the folder of a job's first run: what the job said


@dataclass(frozen=True)
class Method:
    """A loss with its guidance scale (None: the loss's own), or a system, and what else is set, name=value
    each.
    """

    loss: str
    scale: float | None
    others: tuple[str, ...] = ()
    system: bool = False  # `loss` is a system's name

    def overrides(self) -> list[str]:
        """The method as settings of src.train."""
        if self.system:
            return [f"system={self.loss}", *self.others]
        scale = [] if self.scale is None else [f"loss.guidance_scale={self.scale}"]
        return [f"loss={self.loss}", *scale, *self.others]

    def title(self, cfg: RunConfig) -> str:
        """What tables call the method, whose settings `cfg` has: NFSD 7.5 + batch_size=1, or magic3d."""
        first = self.loss if self.system else f"{cfg.loss_name.upper()} {cfg.loss.guidance_scale:g}"
        return " + ".join([first, *self.others])


class Case(NamedTuple):
    """One run of a suite."""

    prompt: str
    method: str  # as tables name it: NFSD 7.5
    seed: int
    cfg: RunConfig
    folder: Path
    chosen: Method


class Job(NamedTuple):
    """A command that brings some cases further."""

    command: list[str]
    cases: list[Case]


def methods(text: str) -> list[Method]:
    """Read losses=[nfsd,sds@7.5,sds@7.5+batch_size=1].

    Raises UserError for an unknown loss, a scale that is no number, a setting without a value and one that
    does not tell runs apart.
    """
    found = []
    for item in (part.strip() for part in text.strip("[]").split(",")):
        method, *others = item.split("+")
        loss, at, scale = method.partition("@")
        for other in others:
            _check_other(f"losses={item}", other)
        if loss not in LOSSES:
            raise UserError(
                f"losses={item} is unknown: choose from {', '.join(LOSSES)}, as in [nfsd,sds@7.5]"
            )
        if at and not re.fullmatch(r"\d+(\.\d+)?", scale):
            raise UserError(f"losses={item}: {scale!r} is no guidance scale: write a number, as in sds@7.5")
        found.append(Method(loss, float(scale) if at else None, tuple(others)))
    return found


def chosen_systems(text: str) -> list[Method]:
    """Read systems=[nfsd,magic3d+stage.fine.loss=nfsd]; raises UserError as `methods` does."""
    found = []
    for item in (part.strip() for part in text.strip("[]").split(",")):
        name, *others = item.split("+")
        for other in others:
            _check_other(f"systems={item}", other)
        found.append(Method(name, None, tuple(others), system=True))
    return found


def _check_other(item: str, other: str) -> None:
    name, equals, _ = other.partition("=")  # the value may be empty: prompts.negative=
    if not equals or name.split(".")[0] in ("", "prompt", "seed", "preset", *NOT_IDENTITY):
        raise UserError(
            f"{item}: {other!r} is no setting of a method: write NAME+SETTING=VALUE, as in nfsd+batch_size=1"
        )


def cases(suite: str, preset: str, chosen: Sequence[Method], seeds: int, out: Path) -> list[Case]:
    """All runs of a suite, seed by seed, so that an interrupted one has whole seeds.

    Raises UserError for an unknown suite or preset, and for two methods whose runs would be the same.
    """
    prompts = prompt_list("suite", suite, CONF)
    composed = [stages(f"prompt={prompts[0]}", f"preset={preset}", *one.overrides()) for one in chosen]
    names = [one.title(runs[-1]) for runs, one in zip(composed, chosen, strict=True)]
    runs = [run_name(*each) for each in composed]
    if twice := [name for name, run in zip(names, runs, strict=True) if runs.count(run) > 1]:
        raise UserError(f"{' and '.join(twice)} are the same runs: name each once")
    found = []
    for seed in range(seeds):
        for prompt in prompts:
            for name, each, method in zip(names, composed, chosen, strict=True):
                *_, one = placed([replace(stage, prompt=prompt, seed=seed) for stage in each], str(out))
                found.append(Case(prompt, name, seed, one, Path(str(one.out)), method))
    return found


def is_trained(case: Case) -> bool:
    """Whether the run has all its steps."""
    manifest = read_manifest(case.folder)
    return manifest.get("finished") is True and manifest.get("step", 0) >= case.cfg.steps


def training(case: Case) -> Job:
    """The command that trains a run, or goes on where it stopped."""
    cfg = case.cfg
    command = [sys.executable, "-m", "src.train", f"prompt={cfg.prompt}", f"preset={cfg.preset}"]
    return Job(
        [*command, *case.chosen.overrides(), f"seed={cfg.seed}", "threads=1", f"out={cfg.out}"], [case]
    )


def evaluations(todo: Sequence[Case], judge: str) -> list[Job]:
    """The commands that evaluate runs: one a prompt, so that its samples and true solids are made once."""
    by_prompt: dict[str, list[Case]] = {}
    for case in todo:
        by_prompt.setdefault(case.prompt, []).append(case)
    command = [sys.executable, "-m", "src.evaluate", f"judge={judge}"]
    return [Job([*command, *(f"run={c.folder}" for c in group)], group) for group in by_prompt.values()]


def work_off(
    jobs: Sequence[Job],
    workers: int,
    is_done: Callable[[Case], bool],
    say: Callable[[Case], str],
    doing: str,
) -> dict[Path, str]:
    """Run jobs, `workers` at once, on one thread each; returns why each case is not done that should be.

    The bar moves with every case that is done, and shows what `say` makes of it.  A first SIGINT or SIGTERM
    is handed on to the running jobs, which save what they have; SystemExit follows once they have ended.
    """
    if not jobs:
        return {}
    waiting, running, failed = list(jobs), dict[subprocess.Popen[bytes], Job](), dict[Path, str]()
    left = {case.folder for job in jobs for case in job.cases}
    terminal = sys.stderr.isatty()
    pace = 0.2 if terminal else 10.0  # a log file needs no animation
    bar = tqdm(total=len(left), desc=doing, unit="run", dynamic_ncols=terminal, mininterval=pace)

    def note(job: Job, ended: int | None) -> None:
        for case in job.cases:
            if case.folder not in left:
                continue
            if is_done(case):
                bar.set_postfix_str(f"{case.folder.name}: {say(case)}; {len(failed)} failed", refresh=False)
            elif ended is not None and not received:
                failed[case.folder] = _last_words(job, case, ended)
            else:
                continue
            left.remove(case.folder)
            bar.update()

    with bar, machine.interruptible() as received:
        try:
            told = False
            while running or (waiting and not received):
                while waiting and len(running) < workers and not received:
                    job = waiting.pop(0)
                    running[_start(job)] = job
                time.sleep(0.1)
                for process, job in list(running.items()):
                    ended = process.poll()
                    note(job, ended)
                    if ended is not None:
                        del running[process]
                    elif received and not told:
                        process.send_signal(signal.SIGINT)
                told = bool(received)
        finally:  # nothing is running here any more, unless a second signal came
            for process in running:
                process.kill()
    if received:
        raise SystemExit(128 + received[0])
    return failed


def _start(job: Job) -> "subprocess.Popen[bytes]":
    folder = job.cases[0].folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # In a session of its own: a terminal's Ctrl-C then reaches it once, through us.
        with (folder / LOG).open("wb") as log:
            return subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
    except OSError as error:
        raise UserError(
            f"out: {folder} cannot be used ({error.strerror}): choose another out=FOLDER"
        ) from error


def _last_words(job: Job, case: Case, returncode: int) -> str:
    """What a job said last of this case, or at all."""
    log = (job.cases[0].folder / LOG).read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    about = [line for line in lines if case.folder.name in line] if len(job.cases) > 1 else []
    return (about or lines or [f"it ended with code {returncode} and without a word"])[-1]
