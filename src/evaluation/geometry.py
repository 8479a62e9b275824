"""How near an object's shape is to the true shape that its prompt names, over yaw, scale and translation.

The object is compared with INSTANCES true solids of the kind, which differ in their proportions; the one
whose visual hull fits best is traced where the object stands, and is the truth.  Each figure comes with its
*ceiling*: the same figure of those instances, each compared with the others in the same way.  Distances are
in units of the truth's bounding radius, as it is scaled to the object.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from src.config import VideoConfig
from src.evaluation.alignment import align, polish
from src.evaluation.solids import FIRST_SEED, Pose, instance, ranges
from src.evaluation.surface import hull, pixel_width, points, silhouettes, thinned, thinness
from src.evaluation.views import Views, around
from src.scene.cameras import Cameras
from src.toybox.world.captions import Subject

INSTANCES = 4
BOUNDING_RADIUS = 0.5  # of every true solid at scale 1 (world units)
# In bounding radii: clouds are thinned to one point in a cell so large, and sought among twice as many along
# each axis.
CELL = 0.08


@dataclass(frozen=True)
class Geometry:
    """The shape of one object beside the truth; every figure is finite.

    A share is 1 for an object that is as near to the truth as another true instance is, and 0 for the worst:
    figure / ceiling of the IoU, ceiling / figure of distances, capped at 1.  A ceiling of distances counts as
    no less than a pixel's width at the object, below which pictures tell nothing.
    """

    silhouette_iou: float  # common over joint pixels of the silhouettes, mean over the views
    chamfer: float  # mean of the two mean distances between the surfaces, each to the other
    depth_error: float  # mean |difference| where both silhouettes are; 1 where they have no pixel in common
    iou_ceiling: float
    chamfer_ceiling: float
    depth_ceiling: float
    iou_share: float
    chamfer_share: float
    depth_share: float
    yaw_degrees: float  # how far the object stands turned from the truth, counter-clockwise from above
    yaw_alike: float  # share of 24 yaws that hulls cannot tell from the best: 1/24 is sure, 1 a round shape
    scale: float  # of the object; 1 in every picture of the toy world
    shift: float  # distance from where every picture of the toy world has it (world units)


class Figures(NamedTuple):
    """What two objects that stand alike are compared by."""

    iou: float
    chamfer: float
    depth: float


class Truth(NamedTuple):
    """True instances of a kind, what is known of them, and the figures between them."""

    tables: list[np.ndarray]
    hulls: Float[Tensor, "K n n n"]
    thinness: float  # mean of them, as `surface.thinness` has it
    ceiling: Figures


def measure(views: Views, subject: Subject) -> Geometry:
    """Compare an object, seen by `src.evaluation.views.around`'s cameras, with the subject's kind."""
    return beside_truth(views, subject)[0]


def beside_truth(views: Views, subject: Subject) -> tuple[Geometry, Views, Pose]:
    """`measure`, the true solid that it was measured beside, standing where the object stands, and its pose.

    An object without an opaque ray, or with numbers that are not finite, counts as one point in the middle
    that no silhouette shows; `src.evaluation.failures` tells which.  Raises UserError where numba is missing.
    """
    camera = views.camera
    truth = known(subject, camera)
    if not all(bool(map_.isfinite().all()) for map_ in (views.color, views.opacity, views.depth)):
        nothing = torch.zeros_like(views.opacity)
        views = Views(camera, torch.zeros_like(views.color), nothing, nothing)
    pose, alike, figures, beside = _match(views, truth.tables, truth.hulls)
    ceiling, pixel = truth.ceiling, pixel_width(camera) / (BOUNDING_RADIUS * pose.scale)
    found = Geometry(
        *figures,
        *ceiling,
        iou_share=min(1.0, figures.iou / ceiling.iou),
        chamfer_share=_share(ceiling.chamfer, figures.chamfer, pixel),
        depth_share=_share(ceiling.depth, figures.depth, pixel),
        yaw_degrees=math.degrees(pose.yaw),
        yaw_alike=alike,
        scale=pose.scale,
        shift=math.hypot(*pose.shift),
    )
    return found, beside, pose


def known(subject: Subject, camera: Cameras) -> Truth:
    """The true instances of a subject's kind on its base, made once for all that these cameras see."""
    return _known(subject.kind, subject.base, float(camera.distance[0]), float(camera.fov[0]), camera.height)


