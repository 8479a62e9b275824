"""A sweep as one page that needs nothing else, and as one picture for a paper.

    python -m src.export.report sweep=outputs/<sweep> [rows=loss] [cols=loss.guidance_scale]

The sweep's folder gets index.html (open it from the disk; no server, no network), sheet.png, and its table
anew: sweep.csv, sweep.md.  Any folder of runs will do, a suite's too.
"""

import base64
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from PIL import Image

from src.arguments import parse, to_write
from src.door import one_sentence
from src.errors import UserError
from src.export.picture import write_picture
from src.export.sheet import SIDES, sheet
from src.export.turns import (
    FRAMES,
    PANELS,
    Grid,
    arrange,
    panel,
    read_turn,
    spoken,
    spoken_value,
    strip,
    views_of,
)
from src.run.checkpoint import write_atomically
from src.run.folder import check_own
from src.sweeps import runs as sweep
from src.sweeps.runs import Run, independent
from src.sweeps.table import check_table, write_table
from src.sweeps.table import table as table_of

TEMPLATE = Path(__file__).with_name("report.html")


@dataclass
class Report:
    """What the command line can say of a report."""

    sweep: str = ""
    rows: str = ""
    cols: str = ""


def report(folder: Path, rows: str | None = None, columns: str | None = None) -> list[Path]:
    """Write index.html, sheet.png and the table into a sweep's folder; returns their paths.

    Raises UserError for a folder without runs, for axes in which they do not differ, and where something of
    the user's own is called as they are.
    """
    runs = sweep.read_runs(folder)
    to_write(folder / "index.html", "sweep", "make it writable, or copy the runs to another folder")
    check_own(folder, "sweep", {"index.html": "--frame: 0; --frames: "}, ["sheet.png"])
    check_table(folder, "sweep")
    grid = arrange(runs, rows, columns)
    frames = min(FRAMES, min((count for run in runs if (count := views_of(run.folder))), default=1))
    strips: list[dict[str, str]] = []
    sides: list[list[Image.Image]] = []
    for run in runs:  # one by one: all turntables of a large sweep would not fit into memory
        turn = read_turn(run.folder)
        strips.append({name: _data(strip(turn, name, frames)) for name in PANELS} if turn else {})
        sides.append([panel(turn[i * len(turn) // SIDES], PANELS[0]) for i in range(SIDES)] if turn else [])
    table = write_table(folder, runs)
    html = page(folder, runs, grid, strips, frames)
    write_atomically(folder / "index.html", html.encode())
    write_picture(folder / "sheet.png", sheet(runs, grid, sides))
    return [folder / "index.html", folder / "sheet.png", table]


def page(
    folder: Path, runs: Sequence[Run], grid: Grid, strips: Sequence[Mapping[str, str]], frames: int
) -> str:
    """The whole page as text; `strips` holds the panels of each run as data: addresses, if it has any yet."""
    names = independent(runs)
    shown = [
        {
            "index": index,
            "label": spoken(run, names) or run.folder.name,
            "within": spoken(run, grid.within) if grid.within else "",
            "strips": strips[index],
        }
        for index, run in enumerate(runs)
    ]
    rows = [
        {
            "name": spoken_value(grid.rows, row),
            "cells": [[shown[i] for i in grid.cells.get((row, column), [])] for column in grid.column_values],
        }
        for row in grid.row_values
    ]
    table = [column for column in table_of(runs) if column.to_read]
    command, failed = sweep.remembered(folder)
    finished = sum(run.finished for run in runs)
    return _template().render(
        title=folder.resolve().name,
        subtitle=f"{finished} of {len(runs)} runs finished. Same everywhere: {_common(runs)}.",
        command=command,
        failed=failed,
        draws=sweep.compare_draws(runs),
        frames=frames,
        kinds=PANELS,
        grid=grid,
        columns=[spoken_value(grid.columns, value) for value in grid.column_values],
        rows=rows,
        widest=max(len(cell) for cell in grid.cells.values()),
        table=table,
        numeric=["" if any(isinstance(v, str) for v in column.values) else "number" for column in table],
        texts=list(zip(*(column.texts() for column in table), strict=True)),
    )


def _common(runs: Sequence[Run]) -> str:
    """What one wants to know of a sweep where it does not differ; the rest is in each run's config.yaml."""
    differ = sweep.differing(runs)
    names = [name for name in ("prompt", "preset", "loss", "seed", "steps") if name not in differ]
    return ", ".join(f"{name} {runs[0].settings.get(name)}" for name in names) or "nothing of note"


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _data(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"


@one_sentence
def main(arguments: list[str]) -> int:
    """Write a sweep's report; returns the exit code."""
    given = parse(Report, arguments)
    if not given.sweep:
        raise UserError("sweep is missing: name a folder of runs, as in sweep=outputs/NAME")
    for path in report(Path(given.sweep), given.rows or None, given.cols or None):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
