"""Turntables as strips of frames, and the grid in which a sweep's runs are seen beside each other.

A strip has every frame of one turn side by side.  An animated picture keeps its own time; strips are moved
by one clock, so that all objects always show the same side, and any side can be held.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeVar

from PIL import Image, ImageSequence

from src.errors import UserError
from src.sweeps.runs import Run, Value, differing, in_order, independent

T = TypeVar("T")
PANELS = ("colour", "depth", "opacity")  # of turntable.webp, from the left
FRAMES, SIZE = 48, 160  # at most, of a strip: 18 runs then stay far below 25 MB


class Grid(NamedTuple):
    """Which runs (by index) stand where, and what else tells those of one cell apart."""

    rows: str | None
    columns: str | None
    row_values: list[Value]
    column_values: list[Value]
    cells: dict[tuple[Value, Value], list[int]]
    within: list[str]

    @property
    def is_flow(self) -> bool:
        """Whether there are no axes: one cell, whose runs follow each other."""
        return self.rows is None and self.columns is None


def arrange(runs: Sequence[Run], rows: str | None, columns: str | None) -> Grid:
    """Lay runs out by the settings named, else by the first that tell them apart.

    A single setting makes no grid: its runs stand in one cell.  Raises UserError for a name that is no
    setting in which the runs differ.
    """
    for axis, name in (("rows", rows), ("cols", columns)):
        if name is not None and name not in (known := differing(runs)):
            choice = f"choose from {', '.join(known)}" if known else "leave it out"
            raise UserError(f"{axis}={name} is no setting in which these runs differ: {choice}")
    if rows is not None and rows == columns:
        raise UserError(f"rows={rows} and cols={columns} are the same: name two settings")
    given = [name for name in (rows, columns) if name is not None]
    apart = independent(runs, given)
    within = apart[len(given) :]
    if len(apart) > 1:
        rows = rows or within.pop(0)
        columns = columns or within.pop(0)
    cells: dict[tuple[Value, Value], list[int]] = defaultdict(list)
    for index in sorted(range(len(runs)), key=lambda i: [in_order(_of(runs[i], name)) for name in within]):
        cells[_of(runs[index], rows), _of(runs[index], columns)].append(index)
    row_values = sorted({row for row, _ in cells}, key=in_order)
    column_values = sorted({column for _, column in cells}, key=in_order)
    return Grid(rows, columns, row_values, column_values, dict(cells), within)


def spoken(run: Run, names: Sequence[str]) -> str:
    """Settings of a run as a label: a blue house · nfsd · guidance scale 7.5 · seed 0."""
    return " · ".join(spoken_value(name, run.settings.get(name)) for name in names)


def spoken_value(name: str | None, value: Value) -> str:
    """One setting as a heading: prompts and losses speak for themselves; empty without a name."""
    if name is None:
        return ""
    written = "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return (
        written
        if name in ("prompt", "system", "loss")
        else f"{name.rpartition('.')[2].replace('_', ' ')} {written}"
    )


def views_of(run: Path) -> int:
    """How many views a run's turntable has; 0 if there is none yet.  Raises UserError as `read_turn` does."""
    return _read(run, lambda turntable: getattr(turntable, "n_frames", 1)) or 0


def pace_of(run: Path) -> int:
    """How long a frame of a run's turntable stays, in ms; 0 if it does not move.  Raises as `read_turn`."""

    def of(turntable: Image.Image) -> int:
        turntable.load()  # Pillow does not know before
        return int(turntable.info.get("duration", 0))

    return _read(run, of) or 0


def read_turn(run: Path) -> list[Image.Image]:
    """All frames of a run's turntable, panels side by side; none if it has not got that far.

    Raises UserError if the file cannot be read.
    """
    return _read(run, lambda turntable: [f.convert("RGB") for f in ImageSequence.Iterator(turntable)]) or []


def _read(run: Path, what: Callable[[Image.Image], T]) -> T | None:
    path = run / "turntable.webp"
    if not path.is_file():
        return None
    anew = f"write it anew with python -m src.export.video run={run}"
    try:
        with Image.open(path) as turntable:
            if turntable.width % len(PANELS):
                raise UserError(f"{path} does not hold {', '.join(PANELS)} side by side: {anew}")
            return what(turntable)
    except (OSError, EOFError) as error:  # Pillow's of a frame that is cut short
        raise UserError(f"{path} cannot be read: {anew}") from error


def panel(frame: Image.Image, name: str) -> Image.Image:
    """Colour, depth or opacity of a turntable's frame: the square in its middle."""
    width = frame.width // len(PANELS)
    side = min(width, frame.height)
    left = PANELS.index(name) * width + (width - side) // 2
    top = (frame.height - side) // 2
    return frame.crop((left, top, left + side, top + side))


def strip(turn: Sequence[Image.Image], name: str, frames: int) -> bytes:
    """One panel of `frames` frames at even angles, side by side from the front on, as WebP."""
    size = min(turn[0].height, SIZE)
    whole = Image.new("RGB", (frames * size, size))
    for place in range(frames):
        picture = panel(turn[round(place * len(turn) / frames) % len(turn)], name)
        whole.paste(picture.resize((size, size), Image.Resampling.LANCZOS), (place * size, 0))
    written = BytesIO()
    whole.save(written, "WEBP", quality=85, method=4)
    return written.getvalue()


def _of(run: Run, name: str | None) -> Value:
    return None if name is None else run.settings.get(name)
