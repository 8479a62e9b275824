"""The turntable against itself: does the surface that one view shows stand where its neighbour sees it?

Colour does not depend on the view here (but for a mesh's material, whose gloss counts as a disagreement), so
a disagreement is one of geometry: a surface point of one view, carried over into the view 15 degrees on, must
meet the same colour at the same distance there, unless something stands in front of it.  Fog and depth that
is only painted on do not survive that.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from src.errors import UserError
from src.evaluation.surface import OPAQUE, endpoints, project, silhouettes
from src.evaluation.views import AZIMUTHS, Views

# World units: how much nearer another surface must be to hide a point.  Three pixels of a toy picture: the
# depth of a surface seen at 15 degrees changes as much from one pixel to the next.
TOLERANCE = 0.04


@dataclass(frozen=True)
class Consistency:
    """How far neighbouring views agree; every figure is finite."""

    color_difference: float  # mean |difference|, in [0, 1], of points that the next view sees; 1 if of none
    unmatched: float  # share of points, hidden ones left out, that it sees through by more than TOLERANCE


def measure(views: Views) -> Consistency:
    """Compare every view with the next one of its elevation, all around; raises UserError for an object that
    shows no point twice.
    """
    seen, places = silhouettes(views)[:, 0], endpoints(views)
    straight = views.color / views.opacity.clamp(min=1e-6)
    difference, met, count = 0.0, 0, 0
    for i in range(len(seen)):
        j = i + 1 if (i + 1) % AZIMUTHS else i + 1 - AZIMUTHS
        where, distance = project(views.camera.one(j), places[i][seen[i]][None])
        there = torch.cat([views.color[j], views.opacity[j], views.depth[j]])[None]
        found = functional.grid_sample(there, where[:, None], align_corners=False)[0, :, 0]
        behind = found[4] - distance[0]
        inside = (where[0].abs() < 1).all(-1)
        open_ = inside & ~((found[3] >= OPAQUE) & (behind < -TOLERANCE))
        same = open_ & (found[3] >= OPAQUE) & (behind <= TOLERANCE)
        # Divided after it is sampled: between a coloured pixel and an empty one lies no darker colour.
        colors = (found[:3] / found[3].clamp(min=OPAQUE) - straight[i][:, seen[i]]).abs().mean(0)
        difference += float(colors[same].sum())
        met, count = met + int(same.sum()), count + int(open_.sum())
    if count == 0:
        raise UserError("no point of its surface is seen by two views")
    return Consistency(difference / met if met else 1.0, 1 - met / count)
