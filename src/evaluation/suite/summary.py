"""From the evaluations of a suite to its numbers: means with 95% intervals, paired differences, counts."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple, TypeVar

from src.evaluation.suite.figures import DIVERSITY, FIGURES, FLAGS, Figure, error_of, flags_of, value_of
from src.evaluation.suite.intervals import Cases, Count, Interval, mean_interval, paired, wilson
from src.toybox.world.captions import named, unseen

Key = TypeVar("Key")

SEEN = "What the prior was taught"
UNSEEN = "What it was never taught: a colour, a material or a base of that kind"


class Evaluated(NamedTuple):
    """A run of the suite and what its evaluation.json says."""

    prompt: str
    method: str
    seed: int
    name: str  # of the run's folder
    evaluation: dict[str, Any]


Means = dict[str, dict[str, Interval]]  # by figure, then by method


class Summary(NamedTuple):
    """What a suite found."""

    methods: list[str]
    runs: dict[str, int]  # by method
    means: Means
    differences: dict[str, dict[tuple[str, str], Interval]]  # the second method less the first, by figure
    flags: dict[str, dict[str, Count]]  # by failure, then by method
    beside: dict[str, str]  # what to read a figure beside: its ceiling, its floor, the judge's own error
    parts: dict[str, Means]  # of prompts that the prior was taught, and of the others


def summarise(runs: Sequence[Evaluated], diversity: Mapping[str, Cases]) -> Summary:
    """Average every figure over prompts and seeds; `diversity` has each method's, one case a prompt."""
    methods = list(dict.fromkeys(run.method for run in runs))
    pairs = list(combinations(methods, 2))
    means: Means = {}
    differences: dict[str, dict[tuple[str, str], Interval]] = {}
    for figure in FIGURES:
        cases = {method: _cases(runs, figure.key, method) for method in methods}
        if figure is DIVERSITY:
            cases = {method: diversity.get(method, {}) for method in methods}
        means[figure.key] = _intervals(cases)
        differences[figure.key] = _intervals({(a, b): paired(cases[b], cases[a]) for a, b in pairs})
    flags = {}
    for flag in FLAGS:
        values = {method: _cases(runs, f"failures.{flag}", method) for method in methods}
        flags[flag] = {m: wilson(round(sum(v.values())), len(v)) for m, v in values.items() if v}
    parts = {}
    for part, prompts in _familiarity(dict.fromkeys(run.prompt for run in runs)).items():
        some = [run for run in runs if run.prompt in prompts]
        parts[part] = {
            figure.key: _intervals({method: _cases(some, figure.key, method) for method in methods})
            for figure in FIGURES
        }
    counts = {method: sum(run.method == method for run in runs) for method in methods}
    beside = {figure.key: _beside(runs, figure) for figure in FIGURES}
    return Summary(methods, counts, means, differences, flags, beside, parts)


def as_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain values; a difference is called "B - A"."""
    return {
        "methods": summary.methods,
        "runs": summary.runs,
        "means": _plain(summary.means),
        "differences": {
            key: {f"{second} - {first}": interval._asdict() for (first, second), interval in row.items()}
            for key, row in summary.differences.items()
        },
        "flags": {flag: {m: c._asdict() for m, c in row.items()} for flag, row in summary.flags.items()},
        "beside": summary.beside,
        "parts": {part: _plain(means) for part, means in summary.parts.items()},
    }


def as_csv(runs: Sequence[Evaluated]) -> str:
    """A line a run: its figures, empty where it has none, and its flags, 1 where one is up."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    keys = [figure.key for figure in FIGURES if figure is not DIVERSITY]  # which takes several seeds
    writer.writerow(["prompt", "method", "seed", *keys, *FLAGS])
    for run in runs:
        flags = [int(flag in flags_of(run.evaluation)) for flag in FLAGS]
        figures = [value_of(run.evaluation, key) for key in keys]
        writer.writerow([run.prompt, run.method, run.seed, *figures, *flags])
    return file.getvalue()


def _cases(runs: Sequence[Evaluated], key: str, method: str) -> Cases:
    """A figure of every run of a method that has it."""
    values = {(run.prompt, run.seed): value_of(run.evaluation, key) for run in runs if run.method == method}
    return {case: value for case, value in values.items() if value is not None}


def _intervals(cases: Mapping[Key, Cases]) -> dict[Key, Interval]:
    return {key: mean_interval(some) for key, some in cases.items() if some}


def _familiarity(prompts: Iterable[str]) -> dict[str, list[str]]:
    """Prompts by whether the bundled prior's training left them out; other worlds' are in neither part."""
    parts: dict[str, list[str]] = {}
    for prompt in prompts:
        subject = named(prompt)
        if subject is not None:
            parts.setdefault(UNSEEN if unseen(subject) else SEEN, []).append(prompt)
    return parts if len(parts) == 2 else {}


def _beside(runs: Sequence[Evaluated], figure: Figure) -> str:
    """The figure's reference, with the mean over all runs of what it names."""
    group = figure.key.split(".")[0]
    measured = [run.evaluation for run in runs if value_of(run.evaluation, figure.key) is not None]
    if not measured or not figure.reference:
        return error_of(runs[0].evaluation, figure)
    found = [evaluation["figures"][group] for evaluation in measured]
    names = [name for name in found[0] if f"{{{name}:" in figure.reference]
    return figure.reference.format(**{name: sum(one[name] for one in found) / len(found) for name in names})


def _plain(means: Means) -> dict[str, dict[str, Any]]:
    return {key: {method: found._asdict() for method, found in row.items()} for key, row in means.items()}
