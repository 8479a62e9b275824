"""A sweep as one picture for a paper: the report's grid, each object from four sides."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from src.export.turns import Grid, spoken, spoken_value
from src.sweeps.runs import Run

SIDES = 4  # front, left, back, right: azimuth 0, 90, 180 and 270
TILE = 128  # pixels
GAP, LINE = 12, 22
INK, PAPER, FAINT = (20, 20, 20), (255, 255, 255), (150, 150, 150)
FLOW = 3  # runs beside each other where there is no grid


def sheet(runs: Sequence[Run], grid: Grid, sides: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Draw all runs; `sides` holds each one's pictures, none for a run that has no turntable.webp."""
    if grid.is_flow:  # one cell, broken into lines
        every = [index for cell in grid.cells.values() for index in cell]
        lines = [[[index] for index in every[i : i + FLOW]] for i in range(0, len(every), FLOW)]
        heads, names = [""] * min(FLOW, len(every)), [""] * len(lines)
    else:
        lines = [
            [grid.cells.get((row, column), []) for column in grid.column_values] for row in grid.row_values
        ]
        heads = [spoken_value(grid.columns, value) for value in grid.column_values]
        names = [spoken_value(grid.rows, value) for value in grid.row_values]
    font, small = ImageFont.load_default(18), ImageFont.load_default(14)
    caption = LINE if grid.within else 0
    wide, high = SIDES * TILE, TILE + caption + GAP
    left = max((round(font.getlength(line)) for name in names for line in _lines(name)), default=0)
    left = GAP + (left + GAP if left else 0)
    top = GAP + (LINE + GAP if any(heads) else 0)
    heights = [max((len(cell) for cell in line), default=1) * high for line in lines]
    whole = Image.new("RGB", (left + len(heads) * (wide + GAP), top + sum(heights)), PAPER)
    pen = ImageDraw.Draw(whole)
    for x, head in enumerate(heads):
        pen.text((left + x * (wide + GAP), GAP), head, INK, font)
    for line, name, height in zip(lines, names, heights, strict=True):
        pen.multiline_text((GAP, top + caption), "\n".join(_lines(name)), INK, font)
        for x, cell in enumerate(line):
            across = left + x * (wide + GAP)
            for y, index in enumerate(cell):
                down = top + y * high
                if caption:
                    pen.text((across, down), spoken(runs[index], grid.within), INK, small)
                if not sides[index]:
                    pen.text((across, down + caption), "no turntable.webp", FAINT, small)
                for i, side in enumerate(sides[index]):
                    tile = side.resize((TILE, TILE), Image.Resampling.LANCZOS)
                    whole.paste(tile, (across + i * TILE, down + caption))
        top += height
    return whole


def _lines(text: str, width: int = 16) -> list[str]:
    """Break a heading into short lines."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
