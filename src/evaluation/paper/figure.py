"""What a figure of the paper is here: a picture, its numbers, and a caption that says what they show."""

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from src.arguments import to_write
from src.export.picture import write_picture
from src.run.checkpoint import write_atomically
from src.run.folder import check_own

Numbers = list[dict[str, Any]]
MARK = "<!-- a figure by nfsd3d -->"  # by which a folder of ours is known


class Figure(NamedTuple):
    """One figure: what is looked at, a table of numbers (a dict a row), and Markdown."""

    picture: Image.Image
    numbers: Numbers
    caption: str

    def write(self, folder: Path) -> None:
        """Leave figure.png, numbers.json and caption.md in a folder that `open_folder` made."""
        parts = [part.strip() for part in self.caption.strip().split("\n\n")]
        paragraphs = [part if part.startswith("|") else fill(" ".join(part.split()), 110) for part in parts]
        text = "\n\n".join([*paragraphs, markdown(self.numbers)])
        write_atomically(folder / "caption.md", f"{text}\n{MARK}\n".encode())
        write_atomically(folder / "numbers.json", (json.dumps(self.numbers, indent=1) + "\n").encode())
        write_picture(folder / "figure.png", self.picture, optimize=True)


def open_folder(folder: Path) -> Path:
    """Make a figure's folder; raises UserError if it cannot be written or holds others' files."""
    to_write(folder / "caption.md")
    check_own(folder, "out", {"caption.md": MARK}, ["figure.png", "numbers.json"])
    return folder


class Mean(NamedTuple):
    """A mean over pictures and half of its 95% interval (1.96 standard errors; None of fewer than two)."""

    value: float
    error: float | None

    def __str__(self) -> str:
        return f"{self.value:.3g}" if self.error is None else f"{self.value:.3g} ± {self.error:.1g}"


def mean(values: Float[Tensor, "N"]) -> Mean:
    """The mean of one number a picture."""
    error = 1.96 * float(values.double().std()) / len(values) ** 0.5 if len(values) > 1 else None
    return Mean(float(values.double().mean()), error)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The numbers as a table, a line a row; a Mean with its interval."""
    if not rows:
        return ""
    lines = [f"| {' | '.join(rows[0])} |", "|" + "---|" * len(rows[0])]
    for row in rows:
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def index(t: int) -> int:
    """The paper's t as an index of the schedule: t = 1000 is the last one, 999."""
    return min(t, 999)


def label(t: int) -> str:
    """How a column of this t is headed."""
    return f"t = {t}" if index(t) == t else f"t = {t} (index {index(t)})"
