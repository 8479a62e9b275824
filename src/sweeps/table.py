"""A sweep's table: settings that differ, what each run cost, and what evaluation found.

sweep.csv (everything, as values)  sweep.md (the chief columns, to read)
"""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from src.evaluation.suite.figures import FIGURES, flags_of, value_of
from src.evaluation.suite.report import MAIN
from src.run.checkpoint import write_atomically
from src.run.folder import check_own
from src.sweeps.runs import Run, Value, compare_draws, differing, digest, independent, remembered


class Column(NamedTuple):
    """One column of the table: a value for each run, None where there is none."""

    title: str
    values: Sequence[Value]
    write: Callable[[Any], str] = str
    to_read: bool = True  # False: only in sweep.csv

    def texts(self) -> list[str]:
        """The values as people read them."""
        return ["–" if value is None else self.write(value) for value in self.values]


def table(runs: Sequence[Run]) -> list[Column]:
    """The columns of a sweep's table: settings that differ, what a run cost, what evaluation found."""
    differ = differing(runs)
    telling = independent(runs) if "system" in differ else differ  # a system decides most of the others
    columns = [
        Column(name, [run.settings.get(name) for run in runs], to_read=name in telling) for name in differ
    ]
    steps = [run.manifest.get("step", len(run.draws)) for run in runs]
    seconds = [sum(run.manifest["seconds"].values()) if "seconds" in run.manifest else None for run in runs]
    passes = [run.manifest.get("unet_passes_per_sample") for run in runs]
    samples = [step * run.settings["batch_size"] for step, run in zip(steps, runs, strict=True)]
    unet = [None if one is None else round(one * of) for one, of in zip(passes, samples, strict=True)]
    columns += [
        Column("state", [_state(run) for run in runs]),
        Column("steps done", steps),
        Column("seconds", seconds, "{:.0f}".format),
        Column("UNet passes", unet),
        Column("UNet passes a sample", passes, "{:.2f}".format),
        Column("opacity", [run.manifest.get("opacity") for run in runs], "{:.2f}".format),
    ]
    before = [[one for one in runs if one.folder.parent == run.folder] for run in runs]  # a system's stages
    if any(before):
        for title, each in (("seconds of all stages", seconds), ("UNet passes of all stages", unet)):
            of = dict(zip((run.folder for run in runs), each, strict=True))
            sums = [
                sum(of[one.folder] or 0 for one in (*some, run))
                for some, run in zip(before, runs, strict=True)
            ]
            columns.append(Column(title, sums, "{:.0f}".format))
    for figure in FIGURES:
        values = [value_of(run.evaluation, figure.key) if run.evaluation else None for run in runs]
        if any(value is not None for value in values):
            columns.append(Column(figure.title, values, figure.write_with_unit, figure.key in MAIN))
    if any(run.evaluation for run in runs):
        flags = [", ".join(flags_of(run.evaluation)) or "none" if run.evaluation else None for run in runs]
        columns.append(Column("failures", flags))
    return [
        *columns,
        Column("draws", [digest(run.draws) for run in runs], to_read=False),
        Column("run", [_name(run) for run in runs]),
    ]


def check_table(folder: Path, setting: str) -> None:
    """Raise UserError where files under the table's names are none of ours."""
    marks = {"sweep.json": '"command": ', "sweep.csv": "draws,run\n", "sweep.md": " run |\n| --- |"}
    check_own(folder, setting, marks)


def write_table(folder: Path, runs: Sequence[Run]) -> Path:
    """Write sweep.csv and sweep.md into a sweep's folder; returns the latter's path."""
    columns = table(runs)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(column.title for column in columns)
    writer.writerows(zip(*(column.values for column in columns), strict=True))
    write_atomically(folder / "sweep.csv", lines.getvalue().encode())

    command, failed = remembered(folder)
    read = [column for column in columns if column.to_read]
    rows = [[column.title for column in read], ["---"] * len(read)]
    rows += [list(row) for row in zip(*(column.texts() for column in read), strict=True)]
    text = [f"# {folder.resolve().name}"]
    if command:
        text.append(f"`{command}`")
    text.append("\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows))
    text.append("\n".join(f"- {draws.sentence()}" for draws in compare_draws(runs)))
    if failed:
        text.append("Failed:\n\n" + "\n".join(f"- {job}: {why}" for job, why in failed.items()))
    path = folder / "sweep.md"
    write_atomically(path, ("\n\n".join(text) + "\n").encode())
    return path


def _name(run: Run) -> str:
    stage = "/" in str(run.settings.get("system"))
    return f"{run.folder.parent.name}/{run.folder.name}" if stage else run.folder.name


def _state(run: Run) -> str:
    if run.finished:
        return "finished"
    return f"step {run.manifest.get('step', len(run.draws))} of {run.settings['steps']}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
