"""Where an object stands: the yaw, scale and shift that bring a true solid's visual hull over its own.

Hulls are compared by the ratio of their common to their joint volume.  24 yaws are tried, with scale and
shift from the hulls' moments, and every instance's best is climbed from.  Nothing is drawn at random.
K true instances, n cells along an edge of a hull, C candidate poses, P points.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from src.evaluation.solids import Pose
from src.evaluation.surface import CELLS, hull_points, reach
from src.evaluation.views import AZIMUTHS
from src.scene.cameras import Cameras


class Climb(NamedTuple):
    """Steps, and the length of the first ones: radians, log scale and world units alike."""

    steps: int
    rate: float


FAR, NEAR = Climb(40, 0.02), Climb(25, 0.004)  # up from 15 degrees away; of a pose that is nearly right
# The overlap that a half-turn must gain: where silhouettes do not tell yaws apart, the smaller one is taken.
INERTIA = 0.005
ALIKE = 0.02  # a ball overlaps with itself turned by so much less, its hull being made of cells


class Alignment(NamedTuple):
    """This instance in this pose fits best, with this overlap of hulls in [0, 1]."""

    instance: int
    pose: Pose
    overlap: float
    alike: float  # share of the 24 yaws that overlap as well as the best of them, within ALIKE


def align(hull: Float[Tensor, "n n n"], true: Float[Tensor, "K n n n"], camera: Cameras) -> Alignment:
    """Find which true instance fits best, and in which pose; the object's hull must not be empty."""
    cells, size = hull_points(camera), reach(camera)
    mine, theirs = _smooth(hull[None])[0], _smooth(true)
    turn = torch.arange(AZIMUTHS) * (2 * math.pi / AZIMUTHS)
    turn = torch.where(turn > math.pi + 1e-3, turn - 2 * math.pi, turn)
    moments = _moments(mine, cells)
    start = torch.stack([_start(turn, moments, _moments(each, cells)) for each in theirs])  # [K, 24, 5]
    few, there = _few(cells.view(CELLS, CELLS, CELLS, 3)), _few(mine)[:, 0]
    instance = torch.arange(len(theirs))
    with torch.no_grad():
        found = torch.stack([_overlap(start[:, i], theirs, few, there, size) for i in range(AZIMUTHS)], 1)
    alike = float((found.max(0).values > found.max() - ALIKE).float().mean())
    likely = (found - INERTIA * turn.abs() / math.pi).argmax(1)
    climbed = _climb(start[instance, likely], theirs, few, there, size, FAR)
    with torch.no_grad():
        overlap = _overlap(climbed, theirs, cells, mine.reshape(-1), size)
    yaw = torch.remainder(climbed[:, 0] + math.pi, 2 * math.pi) - math.pi
    best = int((overlap - INERTIA * yaw.abs() / math.pi).argmax())
    _, log_scale, x, y, z = climbed[best].tolist()
    pose = Pose(float(yaw[best]), math.exp(log_scale), (x, y, z))
    return Alignment(best, pose, float(overlap[best]), alike)


def polish(hull: Float[Tensor, "n n n"], true: Float[Tensor, "n n n"], pose: Pose, camera: Cameras) -> Pose:
    """Correct a pose by the hull of the true solid that stands in it.

    A hull depends a little on where the solid stands among the cameras: one that is carved elsewhere and
    moved there leads to a scale that is up to 1% off.
    """
    few, there = _few(hull_points(camera).view(CELLS, CELLS, CELLS, 3)), _few(_smooth(hull[None])[0])[:, 0]
    rest = _climb(torch.zeros(1, 5), _smooth(true[None]), few, there, reach(camera), NEAR)
    yaw, log_scale, *shift = rest[0].tolist()
    c, s, scale = math.cos(yaw), math.sin(yaw), math.exp(log_scale)
    x, y, z = pose.shift
    moved = (c * x - s * y, s * x + c * y, z)
    x, y, z = (scale * a + b for a, b in zip(moved, shift, strict=True))
    return Pose(math.remainder(pose.yaw + yaw, 2 * math.pi), pose.scale * scale, (x, y, z))


def _smooth(hulls: Float[Tensor, "K n n n"]) -> Float[Tensor, "K n n n"]:
    """Hulls with edges two cells wide, which have a gradient everywhere along them."""
    return functional.avg_pool3d(hulls[:, None], 3, 1, 1)[:, 0]


def _few(values: Float[Tensor, "n n n *c"]) -> Float[Tensor, "m c"]:
    """Every other cell along each axis: an eighth of the work, and the hulls are smooth."""
    return values[::2, ::2, ::2].reshape((CELLS // 2) ** 3, -1)


def _moments(
    hull: Float[Tensor, "n n n"], cells: Float[Tensor, "P 3"]
) -> tuple[Float[Tensor, "3"], Float[Tensor, ""]]:
    """Centre of mass and root-mean-square distance from it (world units)."""
    mass = hull.reshape(-1) / hull.sum()
    center = mass @ cells
    return center, (mass @ (cells - center).square().sum(1)).sqrt()


def _start(
    turn: Float[Tensor, " C"],
    mine: tuple[Float[Tensor, "3"], Float[Tensor, ""]],
    true: tuple[Float[Tensor, "3"], Float[Tensor, ""]],
) -> Float[Tensor, "C 5"]:
    """Yaw, log scale and shift that give the true hull the moments of mine, for every yaw."""
    scale = mine[1] / true[1]
    shift = mine[0] - scale * torch.einsum("cij,j->ci", _rotation(turn), true[0])
    return torch.cat([turn[:, None], scale.log().expand(len(turn), 1), shift], 1)


def _rotation(yaw: Float[Tensor, " C"]) -> Float[Tensor, "C 3 3"]:
    c, s, zero, one = yaw.cos(), yaw.sin(), torch.zeros_like(yaw), torch.ones_like(yaw)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).view(-1, 3, 3)


def _overlap(
    candidate: Float[Tensor, "C 5"],
    theirs: Float[Tensor, "C n n n"],
    points: Float[Tensor, "P 3"],
    mine: Float[Tensor, " P"],
    size: float,
) -> Float[Tensor, " C"]:
    """Common over joint volume of my hull, given at points, and each posed one."""
    offset = points - candidate[:, None, 2:]
    own = (
        torch.einsum("cpi,cij->cpj", offset, _rotation(candidate[:, 0]))
        / candidate[:, 1].exp()[:, None, None]
    )
    place = (own / size)[:, None, None]
    posed = functional.grid_sample(theirs[:, None], place, align_corners=False)[:, 0, 0, 0]
    return torch.minimum(posed, mine).sum(1) / torch.maximum(posed, mine).sum(1)


def _climb(
    start: Float[Tensor, "C 5"],
    theirs: Float[Tensor, "C n n n"],
    points: Float[Tensor, "P 3"],
    mine: Float[Tensor, " P"],
    size: float,
    climb: Climb,
) -> Float[Tensor, "C 5"]:
    """Poses of greater overlap near those given, by Adam (Kingma & Ba 2015) with a falling rate."""
    candidate = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([candidate], lr=climb.rate)
    pace = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, climb.steps)
    for _ in range(climb.steps):
        optimizer.zero_grad()
        (-_overlap(candidate, theirs, points, mine, size).sum()).backward()
        optimizer.step()
        pace.step()
    return candidate.detach()
