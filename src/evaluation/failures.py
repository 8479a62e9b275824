"""Five ways in which an object fails at a glance, each with the figure behind its flag.

A threshold lies between true solids of all 47 kinds and of the world's pairs, seen by the same cameras, which
no flag may name, and scenes made to fail; the hardest of the first and all of the second are in
`tests/evaluation/test_failures.py`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from src.evaluation.geometry import known
from src.evaluation.surface import CELLS, hull, pixel_width, points, reach, silhouettes, thinned, thinness
from src.evaluation.views import Views
from src.toybox.world.captions import Subject

# The smallest kind, the airplane, fills 13% of the pictures, and a quarter as large in every direction 0.8%.
EMPTY = 0.01
CLEAR, OPAQUE = 0.05, 0.95  # of opacities: what the eye takes for nothing and for solid
# More rays are half clear than are not.  Edges alone make it 0.04 to 0.14 on true solids at 96 pixels.
FOG = 0.5
TOUCHING = 0.25  # of the hull: pieces that a haze joins are one
# True solids have nothing loose; a ball of a seventh of the body's radius has a fiftieth of its surface.
FLOATERS = 0.02
# Without a known kind: a sheet a tenth as thick as it is wide.  The flattest kind, the snail, has 0.32.
BILLBOARD = 0.2
BILLBOARD_SHARE = 0.5  # of the kind's own thinness, where the kind is known
JUMP = 0.5  # sound bench runs stay below 0.35, and a scene that vanishes or fills the picture comes near 1


@dataclass(frozen=True)
class Failures:
    """The flags, and the figures that they are raised by; every figure is finite.

    empty: the share of all rays that end in the object, `opaque_share`, is below EMPTY.
    fog: `half_clear`, the share of rays between CLEAR and OPAQUE among those not clear, is above FOG.
    floaters: `loose_share`, the share of the seen surface that lies on pieces other than the largest, is
    above FLOATERS; pieces are connected parts (26 neighbours) of the visual hull and
    the seen surface together.
    billboard: `thinness`, the least over the largest horizontal standard deviation of the seen surface, is
    below BILLBOARD_SHARE of its kind's, or below BILLBOARD where the kind is not known.
    divergence: a number of the log, the parameters or the views is not finite, or `opacity_jump` is above
    JUMP: the largest change of the mean opacity between neighbouring stretches of a thirtieth of a stage, as
    a share of the larger of the two; a stage's first tenth, in which shapes form, does not count.
    """

    empty: bool
    fog: bool
    floaters: bool
    billboard: bool
    divergence: bool
    opaque_share: float
    half_clear: float
    loose_share: float
    thinness: float
    opacity_jump: float


def flags(
    views: Views,
    logs: Sequence[Sequence[Mapping[str, Any]]],
    parameters: Iterable[Tensor],
    subject: Subject | None,
) -> Failures:
    """Look for failures in an object's views, its parameters and its stages' logs (`metrics.jsonl`, row by
    row; an ordinary run has one).

    Numbers of the views that are not finite count as 0 beyond the flag that they raise.  Raises UserError
    where the subject is known and numba is missing.
    """
    maps = (views.color, views.opacity, views.depth)
    numbers = [
        value for rows in logs for row in rows for value in row.values() if isinstance(value, int | float)
    ]
    finite = all(map(math.isfinite, numbers))
    finite = finite and all(bool(tensor.isfinite().all()) for tensor in (*maps, *parameters))
    views = Views(views.camera, *(map_.nan_to_num(0.0, 0.0, 0.0) for map_ in maps))
    opaque, half, loose = float(silhouettes(views).float().mean()), half_clear(views), loose_share(views)
    thin = thinness(views)
    jump = max((opacity_jump([float(row["opacity"]) for row in rows]) for rows in logs), default=0.0)
    thinnest = BILLBOARD if subject is None else BILLBOARD_SHARE * known(subject, views.camera).thinness
    return Failures(
        empty=opaque < EMPTY,
        fog=half > FOG,
        floaters=loose > FLOATERS,
        billboard=thin < thinnest,
        divergence=not finite or jump > JUMP,
        opaque_share=opaque,
        half_clear=half,
        loose_share=loose,
        thinness=thin,
        opacity_jump=jump,
    )


def half_clear(views: Views) -> float:
    """Share of rays neither clear nor opaque among those not clear; 0 if all are clear."""
    touched = views.opacity[views.opacity > CLEAR]
    return float((touched < OPAQUE).float().mean()) if len(touched) else 0.0


def loose_share(views: Views) -> float:
    """Share of the seen surface on pieces other than the largest; 0 without a surface.

    Pieces are of the hull, which is filled, so that no hidden part of a surface can cut one in two; but they
    are weighed by the surface, which phantom pieces of the hull (where no view can see through) do not have.
    """
    there = (hull(views) > TOUCHING) | (_seen(views) > TOUCHING)
    label = torch.arange(1.0, there.numel() + 1).view(1, 1, *there.shape) * there
    while True:  # every cell takes the largest label among its neighbours, until none changes
        wider = functional.max_pool3d(label, 3, 1, 1)
        if torch.equal(wider * there, label):
            break
        label = wider * there
    place = (thinned(points(views), pixel_width(views.camera)) / reach(views.camera)).view(1, -1, 1, 1, 3)
    piece = functional.grid_sample(wider, place, mode="nearest", align_corners=False).view(-1)
    # Points in no piece are means over an edge, of what is before it and what is behind.
    _, count = piece[piece > 0].unique(return_counts=True)
    return 1 - int(count.max()) / int(count.sum()) if len(count) else 0.0


def _seen(views: Views) -> Float[Tensor, "n n n"]:
    """Points of the surface in every cell of the hull, per view.

    A mast that is thinner than a cell falls between the middles of all, and its flag would be loose.
    """
    where = ((points(views) / reach(views.camera) + 1) * (CELLS / 2)).long()
    where = where[((where >= 0) & (where < CELLS)).all(1)]
    count = torch.bincount(where @ torch.tensor([1, CELLS, CELLS**2]), minlength=CELLS**3)
    return count.view(CELLS, CELLS, CELLS) / len(views.opacity)


def opacity_jump(opacity: Sequence[float]) -> float:
    """Largest change of the median between neighbouring stretches, over the larger; 0 for few rows."""
    stretch = max(10, len(opacity) // 30)
    series = torch.tensor(opacity[len(opacity) // 10 :])
    series = series[series.isfinite()]
    if len(series) < 2 * stretch:
        return 0.0
    median = series.unfold(0, stretch, 1).median(1).values
    before, after = median[:-stretch], median[stretch:]
    return float(((after - before).abs() / torch.maximum(before, after).clamp(min=1e-3)).max())
