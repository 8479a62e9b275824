"""Pictures that carry figures: one run's views beside the true solid, and a suite's runs at a glance."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from src.evaluation.suite.figures import Row
from src.evaluation.views import AZIMUTHS, Views

INK, PAPER, FAINT = (20, 20, 20), (255, 255, 255), (120, 120, 120)
GREY = 0.5  # what stands behind objects whose background is not looked at
TRUTH = (230, 30, 140)  # the true solid's outline
SIDES = 8  # views of the large picture, of each elevation
THUMBNAIL = 72  # pixels


class Cell(NamedTuple):
    """One run on a suite's sheet."""

    views: UInt8[Tensor, "V 3 H W"]
    lines: list[str]


def thumbnails(views: Views) -> UInt8[Tensor, "8 3 H W"]:
    """Four sides from each of two elevations, before grey, as a suite keeps them of every run."""
    chosen = views.over(torch.full((3,), GREY))[:: AZIMUTHS // 4]
    return (chosen.clamp(0, 1) * 255).round().to(torch.uint8).contiguous()


def portrait(
    views: Views, truth: Float[Tensor, "N 1 H W"] | None, title: str, table: Sequence[Row]
) -> Image.Image:
    """A run from sixteen sides, its silhouettes with the true outline if known, and its figures below."""
    every = AZIMUTHS // SIDES
    colors = views.over(torch.full((3,), GREY)).clamp(0, 1)
    shades = views.opacity.clamp(0, 1).expand(-1, 3, -1, -1)
    rows = []
    for first in range(0, len(colors), AZIMUTHS):
        chosen = range(first, first + AZIMUTHS, every)
        rows.append([_tile(colors[i]) for i in chosen])
        rows.append([_outlined(shades[i], None if truth is None else truth[i, 0]) for i in chosen])
    size, margin = rows[0][0].width, 12
    font, line = ImageFont.load_default(16), 22
    width = SIDES * size + 2 * margin
    height = 4 * margin + line + len(rows) * size + len(table) * line
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((margin, margin), title, INK, ImageFont.load_default(18))
    if truth is not None:
        pen.text((width - margin, margin), "outline: the true solid that fits best", TRUTH, font, anchor="ra")
    top = 2 * margin + line
    for y, tiles in enumerate(rows):
        for x, tile in enumerate(tiles):
            sheet.paste(tile, (margin + x * size, top + y * size))
    top += len(rows) * size + margin
    for i, row in enumerate(table):
        for left, text, ink in ((0, row.title, INK), (250, row.value, INK), (350, row.remark, FAINT)):
            pen.text((margin + left, top + i * line), text, ink, font)
    return sheet


def contact_sheet(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[str, str], Cell],
    title: str,
    legend: str,
) -> Image.Image:
    """A suite's runs of one seed: prompts down, methods across, four sides of each with its figures under."""
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)
    margin, label, line = 10, 120, 14
    most = max((len(cell.lines) for cell in cells.values()), default=0)
    wide, high = 4 * THUMBNAIL, THUMBNAIL + most * line + 6
    titles = [_wrapped(column, 40) for column in columns]
    head = 62 + 18 * max((title.count("\n") + 1 for title in titles), default=1)
    width = max(
        2 * margin + label + len(columns) * (wide + margin), int(small.getlength(legend)) + 2 * margin
    )
    size = (width, head + len(rows) * (high + 4))
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((margin, margin), title, INK, ImageFont.load_default(16))
    pen.text((margin, margin + 24), legend, FAINT, small)
    for x, column in enumerate(titles):
        pen.multiline_text((margin + label + x * (wide + margin), 56), column, INK, font)
    for y, row in enumerate(rows):
        top = head + y * (high + 4)
        pen.multiline_text((margin, top + 4), _wrapped(row), INK, font)
        for x, column in enumerate(columns):
            left, cell = margin + label + x * (wide + margin), cells.get((row, column))
            if cell is None:
                pen.text((left, top + 4), "no run", FAINT, small)
                continue
            for i, view in enumerate(cell.views[len(cell.views) // 2 :]):  # from above, more is to be seen
                sheet.paste(_picture(view).resize((THUMBNAIL, THUMBNAIL)), (left + i * THUMBNAIL, top))
            for i, text in enumerate(cell.lines):
                pen.text((left, top + THUMBNAIL + 2 + i * line), text, INK, small)
    return sheet


def _tile(image: Float[Tensor, "3 H W"]) -> Image.Image:
    picture = _picture((image * 255).round().to(torch.uint8))
    return picture.resize((144, 144), Image.Resampling.BICUBIC)


def _outlined(shade: Float[Tensor, "3 H W"], truth: Float[Tensor, "H W"] | None) -> Image.Image:
    tile = _tile(shade)
    if truth is None:
        return tile
    mask = _tile(truth.expand(3, -1, -1)).convert("L").point(lambda value: 255 * (value >= 128))
    inside = np.asarray(mask) > 0
    padded = np.pad(inside, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    tile.paste(TRUTH, mask=Image.fromarray(inside & ~inner))
    return tile


def _picture(view: UInt8[Tensor, "3 H W"]) -> Image.Image:
    return Image.fromarray(view.permute(1, 2, 0).numpy())


def _wrapped(text: str, width: int = 15) -> str:
    """Break a prompt or a method into lines that fit beside its row, or above its column."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)
