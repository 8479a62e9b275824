"""Plots of what a command measured, from the CSV that lies beside them; wants the extra `plots`."""

import csv
import io
from collections.abc import Mapping
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

from src.errors import UserError
from src.run.checkpoint import write_atomically

# Okabe & Ito's colours, which people tell apart whatever their eyes, and two; marks for print without colour.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A8A", "#6A3D2E")
MARKS = "os^Dv<>x"
PANEL = 3.2  # inches
LETTER = 0.065  # inches of a legend's 8 points, on average


def mark(index: int) -> str:
    """The mark of a method; where colours begin again, marks differ."""
    return MARKS[(index + index // len(COLORS)) % len(MARKS)]


def check_installed() -> None:
    """Raise UserError without matplotlib; for commands whose plot comes after hours of work."""
    if find_spec("matplotlib") is None:
        raise UserError("plots need matplotlib, which is not installed: pip install -e '.[plots]'")


def against(table: Path, x: str, along: str, panels: Mapping[str, str], out: Path) -> Path:
    """Draw columns of a CSV against its column `x`, a panel each (column: title), a colour a `method`.

    `along` is what the axis of x is called.

    Methods without a finite x are named and not drawn.  Lines are least-squares fits, to lead the eye.  On
    white, which is read in light and dark pages alike.
    Returns the path of the PNG; raises UserError without matplotlib.
    """
    check_installed()
    from matplotlib.figure import Figure

    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    names = list(dict.fromkeys(row["method"] for row in rows))
    figure = Figure(figsize=(PANEL * len(panels), PANEL + 0.6), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    endless = [name for name in names if not any(isfinite(float(r[x])) for r in rows if r["method"] == name)]
    for panel, (column, title) in zip(axes, panels.items(), strict=True):
        for index, name in enumerate(names):
            points = [(float(r[x]), float(r[column])) for r in rows if r["method"] == name and r[column]]
            # Endless ones keep their colours, as other plots of these methods have them.
            if drawn := [point for point in points if isfinite(point[0])]:
                _draw(panel, drawn, index, name)
        panel.set_xlabel(along, fontsize=9)
        dress(panel, title)
    legend(figure)
    if endless:
        figure.suptitle(f"not drawn, {x} being infinite: {', '.join(endless)}", fontsize=8)
    path = out.with_suffix(".png")
    write_atomically(path, png(figure))
    return path


def png(figure: Any) -> bytes:
    """A matplotlib figure as the bytes of a file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return file.getvalue()


def legend(figure: Any) -> None:
    """One legend below all panels, of whatever any of them shows; as many columns as there is room for."""
    named: dict[str, Any] = {}
    for panel in figure.axes:
        handles, labels = panel.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    entry = 0.6 + LETTER * max(map(len, named), default=0)
    columns = min(max(1, int(figure.get_figwidth() / entry)), max(1, len(named)))
    where = "outside lower center"
    figure.legend(named.values(), named, loc=where, ncols=columns, fontsize=8, frameon=False)


def dress(panel: Any, title: str) -> None:
    """What all our panels look like."""
    panel.set_title(title, fontsize=9)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def _draw(panel: Any, points: list[tuple[float, float]], index: int, name: str) -> None:
    color = COLORS[index % len(COLORS)]
    xs, ys = zip(*points, strict=True)
    panel.scatter(xs, ys, 14, color=color, marker=mark(index), label=name, linewidths=0.8, alpha=0.8)
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    if spread := sum((a - mean_x) ** 2 for a in xs):
        slope = sum((a - mean_x) * (b - mean_y) for a, b in points) / spread
        ends = (min(xs), max(xs))
        panel.plot(ends, [mean_y + slope * (end - mean_x) for end in ends], color=color, linewidth=1)
