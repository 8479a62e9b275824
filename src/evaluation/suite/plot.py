"""A suite's figures as a plot, a table and a CSV: `python -m src.evaluation.suite.plot`.

    python -m src.evaluation.suite.plot suite=outputs/toybench/suite.json out=outputs/toybench/plot

Writes OUT.png (a panel a figure, a dot a method with its 95% interval), OUT.md (the same as a table, and
differences from the first method) and OUT.csv.  Wants the extra `plots`.
"""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from src.arguments import parse, to_write, typed_path
from src.door import one_sentence
from src.errors import UserError
from src.evaluation.plots import COLORS, check_installed, dress, png
from src.evaluation.suite.figures import FIGURES, Figure
from src.evaluation.suite.intervals import Interval, written
from src.evaluation.suite.report import title_of
from src.run.checkpoint import write_atomically
from src.run.folder import check_own

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
    "cost.unet_rows",
)
COLUMNS = 3
MARK = "means, 95% intervals"  # by which a table of ours is known


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


def measured(record: Mapping[str, Any]) -> dict[Figure, dict[str, Interval]]:
    """The figures shown, by figure and method; what was not measured is left out."""
    found = {
        figure: {method: Interval(**cell) for method, cell in record["means"].get(figure.key, {}).items()}
        for figure in FIGURES
        if figure.key in SHOWN
    }
    return {figure: cells for figure, cells in found.items() if cells}


def as_csv(found: Mapping[Figure, Mapping[str, Interval]]) -> str:
    """One line a figure and method."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["figure", "method", *Interval._fields])
    for figure, cells in found.items():
        writer.writerows([figure.key, method, *cell] for method, cell in cells.items())
    return file.getvalue()


def table(found: Mapping[Figure, Mapping[str, Interval]], methods: Sequence[str]) -> str:
    """Methods down, figures across, in Markdown."""
    lines = [f"| {MARK} | {' | '.join(map(title_of, found))} |", "|---" + "|---:" * len(found) + "|"]
    for method in methods:
        row = [written(cells.get(method), figure.write) for figure, cells in found.items()]
        lines.append(f"| {method} | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def differences(record: Mapping[str, Any], shown: Sequence[Figure]) -> str:
    """The other methods less the first, at the same prompts and seeds, in Markdown; nothing of one method."""
    first, *others = record["methods"]
    if not others:
        return ""
    lines = [f"\nLess {first} at the same prompts and seeds; bold: the interval leaves out 0.\n"]
    lines += [f"| | {' | '.join(map(title_of, shown))} |", "|---" + "|---:" * len(shown) + "|"]
    for method in others:
        cells = []
        for figure in shown:
            cell = record["differences"].get(figure.key, {}).get(f"{method} - {first}")
            write = partial(figure.write, difference=True)
            cells.append(written(Interval(**cell) if cell else None, write, bold=True))
        lines.append(f"| {method} − {first} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(found: Mapping[Figure, Mapping[str, Interval]], methods: Sequence[str]) -> bytes:
    """A PNG with a panel a figure: a dot a method, from the top down, with its interval."""
    from matplotlib.figure import Figure as Sheet

    rows = -(-len(found) // COLUMNS)
    height = 0.5 + 0.22 * len(methods)
    sheet = Sheet(figsize=(3.4 * COLUMNS, rows * height + 0.2), layout="constrained", facecolor="white")
    axes = sheet.subplots(rows, COLUMNS, squeeze=False, sharey=True).flatten()
    for panel, (figure, cells) in zip(axes, found.items(), strict=False):
        scale = 100 if figure.percent else 1
        for method, cell in cells.items():
            place, color = methods.index(method), COLORS[methods.index(method) % len(COLORS)]
            if cell.low is not None and cell.high is not None:
                panel.plot([scale * cell.low, scale * cell.high], [place, place], color=color)
            panel.plot([scale * cell.mean], [place], "o", color=color, markersize=5)
        if figure.better == "near 0":
            panel.axvline(0, color="#8A8A8A", linewidth=0.8)
        panel.set_yticks(range(len(methods)), methods)
        panel.set_ylim(len(methods) - 0.5, -0.5)
        panel.grid(axis="x", color="#E0E0E0", linewidth=0.6)
        panel.set_axisbelow(True)
        dress(panel, title_of(figure))
    for panel in axes[len(found) :]:
        panel.set_axis_off()
    return png(sheet)


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    check_installed()
    source = Path(typed_path(cfg.suite, "suite"))
    try:
        record = json.loads(source.read_text(encoding="utf-8"))
        found, methods = measured(record), list(record["methods"])
        text = table(found, methods) + differences(record, list(found))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"suite={source} is no suite's record ({error}): name its suite.json") from error
    if not found:
        raise UserError(f"suite={source} has none of the figures that are shown: evaluate its runs first")
    out = Path(cfg.out) if cfg.out else source.with_name("plot")
    names = {ending: f"{out.name}{ending}" for ending in (".md", ".csv", ".png")}
    paths = {ending: to_write(out.with_name(name)) for ending, name in names.items()}
    check_own(out.parent, "out", {names[".md"]: f"| {MARK} |"}, [names[".csv"], names[".png"]])
    write_atomically(paths[".csv"], as_csv(found).encode())
    write_atomically(paths[".md"], text.encode())
    write_atomically(paths[".png"], draw(found, methods))
    print(text)
    print(paths[".png"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
