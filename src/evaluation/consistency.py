"""The turntable against itself: does the surface that one view shows stand where its neighbour sees it?

Colour does not depend on the view here, so a disagreement is one of geometry: a surface point of one view,
carried over into the view 15 degrees on, must meet the same colour at the same distance there, unless
something stands in front of it.  Fog and depth that is only painted on do not survive that.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from src.evaluation.surface import OPAQUE, endpoints, project, silhouettes
from src.evaluation.views import AZIMUTHS, Views

# World units: how much nearer another surface must be to hide a point.  Three pixels of a toy picture: the
# depth of a surface seen at 15 degrees changes as much from one pixel to the next.
TOLERANCE = 0.04


@dataclass(frozen=True)
class Consistency:
    """How far neighbouring views agree; every figure is finite, and 0 for an object that shows nothing."""

    color_difference: float  # mean |difference|, in [0, 1], of points that the next view does not hide
    unmatched: float  # share of those points that the next view sees through, by more than TOLERANCE


def measure(views: Views) -> Consistency:
    """Compare every view with the next one of its elevation, all around."""
    seen, places = silhouettes(views)[:, 0], endpoints(views)
    straight = views.color / views.opacity.clamp(min=1e-6)
    difference, missed, count = 0.0, 0, 0
    for i in range(len(seen)):
        j = i + 1 if (i + 1) % AZIMUTHS else i + 1 - AZIMUTHS
        where, distance = project(views.camera.one(j), places[i][seen[i]][None])
        there = torch.cat([straight[j], views.opacity[j], views.depth[j]])[None]
        found = functional.grid_sample(there, where[:, None], align_corners=False)[0, :, 0]
        behind = found[4] - distance[0]
        inside = (where[0].abs() < 1).all(-1)
        open_ = inside & ~((found[3] >= OPAQUE) & (behind < -TOLERANCE))
        through = open_ & ((found[3] < OPAQUE) | (behind > TOLERANCE))
        colors = (found[:3].T - straight[i][:, seen[i]].T).abs().mean(1)
        difference += float(colors[open_].sum())
        missed, count = missed + int(through.sum()), count + int(open_.sum())
    return Consistency(difference / max(count, 1), missed / max(count, 1))
