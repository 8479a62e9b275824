"""A suite's summary as a Markdown document that a stranger can read."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations

from src.evaluation.suite.figures import FIGURES, Figure, flags_of, value_of
from src.evaluation.suite.intervals import Count, written
from src.evaluation.suite.summary import Evaluated, Summary

ARROWS = {"higher": "↑", "lower": "↓", "near 0": "→ 0"}  # which way is better
MAIN = ("geometry.iou_share", "judge.r_precision", "judge.kind", "judge.color", "looks.spectrum_distance")


def document(
    name: str,
    command: str,
    planned: Mapping[str, int],
    runs: Sequence[Evaluated],
    summary: Summary,
    failed: Mapping[str, str],
) -> str:
    """How it was made, the tables, and what each figure means.

    `planned` has every method's runs, and `failed` why some of these are not there, by their folders' names.
    """
    prompts = _counted(len({run.prompt for run in runs}), "prompt")
    seeds = _counted(len({run.seed for run in runs}), "seed")
    steps = " or ".join(str(step) for step in sorted({run.evaluation["step"] for run in runs}))
    methods, pairs = summary.methods, list(combinations(summary.methods, 2))
    text = [
        f"# {name}: {', '.join(methods)}",
        f"`{command}`",
        f"{len(runs)} runs of {sum(planned.values())}: {prompts}, {seeds}, {steps} steps.  A cell is the "
        "mean over prompts of the mean over seeds, with its 95% interval (bootstrap over prompts, each with "
        "its seeds, of six or more): how far other prompts and seeds might move it.  ↑ higher is better, "
        "↓ lower is better, → 0 near 0 is better.",
        "## Figures",
        _by_figure(FIGURES, [*methods, "beside"], lambda figure: _means(summary, figure)),
    ]
    if pairs:
        text += [
            "## Differences at the same prompts and seeds",
            "Bold: the interval leaves out 0.",
            _by_figure(
                FIGURES,
                [f"{second} − {first}" for first, second in pairs],
                lambda figure: _differences(summary, figure, pairs),
            ),
        ]
    text += [
        "## Failures",
        "Runs with the flag up; in brackets the 95% interval of the rate (Wilson).",
        _table(
            methods,
            {flag: [_count(row.get(method)) for method in methods] for flag, row in summary.flags.items()},
        ),
    ]
    there = {method: summary.runs.get(method, 0) for method in planned}
    if missing := [f"{there[m]} of {count} by {m}" for m, count in planned.items() if there[m] < count]:
        text.append(f"Not all runs are there, and no mean counts those that are not: {', '.join(missing)}.")
    if failed:
        text.append("\n".join(f"- {folder} failed: {reason}" for folder, reason in failed.items()))
    chosen = [figure for figure in FIGURES if figure.key in MAIN]
    for part, means in summary.parts.items():
        rows = {
            title_of(f): [written(means[f.key].get(method), f.write) for method in methods] for f in chosen
        }
        text += [f"## {part}", _table(methods, rows)]
    text += [
        "## By prompt",
        f"{', '.join(figure.title for figure in chosen)}; failures.  Means over seeds.",
        _table(methods, _by_prompt(runs, methods, chosen)),
        "## What the figures mean",
        "\n".join(f"- **{title_of(figure)}**: {figure.meaning}." for figure in FIGURES),
    ]
    return "\n\n".join(text) + "\n"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _by_figure(
    figures: Sequence[Figure], columns: Sequence[str], cells: Callable[[Figure], list[str]]
) -> str:
    return _table(columns, {title_of(figure): cells(figure) for figure in figures})


def _table(columns: Sequence[str], rows: Mapping[str, list[str]]) -> str:
    lines = [["", *columns], ["---", *["---:"] * len(columns)]]
    lines += [[name, *cells] for name, cells in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def title_of(figure: Figure) -> str:
    """What tables call a figure: with its unit, and which way is better."""
    unit = "%" if figure.percent else figure.unit
    return f"{figure.title}{f' ({unit})' if unit else ''} {ARROWS[figure.better]}"


def _means(summary: Summary, figure: Figure) -> list[str]:
    cells = []
    for method in summary.methods:
        found = summary.means[figure.key].get(method)
        # What was not measured everywhere says of how many runs it is.
        part = f" ({found.runs} runs)" if found and found.runs != summary.runs[method] else ""
        cells.append(written(found, figure.write) + part)
    return [*cells, summary.beside[figure.key]]


def _differences(summary: Summary, figure: Figure, pairs: Sequence[tuple[str, str]]) -> list[str]:
    found, write = summary.differences[figure.key], partial(figure.write, difference=True)
    return [written(found.get(pair), write, bold=True) for pair in pairs]


def _count(found: Count | None) -> str:
    if found is None:
        return "–"
    return f"{found.hits} of {found.cases} [{100 * found.low:.0f}%, {100 * found.high:.0f}%]"


def _by_prompt(
    runs: Sequence[Evaluated], methods: Sequence[str], figures: Sequence[Figure]
) -> dict[str, list[str]]:
    rows = {}
    for prompt in dict.fromkeys(run.prompt for run in runs):
        cells = []
        for method in methods:
            some = [run.evaluation for run in runs if (run.prompt, run.method) == (prompt, method)]
            parts = []
            for figure in figures:
                values = [value for one in some if (value := value_of(one, figure.key)) is not None]
                parts.append(figure.write(sum(values) / len(values)) if values else "–")
            flags = sorted({flag for one in some for flag in flags_of(one)})
            cells.append(" · ".join(parts) + (f"; {', '.join(flags)}" if flags else "") if some else "–")
        rows[prompt] = cells
    return rows
