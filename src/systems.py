"""A system: stages, each an ordinary run of the one step, begun from what the stage before left.

conf/systems/NAME.yaml names the stages in their order and, of each, settings as one types them; what stands
below a preset's name holds under that preset alone.  What the user types wins: loss=nfsd in every stage,
stage.fine.loss=nfsd in one.  The last stage's run lies in the system's own folder, so that whatever takes
a run takes a system; those before lie in folders of it, by their names.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from src.config import RunConfig, run_name
from src.errors import UserError
from src.quoting import written

ONE = "++stage."  # how Hydra is told a setting of one stage (src/command_line.py)
ITS_OWN = ("generator", "source")  # what a system is made of
GROUPS = ("loss", "prior")  # whoever chooses another one does not want the system's settings of the first


def stages_of(system: str, preset: str, given: Sequence[str], conf: Path) -> dict[str, list[str]]:
    """By stage, in their order, all overrides that it is composed of; `given` are the user's own, as Hydra's.

    Raises UserError for a system, a stage or a preset that there is not, and for what no user may choose.
    """
    stages = _read(system, conf)
    everywhere = [override for override in given if not override.startswith(("system=", ONE))]
    alone: dict[str, list[str]] = {name: [] for name in stages}
    for override in given:
        if override.startswith(ONE):
            name, _, setting = override.removeprefix(ONE).partition(".")
            if name not in alone or not setting.partition("=")[0]:
                raise UserError(
                    f"stage.{name} is no stage: system={system} has {', '.join(stages)}; a setting of one is "
                    f"stage.{next(iter(stages))}.NAME=VALUE"
                )
            alone[name].append(setting)
    for name in _names([*everywhere, *(setting for each in alone.values() for setting in each)]):
        if name in ITS_OWN:
            raise UserError(f"system={system} says what {name} a stage has: leave {name}= or system= away")
    found: dict[str, list[str]] = {}
    for stage, told in stages.items():
        typed = _names([*everywhere, *alone[stage]])
        lines = [
            f"{name}={written(value)}"
            for name, value in _at(system, preset, told).items()
            if name not in typed and name.partition(".")[0] not in typed & set(GROUPS)
        ]
        others = [one for one in everywhere if one.partition("=")[0] not in _names(alone[stage])]
        begins = [f"source={written(list(found)[-1])}"] if found else []
        found[stage] = [*lines, *others, *alone[stage], *begins]
    return found


def placed(stages: Sequence[RunConfig], below: str) -> list[RunConfig]:
    """Stages with their folders, the system's being in `below`; a single run is its own only stage."""
    return at(stages, os.path.join(below, run_name(*stages)))


def at(stages: Sequence[RunConfig], folder: str) -> list[RunConfig]:
    """Stages in a system's folder, each with what it begins from."""
    names = [str(stage.system).rpartition("/")[2] for stage in stages[:-1]]
    outs = [*(os.path.join(folder, name) for name in names), folder]  # ./~ stays what it is
    sources = [stages[0].source, *outs[:-1]]
    return [
        replace(stage, out=out, source=source)
        for stage, out, source in zip(stages, outs, sources, strict=True)
    ]


def _read(system: str, conf: Path) -> dict[str, Mapping[str, Any]]:
    known = sorted(path.stem for path in (conf / "systems").glob("*.yaml"))
    name, slash, _ = system.partition("/")
    if slash and name in known:
        raise UserError(
            f"system={system} is a stage, which begins from the one before: choose system={name}; or "
            "generator= and source=RUN, to begin from a run of your own"
        )
    if system not in known:
        raise UserError(f"system={system} does not exist: choose one of {', '.join(known)}")
    stages: dict[str, Mapping[str, Any]] = yaml.safe_load(
        (conf / "systems" / f"{system}.yaml").read_text(encoding="utf-8")
    )
    return stages


def _at(system: str, preset: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's settings under a preset."""
    presets = {name: value for name, value in told.items() if isinstance(value, dict)}
    if preset not in presets:
        raise UserError(f"system={system} has no values for preset={preset}: choose {', '.join(presets)}")
    return {name: value for name, value in told.items() if name not in presets} | presets[preset]


def _names(overrides: Sequence[str]) -> set[str]:
    return {override.partition("=")[0] for override in overrides}
