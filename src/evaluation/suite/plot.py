"""A suite's figures as a plot, a table and a CSV: `python -m src.evaluation.suite.plot`.

    python -m src.evaluation.suite.plot suite=outputs/toybench/suite.json out=outputs/toybench/plot

Writes OUT.png (a panel a figure, a dot a method with its 95% interval), OUT.md (the same as a table) and
OUT.csv.  Wants the extra `plots`.
"""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from src.arguments import parse, to_write, typed_path
from src.door import one_sentence
from src.errors import UserError
from src.evaluation.plots import COLORS, check_installed
from src.evaluation.suite.figures import FIGURES, Figure
from src.evaluation.suite.report import ARROWS
from src.run.checkpoint import write_atomically

SHOWN = (
    "geometry.iou_share",
    "geometry.chamfer_share",
    "judge.r_precision",
    "judge.janus",
    "consistency.color_difference",
    "looks.spectrum_distance",
    "looks.spectrum_detail",
    "looks.saturation_excess",
    "looks.diversity",
)
COLUMNS = 3


@dataclass
class Settings:
    """What the command line can change."""

    suite: str = ""  # a suite.json
    out: str = ""  # .png, .md and .csv; default: "plot" beside it

    def __post_init__(self) -> None:
        if not self.suite:
            raise UserError(
                "suite is missing: name a suite's record, as in suite=outputs/toybench/suite.json"
            )


class Cell(NamedTuple):
    """One figure of one method, and its interval where more than one case says it."""

    figure: str
    method: str
    mean: float
    low: float | None
    high: float | None
    runs: int


def cells(record: Mapping[str, Any]) -> list[Cell]:
    """The figures shown, by figure and method; what was not measured is left out."""
    return [
        Cell(key, method, *(found[name] for name in ("mean", "low", "high", "runs")))
        for key in SHOWN
        for method, found in record["means"].get(key, {}).items()
    ]


def as_csv(found: Sequence[Cell]) -> str:
    """One line a figure and method."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Cell._fields)
    writer.writerows(found)
    return file.getvalue()


def table(found: Sequence[Cell], methods: Sequence[str]) -> str:
    """Methods down, figures across, in Markdown."""
    figures = [figure for figure in FIGURES if figure.key in {cell.figure for cell in found}]
    lines = [f"| | {' | '.join(map(_title, figures))} |", "|---" + "|---:" * len(figures) + "|"]
    for method in methods:
        row = {cell.figure: cell for cell in found if cell.method == method}
        lines.append(f"| {method} | {' | '.join(_written(figure, row) for figure in figures)} |")
    return "\n".join(lines) + "\n"


def _title(figure: Figure) -> str:
    unit = "%" if figure.percent else figure.unit
    return f"{figure.title}{f' ({unit})' if unit else ''} {ARROWS[figure.better]}"


def _written(figure: Figure, row: Mapping[str, Cell]) -> str:
    if figure.key not in row:
        return "–"
    cell = row[figure.key]
    bounds = (
        ""
        if cell.low is None or cell.high is None
        else f" [{figure.write(cell.low)}, {figure.write(cell.high)}]"
    )
    return figure.write(cell.mean) + bounds


def draw(found: Sequence[Cell], methods: Sequence[str], path: Path) -> None:
    """A panel a figure: a dot a method, from the top down, with its interval."""
    check_installed()
    from matplotlib.figure import Figure as Sheet

    figures = [figure for figure in FIGURES if figure.key in {cell.figure for cell in found}]
    rows = -(-len(figures) // COLUMNS)
    height = 0.5 + 0.22 * len(methods)
    sheet = Sheet(figsize=(3.4 * COLUMNS, rows * height + 0.2), layout="constrained", facecolor="white")
    axes = sheet.subplots(rows, COLUMNS, squeeze=False, sharey=True).flatten()
    for panel, figure in zip(axes, figures, strict=False):
        scale = 100 if figure.percent else 1
        for cell in found:
            if cell.figure == figure.key:
                place, color = methods.index(cell.method), COLORS[methods.index(cell.method) % len(COLORS)]
                if cell.low is not None and cell.high is not None:
                    panel.plot([scale * cell.low, scale * cell.high], [place, place], color=color)
                panel.plot([scale * cell.mean], [place], "o", color=color, markersize=5)
        if figure.better == "near 0":
            panel.axvline(0, color="#8A8A8A", linewidth=0.8)
        panel.set_title(_title(figure), fontsize=9)
        panel.set_yticks(range(len(methods)), methods)
        panel.set_ylim(len(methods) - 0.5, -0.5)
        panel.tick_params(labelsize=8)
        panel.grid(axis="x", color="#E0E0E0", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in axes[len(figures) :]:
        panel.set_axis_off()
    sheet.savefig(path, dpi=150)


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    check_installed()
    source = Path(typed_path(cfg.suite, "suite"))
    try:
        record = json.loads(source.read_text(encoding="utf-8"))
        found, methods = cells(record), list(record["methods"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"suite={source} is no suite's record ({error}): name its suite.json") from error
    out = to_write(f"{cfg.out or source.with_name('plot')}.md")
    write_atomically(out.with_suffix(".csv"), as_csv(found).encode())
    write_atomically(out, table(found, methods).encode())
    draw(found, methods, out.with_suffix(".png"))
    print(table(found, methods))
    print(out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
