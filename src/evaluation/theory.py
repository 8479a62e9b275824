"""How far losses should overshoot, beside what they do, in 2-D and in 3-D: `python -m src.evaluation.theory`.

    python -m src.evaluation.theory cells=outputs/ambiguity/cells.csv suite=outputs/gallery/plot.csv
    python -m src.evaluation.theory 'cells=[outputs/ambiguity/cells.csv,outputs/cuts/cells.csv]' suite=...

Joins what src.evaluation.ambiguity and src.evaluation.suite.plot measured of the same methods, and leaves
OUT.png and OUT.md.  R is of Gaussians (src/evaluation/overshoot.py), of the spread that each prompt's own
samples have.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from src.arguments import parse, to_write
from src.door import one_sentence
from src.errors import UserError
from src.evaluation.answers import OWN
from src.evaluation.plots import COLORS, check_installed, dress, legend, mark, png
from src.evaluation.suite.figures import FIGURES
from src.evaluation.suite.intervals import Interval, mean_interval, written
from src.run.checkpoint import write_atomically
from src.run.folder import check_own

IN_2D = {
    "overshoot": "2-D: overshoot",
    "size": "2-D: size of latents, of samples'",
    "detail": "2-D: fine detail over samples' (dB)",
}
IN_3D = {
    "looks.saturation_excess": "3-D: saturation over samples'",
    "looks.spectrum_detail": "3-D: fine detail over samples' (dB)",
}
MARK = "R beside"  # by which a table of ours is known


@dataclass
class Settings:
    """What the command line can change."""

    cells: str = "outputs/ambiguity/cells.csv"  # or several
    suite: str = ""  # a suite's plot.csv, or several
    out: str = "outputs/theory"  # .png and .md

    def __post_init__(self) -> None:
        if not self.suite:
            raise UserError("suite is missing: name a suite's plot.csv, as in suite=outputs/gallery/plot.csv")


def rows_of(said: str, setting: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of one CSV or a list of them; raises UserError for a file without these columns."""
    paths = [Path(path.strip()) for path in said.strip("[]").split(",")]
    return [row for path in paths for row in _rows(path, setting, columns)]


def _rows(path: Path, setting: str, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{setting}={path} cannot be read ({error}): give the command that makes it"
        ) from error
    if not rows or not set(columns) <= set(rows[0]):
        raise UserError(f"{setting}={path} has no columns {', '.join(columns)}: name the command's own CSV")
    return rows


def joined(
    cells: Sequence[Mapping[str, str]], suite: Sequence[Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """By method: its mean R, and an Interval for every figure that was measured of it.

    A prompt or figure that is there twice counts once, as it was last.
    """
    found: dict[str, dict[str, Any]] = {}
    for method in dict.fromkeys(row["method"] for row in cells if row["method"] != OWN):
        of = [row for row in cells if row["method"] == method]
        found[method] = {"R": fmean({row["prompt"]: float(row["R"]) for row in of}.values())}
        for figure in IN_2D:
            if cases := {(row["prompt"], 0): float(row[figure]) for row in of if row[figure]}:
                found[method][figure] = mean_interval(cases)
    for row in suite:
        if row["method"] in found and row["figure"] in IN_3D:
            low, high = (float(row[end]) if row[end] else None for end in ("low", "high"))
            found[row["method"]][row["figure"]] = Interval(float(row["mean"]), low, high, int(row["runs"]))
    return found


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Methods down, by R; figures across, in Markdown."""
    forms = {figure: "{:+.2f}" for figure in IN_2D} | {"size": "{:.2f}"}
    forms |= {figure.key: f"{{:+.{figure.digits}f}}" for figure in FIGURES if figure.key in IN_3D}
    titles = {**IN_2D, **IN_3D}
    lines = [f"| {MARK} | R | {' | '.join(titles.values())} |", "|---" + "|---:" * (len(titles) + 1) + "|"]
    for method, row in sorted(found.items(), key=lambda each: each[1]["R"]):
        cells = [written(row.get(figure), forms[figure].format) for figure in titles]
        lines.append(f"| {method} | {row['R']:.2g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(found: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A PNG with a panel a figure: R across, a mark a method, with its interval; endless R at the right."""
    from matplotlib.figure import Figure as Sheet

    titles = {**IN_2D, **IN_3D}
    largest = max([row["R"] for row in found.values() if isfinite(row["R"])] + [1.0])
    sheet = Sheet(figsize=(3.0 * len(titles), 3.9), layout="constrained", facecolor="white")
    for panel, (figure, title) in zip(sheet.subplots(1, len(titles)), titles.items(), strict=True):
        for index, (method, row) in enumerate(found.items()):
            x, cell = min(row["R"], 2.5 * largest), row.get(figure)
            if cell is None:
                continue
            if cell.low is not None:
                panel.plot([x, x], [cell.low, cell.high], color=COLORS[index % len(COLORS)], linewidth=1)
            panel.plot([x], [cell.mean], mark(index), color=COLORS[index % len(COLORS)], label=method)
        panel.set_xscale("symlog", linthresh=1)
        ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50) if tick <= largest]
        ends = any(row["R"] == inf for row in found.values())
        panel.set_xticks(
            [*ticks, *([2.5 * largest] if ends else [])], [*map(str, ticks), *(["∞"] if ends else [])]
        )
        panel.minorticks_off()
        panel.axhline(1 if figure == "size" else 0, color="#8A8A8A", linewidth=0.8)
        panel.set_xlabel("R, by the theory", fontsize=9)
        dress(panel, title)
    legend(sheet)
    return png(sheet)


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right."""
    cfg = parse(Settings, arguments)
    check_installed()
    cells = rows_of(cfg.cells, "cells", ["prompt", "method", "R", *IN_2D])
    suite = rows_of(cfg.suite, "suite", ["figure", "method", "mean", "low", "high", "runs"])
    picture, text = to_write(f"{cfg.out}.png"), to_write(f"{cfg.out}.md")
    check_own(text.parent, "out", {text.name: f"| {MARK} |"}, [picture.name])
    found = joined(cells, suite)
    write_atomically(text, table(found).encode())
    write_atomically(picture, draw(found))
    print(table(found))
    print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
