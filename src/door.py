"""The door: from a command line to a task with one typed RunConfig, or to one sentence about what is wrong.

Hydra composes conf/ into a DictConfig; here it becomes plain dataclasses, and below the door nobody knows
Hydra. Whatever the user got wrong leaves as one sentence on stderr and exit code 2.
"""

import errno
import inspect
import math
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, cast

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from src import command_line, systems
from src.config import LOSSES, RunConfig, setting_names
from src.errors import UserError
from src.sweeps import runs as sweep
from src.sweeps.jobs import Failure, Failures, own_gpu
from src.sweeps.table import check_table, write_table
from src.talk import steady

P = ParamSpec("P")
CONF = Path(__file__).parent.parent / "conf"
# Of a disk: broken, read-only, gone (a share, a stick), or that holds no file so large (FAT, ulimit -f).
REFUSALS = {errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EFBIG}


@cache
def register() -> None:
    """Tell Hydra the types of all settings, once."""
    store = ConfigStore.instance()
    store.store(name="schema", node=RunConfig)
    for name, loss in LOSSES.items():
        store.store(group="loss", name=name, node=loss)


def from_hydra(composed: DictConfig) -> RunConfig:
    """Turn a composed DictConfig into a checked RunConfig; raises UserError naming setting and remedy."""
    cfg = OmegaConf.to_object(composed)
    assert isinstance(cfg, RunConfig)
    cfg.schedule.for_run(cfg.steps)
    cfg.check_new()
    return cfg


def runs_of(composed: DictConfig, given: Sequence[str], sweep: bool = False) -> list[RunConfig]:
    """The runs that a composed DictConfig stands for, one after the other, with their output folders.

    One run, or the stages of a system, which are composed anew from the overrides that were `given`.
    """
    system = composed.system
    if system is None:
        if composed.stage:
            name = next(iter(composed.stage))
            raise UserError(f"stage.{name} is a stage of a system: name the system, as in system=magic3d")
        runs = [from_hydra(composed)]
    else:
        stages = systems.stages_of(system, composed.preset, given, CONF)
        runs = [from_hydra(hydra.compose("train", overrides)) for overrides in stages.values()]
        for name, run in zip(stages, runs, strict=True):
            run.system = system if run is runs[-1] else f"{system}/{name}"
    out = runs[-1].out
    if out is None or sweep:
        return systems.placed(runs, out or "outputs")
    return systems.at(runs, out)


def settings(*arguments: str) -> RunConfig:
    """Compose a run's settings, or those of a system's last stage, as the command line would."""
    return stages(*arguments)[-1]


def stages(*arguments: str) -> list[RunConfig]:
    """Compose a run, or all stages of a system, as the command line would, without running anything."""
    register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        prepared = command_line.prepare(list(arguments), CONF)
        return runs_of(hydra.compose("train", prepared), prepared)


def one_sentence(command: Callable[P, int]) -> Callable[P, int]:
    """Let a command end with exit code 130 after Ctrl-C, and with 2 after one sentence on stderr about what
    the user can put right; --help shows what its file says of it.  Errors that are ours are raised.
    """

    @wraps(command)
    def ended(*arguments: P.args, **settings: P.kwargs) -> int:
        typed = arguments[-1] if arguments else None
        # Of src.train, Hydra tells: all its settings.
        if isinstance(typed, list) and {"--help", "-h"} & {*typed} and command.__module__ != __name__:
            with suppress(BrokenPipeError):  # whoever reads it has seen enough
                print(inspect.cleandoc(sys.modules[command.__module__].__doc__ or ""), flush=True)
                return 0
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor does anything left say more
            return 0
        with steady():
            try:
                return command(*arguments, **settings)
            except KeyboardInterrupt:
                return 130
            except Exception as error:
                sentence = explain(error)
                if sentence is None:
                    raise
                print(sentence, file=sys.stderr)
                return 2

    return ended


@one_sentence
def door(task: Callable[[RunConfig], float], arguments: list[str]) -> int:
    """Run `task` with the settings that `arguments` name, once or (--multirun) for every combination; of a
    system, with those of each stage in turn.

    Returns the exit code: 0, 1 after a job of a sweep that failed by our mistake, or 2 after saying in one
    sentence what the user can put right.  A sweep goes on past jobs that fail; one with a folder of its own
    leaves its table there.
    """
    register()
    reason = command_line.why_preset(arguments)
    folder = command_line.sweep_folder(arguments)
    prepared = command_line.prepare(arguments, CONF)
    failed: list[Failure] = []
    failures: Failures | None = None
    if command_line.is_sweep(prepared):
        if folder is not None:
            check_table(folder, "sweep" if any(each.startswith("sweep=") for each in arguments) else "out")
        failures = Failures.below(folder or Path("outputs"), command_line.swept(prepared))

    def job(composed: DictConfig) -> float:
        hydra_config = HydraConfig.get()
        try:
            sweep, found = hydra_config.mode == RunMode.MULTIRUN, math.nan
            # As typed: what they refer to is found, or not, where the run's settings are read.
            given = cast(list[str], OmegaConf.to_container(hydra_config.overrides.task, resolve=False))
            runs = runs_of(composed, given, sweep)
            print(f"preset {composed.preset}: {reason}", flush=True)
            with steady(), own_gpu(runs[0]) if failures else nullcontext():
                for number, run in enumerate(runs, 1):
                    run.device = runs[0].device
                    if len(runs) > 1:
                        print(f"{run.system}: stage {number} of {len(runs)}", flush=True)
                    found = task(run)
            return found
        except Exception as error:
            sentence = explain(error)
            if failures is not None:
                failures.note(hydra_config.job.num, hydra_config.overrides.task, error, sentence)
            elif sentence is None:
                raise
            else:  # raised, it would get words of Hydra's in front
                print(sentence, file=sys.stderr)
                failed.append(Failure("", sentence, 2))
            return math.nan

    sys.argv = [sys.argv[0], *prepared]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and leaves the wording to us
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(job)()
    except Exception as error:
        if explain(error) is not None:
            folder = None  # it could not be composed: no job has run
        raise
    finally:  # also after a signal, or a worker that the system killed
        if failures is not None:
            failed += failures.collect()
            for failure in failed:  # once more, together: elsewhere, or far above in this terminal
                print(failure.sentence(), file=sys.stderr)
            if folder is not None:
                _conclude(folder, arguments, failed)
    return min((failure.code for failure in failed), default=0)


def _conclude(folder: Path, arguments: list[str], failed: list[Failure]) -> None:
    try:
        runs = sweep.read_runs(folder)
    except UserError:
        return  # no job got as far as a folder: each has said why
    command = shlex.join(["python", "-m", "src.train", *arguments])
    sweep.remember(folder, command, {failure.job: failure.why for failure in failed})
    path = write_table(folder, runs)
    finished = sum(run.finished for run in runs)
    print(f"{path}: {finished} of {len(runs)} runs finished; {len(failed)} jobs failed", flush=True)


def explain(error: Exception) -> str | None:
    """Return the one sentence for an error that the user can put right, None for one that is ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"out: the disk is full ({error}): free some space, then give the same command again"
    if isinstance(error, OSError) and error.errno in REFUSALS:
        return (
            f"out: the disk refuses ({error}); the last checkpoint is kept: look after the disk or choose "
            "another out=FOLDER, then give the same command again"
        )
    said = command_line.explain(error, list(setting_names(RunConfig)))
    if said is None and isinstance(error, OSError) and error.filename is not None:
        return f"out: {error.filename} cannot be used ({error.strerror}): choose another out=FOLDER"
    return said
