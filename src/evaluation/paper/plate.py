"""Pictures in rows and columns with their names: how the paper lays its figures out."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

CELL = 160  # pixels, of one picture
GAP = 6
SIZE = 14  # of letters, in pixels
INK, QUIET = (20, 20, 20), (110, 110, 110)


class Row(NamedTuple):
    """Pictures side by side, what stands left of them, and what stands below each."""

    title: str
    pictures: Sequence[Float[Tensor, "3 height width"]]
    notes: Sequence[str] = ()


def plate(columns: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """Draw rows of pictures in [0, 1], of any size, under their columns' names; notes are small and grey."""
    font, small = ImageFont.load_default(SIZE), ImageFont.load_default(SIZE - 2)
    titles = [_folded(row.title, font, 1.1 * CELL) for row in rows]
    heads = [_folded(name, font, CELL) for name in columns]
    notes = [[_folded(note, small, CELL) for note in row.notes] for row in rows]
    left = round(max((_width(title, font) for title in titles), default=0)) + 2 * GAP
    top = GAP + _lines(heads) * (SIZE + 4)
    below = [GAP + _lines(row) * (SIZE + 2) for row in notes]
    width = left + len(columns) * (CELL + GAP)
    sheet = Image.new("RGB", (width, top + len(rows) * CELL + sum(below)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, head in enumerate(heads):
        middle = left + i * (CELL + GAP) + CELL / 2
        pen.multiline_text((middle, top - GAP), head, INK, font, anchor="md", align="center")
    y = top
    for row, title, said, room in zip(rows, titles, notes, below, strict=True):
        pen.multiline_text((left - GAP, y + CELL / 2), title, INK, font, anchor="rm", align="right")
        for i, picture in enumerate(row.pictures):
            x = left + i * (CELL + GAP)
            sheet.paste(_cell(picture), (x, y))
            if i < len(said):
                pen.multiline_text(
                    (x + CELL / 2, y + CELL + 2), said[i], QUIET, small, anchor="ma", align="center"
                )
        y += CELL + room
    return sheet


def heat(values: Float[Tensor, "height width"], top: float) -> Float[Tensor, "3 height width"]:
    """A map of numbers from 0 (black) to `top` (white) over the colours of glowing metal."""
    glow = (values / top).clamp(0, 1) * 3
    return torch.stack([glow.clamp(0, 1), (glow - 1).clamp(0, 1), (glow - 2).clamp(0, 1)])


def _cell(picture: Float[Tensor, "3 height width"]) -> Image.Image:
    # Maps of a few cells keep their cells; photographs are enlarged smoothly.
    mode = "nearest" if picture.shape[-1] < 100 else "bicubic"
    smooth = {} if mode == "nearest" else {"align_corners": False, "antialias": True}
    sized = functional.interpolate(picture[None].float().cpu(), (CELL, CELL), mode=mode, **smooth)[0]
    pixels = (sized.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(pixels.numpy())


def _folded(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int | float) -> str:
    lines: list[str] = []
    for line in text.split("\n"):
        current = ""
        for word in line.split(" "):
            longer = f"{current} {word}".strip()
            if current and font.getlength(longer) > width:
                lines.append(current)
                longer = word
            current = longer
        lines.append(current)
    return "\n".join(lines)


def _width(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> float:
    return max(font.getlength(line) for line in text.split("\n"))


def _lines(texts: Sequence[str]) -> int:
    return max((text.count("\n") + 1 for text in texts), default=0)
