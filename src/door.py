"""The door: from a command line to a task with one typed RunConfig, or to one sentence about what is wrong.

Hydra composes conf/ into a DictConfig; here it becomes plain dataclasses, and below the door nobody knows
Hydra. Whatever the user got wrong leaves as one sentence on stderr and exit code 2.
"""

import dataclasses
import errno
import math
import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from src import command_line
from src.config import LOSSES, RunConfig, run_name
from src.errors import UserError
from src.guidance.losses import DistillationLoss

P = ParamSpec("P")
CONF = Path(__file__).parent.parent / "conf"


def register() -> None:
    """Tell Hydra the types of all settings; idempotent."""
    store = ConfigStore.instance()
    store.store(name="schema", node=RunConfig)
    for name, loss in LOSSES.items():
        store.store(group="loss", name=name, node=loss)


def from_hydra(composed: DictConfig, sweep: bool = False) -> RunConfig:
    """Turn a composed DictConfig into a checked RunConfig with its output folder filled in.

    Raises UserError naming the setting and the remedy.
    """
    cfg = OmegaConf.to_object(composed)
    assert isinstance(cfg, RunConfig)
    if cfg.out is None:
        cfg.out = str(Path("outputs") / run_name(cfg))
    elif sweep:
        cfg.out = str(Path(cfg.out) / run_name(cfg))
    return cfg


def settings(*arguments: str) -> RunConfig:
    """Compose settings as the command line would, without running anything."""
    register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return from_hydra(hydra.compose("train", command_line.prepare(list(arguments), CONF)))


def one_sentence(command: Callable[P, int]) -> Callable[P, int]:
    """Let a command end with exit code 130 after Ctrl-C, and with 2 after one sentence on stderr about what
    the user can put right.  Errors that are ours are raised.
    """

    @wraps(command)
    def ended(*arguments: P.args, **settings: P.kwargs) -> int:
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
    """Run `task` with the settings that `arguments` name, once or (--multirun) for every combination.

    Returns the exit code: 0, or 2 after saying in one sentence what the user can put right.
    """
    failed: list[str] = []
    process = os.getpid()

    def job(composed: DictConfig) -> float:
        try:
            cfg = from_hydra(composed, HydraConfig.get().mode == RunMode.MULTIRUN)
            print(f"preset {cfg.preset}: {reason}", flush=True)
            return task(cfg)
        except Exception as error:
            sentence = explain(error)
            if sentence is None or os.getpid() != process:  # a launcher's worker reports by raising
                raise
            print(sentence, file=sys.stderr)
            failed.append(sentence)
            return math.nan

    register()
    reason = command_line.why_preset(arguments)
    sys.argv = [sys.argv[0], *command_line.prepare(arguments, CONF)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and leaves the wording to us
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(job)()
    return 2 if failed else 0


def explain(error: Exception) -> str | None:
    """Return the one sentence for an error that the user can put right, None for one that is ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"out: the disk is full ({error}): free some space, then give the same command again"
    said = command_line.explain(error, list(_keys(RunConfig)))
    if said is None and isinstance(error, OSError) and error.filename is not None:
        return f"out: {error.filename} cannot be used ({error.strerror}): choose another out=FOLDER"
    return said


def _keys(cfg: type, prefix: str = "") -> Iterator[str]:
    """Every setting's full name, those of all losses included."""
    for entry in dataclasses.fields(cfg):
        if entry.type is DistillationLoss:
            yield prefix + entry.name
            for loss in LOSSES.values():
                yield from _keys(loss, f"{prefix}{entry.name}.")
        elif dataclasses.is_dataclass(entry.type):
            assert isinstance(entry.type, type)
            yield from _keys(entry.type, f"{prefix}{entry.name}.")
        else:
            yield prefix + entry.name
