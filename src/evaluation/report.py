"""From the evaluations of a suite to its table: means with 95% intervals, paired differences, counts."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from src.evaluation.figures import DIVERSITY, FIGURES, FLAGS, Figure, value_of
from src.evaluation.intervals import Cases, Count, Interval, mean_interval, paired, wilson

ARROWS = {"higher": "↑", "lower": "↓", "near 0": "→ 0", "": ""}  # which way is better


class Evaluated(NamedTuple):
    """A run of the suite and what its evaluation.json says."""

    prompt: str
    method: str
    seed: int
    name: str  # of the run's folder
    evaluation: dict[str, Any]


class Summary(NamedTuple):
    """What a suite found; every inner key is a method, or two methods for a difference."""

    methods: list[str]
    runs: dict[str, int]
    means: dict[str, dict[str, Interval]]  # by figure
    differences: dict[str, dict[tuple[str, str], Interval]]  # by figure: the second method less the first
    flags: dict[str, dict[str, Count]]


def summarise(runs: Sequence[Evaluated], diversity: dict[str, Cases]) -> Summary:
    """Average every figure over prompts and seeds; `diversity` has each method's, one case a prompt."""
    methods = list(dict.fromkeys(run.method for run in runs))
    means: dict[str, dict[str, Interval]] = {}
    differences: dict[str, dict[tuple[str, str], Interval]] = {}
    for figure in FIGURES:
        by_method = {method: diversity.get(method, {}) for method in methods}
        if figure is not DIVERSITY:
            by_method = {method: cases_of(runs, figure.key, method) for method in methods}
        means[figure.key] = {method: mean_interval(cases) for method, cases in by_method.items() if cases}
        pairs = {pair: paired(by_method[pair[1]], by_method[pair[0]]) for pair in combinations(methods, 2)}
        differences[figure.key] = {pair: mean_interval(cases) for pair, cases in pairs.items() if cases}
    flags = {}
    for flag in FLAGS:
        by_method = {method: cases_of(runs, f"failures.{flag}", method) for method in methods}
        flags[flag] = {m: wilson(round(sum(c.values())), len(c)) for m, c in by_method.items() if c}
    counts = {method: sum(run.method == method for run in runs) for method in methods}
    return Summary(methods, counts, means, differences, flags)


def cases_of(runs: Sequence[Evaluated], key: str, method: str) -> Cases:
    """A figure of every run of a method that has it."""
    values = {(run.prompt, run.seed): value_of(run.evaluation, key) for run in runs if run.method == method}
    return {case: value for case, value in values.items() if value is not None}


def as_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain values; a difference is called "B - A"."""
    return {
        "methods": summary.methods,
        "runs": summary.runs,
        "means": {key: {m: i._asdict() for m, i in row.items()} for key, row in summary.means.items()},
        "differences": {
            key: {f"{second} - {first}": i._asdict() for (first, second), i in row.items()}
            for key, row in summary.differences.items()
        },
        "flags": {flag: {m: c._asdict() for m, c in row.items()} for flag, row in summary.flags.items()},
    }


def head(suite: str, command: str, summary: Summary, planned: int, runs: Sequence[Evaluated]) -> str:
    """Title, what was run and how to read the tables."""
    prompts, seeds = len({run.prompt for run in runs}), len({run.seed for run in runs})
    return f"""# {suite}: {", ".join(summary.methods)}

`{command}`

{len(runs)} runs of {planned}: {prompts} prompts, {seeds} seeds.  A cell is the mean over prompts of the mean
over seeds, with its 95% interval (bootstrap over prompts, each with its seeds): where another choice of
prompts and seeds would put it.

"""


def tables(summary: Summary) -> str:
    """The summary in Markdown, with what each figure means."""
    methods = summary.methods
    lines = ["## Figures", "", _row(["", *methods]), _row(["---", *["---:"] * len(methods)])]
    for figure in FIGURES:
        cells = [_interval(figure, summary.means[figure.key].get(m), summary.runs[m]) for m in methods]
        lines.append(_row([_name(figure), *cells]))
    pairs = list(combinations(methods, 2))
    if pairs:
        heads = [f"{second} − {first}" for first, second in pairs]
        lines += ["", "## Differences at the same prompts and seeds", ""]
        lines += ["Bold: the interval leaves out 0.", ""]
        lines += [_row(["", *heads]), _row(["---", *["---:"] * len(pairs)])]
        for figure in FIGURES:
            between = summary.differences[figure.key]
            lines.append(_row([_name(figure), *(_interval(figure, between.get(p), None) for p in pairs)]))
    lines += ["", "## Failures", "", "Runs with the flag up, and the rate's 95% interval (Wilson).", ""]
    lines += [_row(["", *methods]), _row(["---", *["---:"] * len(methods)])]
    for flag, row in summary.flags.items():
        lines.append(_row([flag, *(_count(row.get(method)) for method in methods)]))
    lines += ["", "## What the figures mean", ""]
    lines += [f"- **{_name(figure)}**: {figure.meaning}." for figure in FIGURES]
    return "\n".join(lines) + "\n"


def _name(figure: Figure) -> str:
    unit = "%" if figure.percent else figure.unit
    return f"{figure.title}{f' ({unit})' if unit else ''} {ARROWS[figure.better]}".rstrip()


def _interval(figure: Figure, found: Interval | None, runs: int | None) -> str:
    """A mean of `runs` runs or, with None, a difference."""
    if found is None:
        return "–"
    text = figure.write(found.mean, runs is None)
    if found.low is not None and found.high is not None:
        bounds = ", ".join(figure.write(bound, runs is None) for bound in (found.low, found.high))
        decided = runs is None and not found.low <= 0 <= found.high
        text = f"**{text}** [{bounds}]" if decided else f"{text} [{bounds}]"
    return text if runs in (None, found.runs) else f"{text} ({found.runs} runs)"


def _count(found: Count | None) -> str:
    if found is None:
        return "–"
    return f"{found.hits} of {found.cases} [{100 * found.low:.0f}%, {100 * found.high:.0f}%]"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
