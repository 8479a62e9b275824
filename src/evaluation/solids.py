"""A true solid of the toy world as the measures see any object: the same cameras, the same maps."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator, Philox
from torch import Tensor
from torch.nn import functional

from src.errors import UserError
from src.evaluation.views import Views
from src.scene.cameras import Cameras
from src.toybox.captions import Subject

FIRST_SEED = 1000  # of the true instances; every seed is another set of proportions


class Pose(NamedTuple):
    """Where a solid stands: x in its own frame goes to scale * (x turned by `yaw` about z) + shift."""

    yaw: float = 0.0  # radians, counter-clockwise from above
    scale: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)  # world units


def instance(kind: str, seed: int) -> np.ndarray:
    """The table of primitives of one instance of `kind`; the seed decides its proportions.

    Raises UserError where the tracer's compiler is missing.
    """
    _tracer()
    from src.toybox.shapes import build

    return build(kind, Generator(Philox(seed)))


def _tracer() -> None:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise UserError(
            "true solids are traced by numba, which is not installed: pip install -e '.[toybox]'"
        ) from error


def posed(table: np.ndarray, pose: Pose) -> np.ndarray:
    """The same solid, standing as `pose` says."""
    from src.toybox.solid import BLEND, BOUND, CENTER, ROTATION, SIZE

    c, s = math.cos(pose.yaw), math.sin(pose.yaw)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    moved = table.copy()
    moved[:, CENTER : CENTER + 3] = pose.scale * table[:, CENTER : CENTER + 3] @ turn.T + np.array(pose.shift)
    to_local = table[:, ROTATION : ROTATION + 9].reshape(-1, 3, 3) @ turn.T
    moved[:, ROTATION : ROTATION + 9] = to_local.reshape(-1, 9)
    moved[:, SIZE : SIZE + 4] *= pose.scale
    moved[:, [BLEND, BOUND]] *= pose.scale
    return moved


def ranges(table: np.ndarray, camera: Cameras) -> tuple[Bool[Tensor, "N 1 H W"], Float[Tensor, "N 1 H W"]]:
    """Whether the ray through each pixel's centre meets the solid, and after how far (0 where not)."""
    from src.toybox import render

    origins, directions = camera.poses()[:, :, 3].double().numpy(), camera.rays().directions.double().numpy()
    each = zip(origins, directions, strict=True)
    along = torch.from_numpy(np.stack([render.distances(table, *ray) for ray in each]))[:, None]
    hit = along < render.FAR
    return hit, torch.where(hit, along, 0.0).float()


def of_solid(subject: Subject, seed: int, camera: Cameras, pose: Pose | None = None) -> Views:
    """What the cameras see of an instance of the subject's kind in its colour and material.

    The light stays where it is, near the zenith, as the views of a radiance field have it.  Colour and
    opacity are of 2x2 rays a pixel, depth of the ray through its centre, or the mean of those around it that
    hit where that one misses.
    """
    from src.toybox.world import key_light, photograph

    table = posed(instance(subject.kind, seed), pose or Pose())
    light = key_light(0.0, 0.0, 80.0)
    single = (camera.one(i) for i in range(len(camera.azimuth)))
    image = torch.from_numpy(np.stack([photograph(table, subject, light, one) for one in single]))
    color, opacity = image.permute(0, 3, 1, 2).split([3, 1], 1)
    hit, along = ranges(table, camera)
    nearby = functional.avg_pool2d(along, 3, 1, 1) / functional.avg_pool2d(hit.float(), 3, 1, 1).clamp(
        min=0.1
    )
    return Views(camera, color.contiguous(), opacity.contiguous(), torch.where(hit, along, nearby))
