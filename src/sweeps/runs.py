"""A folder of runs, read back: the settings in which they differ, and that equal seeds drew equally.

sweep.json keeps the command that last worked on it, and the jobs that failed.
"""

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from src.config import NOT_IDENTITY
from src.errors import UserError
from src.run.checkpoint import write_atomically
from src.run.folder import leaves, read_manifest, read_settings, say_what_changed
from src.run.seal import unsealed

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Run:
    """One run of a sweep, finished or not."""

    folder: Path
    settings: Mapping[str, Value]  # those that make it this run, and steps, as they are typed
    manifest: Mapping[str, Any]
    draws: tuple[str, ...]  # digest of each step's random numbers
    evaluation: Mapping[str, Any] | None

    @property
    def finished(self) -> bool:
        """Whether it has all the steps that it was last asked for."""
        return self.manifest.get("finished") is True


class Draws(NamedTuple):
    """What the runs of one seed drew, over the steps that they all have."""

    seed: Value
    runs: int
    steps: int
    differ_from: int | None  # the first step in which they do not agree
    digest: str  # of the first run's steps
    system: Value = None  # another system draws other numbers

    @property
    def agree(self) -> bool:
        """Whether there was something to compare, and it agreed."""
        return self.runs > 1 and self.steps > 0 and self.differ_from is None

    def sentence(self) -> str:
        """The finding in words."""
        whose = f"seed {self.seed}" + (f", {self.system}" if self.system else "")
        if self.runs == 1:
            return f"{whose}: one run, nothing to compare"
        if not self.steps:
            return f"{whose}: {self.runs} runs, not all of which have steps to compare"
        if self.agree:
            return (
                f"{whose}: {self.runs} runs drew the same random numbers in each of {self.steps} "
                f"steps (digest {self.digest})"
            )
        return f"{whose}: the draws of {self.runs} runs differ from step {self.differ_from} on"


def read_runs(folder: Path) -> list[Run]:
    """Read every run below a folder, in the order of the settings in which they differ; UserError if none.

    A system's stages, which lie in its folder, are runs as well.
    """
    if not folder.is_dir():
        raise UserError(f"sweep={folder} is no folder: name a sweep's, as in sweep=outputs/NAME")
    found = {path.parent: read_settings(path.parent) for path in sorted(folder.glob("*/config.yaml"))}
    for path in sorted(folder.glob("*/*/config.yaml")):  # in a folder of sweeps there are others' runs, too
        settings = read_settings(path.parent)
        if settings is not None and "/" in str(settings.get("system")):
            found[path.parent] = settings
    runs = [_read(path, settings) for path, settings in found.items() if settings is not None]
    for path, settings in found.items():
        if settings is None:  # somebody else's, or damaged
            print(f"{path} is left out: its config.yaml is none of a run's", file=sys.stderr)
    if not runs:
        raise UserError(f"sweep={folder} holds no run: name the folder that holds the runs' folders")
    names = independent(runs)
    return sorted(runs, key=lambda run: [in_order(run.settings.get(name)) for name in names])


def in_order(value: Value) -> tuple[bool, float, str]:
    """A key to sort by: numbers by size, then texts."""
    return (True, 0.0, str(value)) if isinstance(value, str) else (False, float(value or 0), "")


def differing(runs: Sequence[Run]) -> list[str]:
    """The settings in which runs differ, in the order of the configuration."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [name for name in names if len({run.settings.get(name) for run in runs}) > 1]


def independent(runs: Sequence[Run], given: Sequence[str] = ()) -> list[str]:
    """The differing settings that no others decide: those given, the prompt, the loss, ..., the seed last.

    What a loss brings along (its own scale, its tuned values) follows from it and is left out.
    """
    rank = {"prompt": 0, "system": 1, "loss": 2, "seed": 4}
    chosen = list(given)
    for name in sorted(differing(runs), key=lambda name: rank.get(name, 3)):
        seen = defaultdict(set)
        for run in runs:
            seen[tuple(run.settings.get(other) for other in chosen)].add(run.settings.get(name))
        if any(len(values) > 1 for values in seen.values()):
            chosen.append(name)
    return chosen


def compare_draws(runs: Sequence[Run]) -> list[Draws]:
    """Hold the draws of equal seeds beside each other, step by step; of each system's apart."""
    by_seed: dict[tuple[Value, Value], list[Run]] = defaultdict(list)
    for run in runs:
        by_seed[run.settings.get("seed"), run.settings.get("system")].append(run)
    found = []
    for (seed, system), some in by_seed.items():
        steps = min(len(run.draws) for run in some)
        differ = (step for step in range(steps) if len({run.draws[step] for run in some}) > 1)
        first = next(differ, None)
        found.append(Draws(seed, len(some), steps, first, digest(some[0].draws[:steps]), system))
    return sorted(found, key=lambda one: str(one.seed).zfill(20))


def remember(folder: Path, command: str, failed: Mapping[str, str]) -> None:
    """Keep the command that last worked on a sweep, and why which of its jobs failed."""
    facts = {"command": command, "failed": failed}
    write_atomically(folder / "sweep.json", (json.dumps(facts, indent=1) + "\n").encode())


def remembered(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the command and the failed jobs; empty where nothing is remembered."""
    try:
        facts = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
        return str(facts["command"]), dict(facts["failed"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", {}


def _read(folder: Path, whole: Mapping[str, Any]) -> Run:
    say_what_changed(folder)
    settings = {
        "loss" if name == "loss.name" else name: str(value) if isinstance(value, list) else value
        for name, value in leaves(whole)
        if name == "steps" or not (name.endswith(".backend") or name.partition(".")[0] in NOT_IDENTITY)
    }
    manifest = read_manifest(folder)
    return Run(folder, settings, manifest, _draws(folder), _evaluation(folder, manifest))


def _draws(folder: Path) -> tuple[str, ...]:
    """The digests of steps 0, 1, ... up to the first row that is not to be had."""
    digests: list[str] = []
    path = folder / "metrics.jsonl"
    rows = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    for number, row in enumerate(rows):
        try:
            found = json.loads(row)
            whole = found["step"] == number and isinstance(found["draws"], str)
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            if row.endswith(b"\n"):  # else it is being written, or was when a kill came
                print(f"{path} is damaged from row {number + 1} on, and read up to there", file=sys.stderr)
            break
        digests.append(found["draws"])
    return tuple(digests)


def _evaluation(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """What src.evaluate found, unless the run has gone on since."""
    try:
        found = unsealed(json.loads((folder / "evaluation.json").read_text(encoding="utf-8")))
        current = found["made_with"]["parameters_sha256"] == manifest["parameters_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if current else None


def digest(draws: Sequence[str]) -> str:
    """A short name for what a run drew: equal for equal draws."""
    return hashlib.blake2b(" ".join(draws).encode(), digest_size=6).hexdigest()