def _share(ceiling: float, figure: float, pixel: float) -> float:
    return min(1.0, max(ceiling, pixel) / max(figure, pixel))


@lru_cache(maxsize=4)
def _known(kind: str, base: str, distance: float, fov: float, size: int) -> Truth:
    camera = around(VideoConfig(distance=distance, fov_degrees=math.degrees(fov)), size)
    tables = [instance(kind, FIRST_SEED + i, base) for i in range(INSTANCES)]
    seen = [_bare(table, camera) for table in tables]
    hulls = torch.stack([hull(views) for views in seen])
    between = []
    for i, views in enumerate(seen):
        others = [j for j in range(INSTANCES) if j != i]
        between.append(_match(views, [tables[j] for j in others], hulls[others])[2])
    ceiling = Figures(*(sum(column) / INSTANCES for column in zip(*between, strict=True)))
    return Truth(tables, hulls, sum(map(thinness, seen)) / INSTANCES, ceiling)


def _bare(table: np.ndarray, camera: Cameras, pose: Pose | None = None) -> Views:
    """A solid without colour, one ray a pixel."""
    hit, along = ranges(table, camera, pose)
    opacity = hit.float()
    return Views(camera, opacity.expand(-1, 3, -1, -1), opacity, along)


def _match(
    views: Views, tables: list[np.ndarray], hulls: Float[Tensor, "K n n n"]
) -> tuple[Pose, float, Figures, Views]:
    """The pose, how much of a turn leaves the object alike, its figures, and the best instance, posed."""
    mine, camera = hull(views), views.camera
    if mine.sum() < 1:  # not one cell: nothing to align
        truth = _bare(tables[0], camera)
        return Pose(), 1.0, compare(views, truth, BOUNDING_RADIUS), truth
    found = align(mine, hulls, camera)
    table = tables[found.instance]
    pose = polish(mine, hull(_bare(table, camera, found.pose)), found.pose, camera)
    truth = _bare(table, camera, pose)
    return pose, found.alike, compare(views, truth, BOUNDING_RADIUS * pose.scale), truth


def compare(views: Views, truth: Views, radius: float) -> Figures:
    """Figures of an object beside a truth that stands where it stands, of this bounding radius."""
    mine, theirs = silhouettes(views), silhouettes(truth)
    common, joint = mine & theirs, mine | theirs
    iou = common.sum((1, 2, 3)) / joint.sum((1, 2, 3)).clamp(min=1)
    apart = (views.depth - truth.depth).abs()[common]
    cloud = points(views) if mine.any() else torch.zeros(1, 3)
    return Figures(
        float(iou.mean()),
        chamfer(cloud, points(truth), CELL * radius) / radius,
        float(apart.mean()) / radius if len(apart) else 1.0,
    )


def chamfer(a: Float[Tensor, "A 3"], b: Float[Tensor, "B 3"], cell: float) -> float:
    """Mean of the mean distance from a to b and that from b to a (world units), of evenly thinned clouds.

    The distances themselves, not their squares, which a few strays would rule.
    """
    few_a, few_b, many_a, many_b = (thinned(cloud, size) for size in (cell, cell / 2) for cloud in (a, b))
    return 0.5 * (_mean_distance(few_a, many_b) + _mean_distance(few_b, many_a))


def _mean_distance(a: Float[Tensor, "A 3"], b: Float[Tensor, "B 3"]) -> float:
    # By matrix products, which is fast; the nearest is measured anew, because they round.
    nearest = torch.cat([torch.cdist(part, b).argmin(1) for part in a.split(512)])
    return float((a - b[nearest]).norm(dim=1).mean())
