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
from src.toybox.world.captions import Subject

FIRST_SEED = 1000  # of the true instances; every seed is another set of proportions


class Pose(NamedTuple):
    """Where a solid stands: x in its own frame goes to scale * (x turned by `yaw` about z) + shift."""

    yaw: float = 0.0  # radians, counter-clockwise from above
    scale: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)  # world units

    def turned_back(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors [..., 3] of the world in the solid's own axes."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return vectors @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def instance(kind: str, seed: int, base: str = "") -> np.ndarray:
    """The table of primitives of one instance of `kind`, on `base` if any; the seed decides its proportions.

    Raises UserError where the tracer's compiler is missing.
    """
    _tracer()
    from src.toybox.world.shapes import build

    return build(kind, Generator(Philox(seed)), base=base)


def _tracer() -> None:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise UserError(
            "true solids are traced by numba, which is not installed: pip install -e '.[toybox]'"
        ) from error


def _pinholes(camera: Cameras, pose: Pose) -> np.ndarray:
    """What the tracer wants of each camera, [N, 4, 3], in the frame of a solid that stands in this pose.

    The tracer knows solids only where they are built, and rays are quickly brought there.
    """
    from src.toybox.world.pictures import pinhole

    seen = np.stack([pinhole(camera.one(i)) for i in range(len(camera.azimuth))])
    seen[:, 0] = (seen[:, 0] - np.array(pose.shift)) / pose.scale
    return np.ascontiguousarray(pose.turned_back(seen))


def ranges(
    table: np.ndarray, camera: Cameras, pose: Pose | None = None
) -> tuple[Bool[Tensor, "N 1 H W"], Float[Tensor, "N 1 H W"]]:
    """Whether the ray through each pixel's centre meets the solid, and after how far (0 where not)."""
    from src.toybox.world import render
    from src.toybox.world.distance import FAR

    pose = pose or Pose()
    along = torch.from_numpy(render.ranges(table, _pinholes(camera, pose), camera.height))[:, None]
    hit = along < FAR
    return hit, torch.where(hit, pose.scale * along, 0.0).float()


def of_solid(subject: Subject, seed: int, camera: Cameras, pose: Pose | None = None) -> Views:
    """What the cameras see of an instance of the subject in its colour and material, and on its base.

    The light stays where it is, near the zenith, as the views of a radiance field have it.  Colour and
    opacity are of 2x2 rays a pixel where it needs them, depth of the ray through its centre, or the mean of
    those around it that hit where that one misses.
    """
    from src.toybox.world import render
    from src.toybox.world.paint import paint_table
    from src.toybox.world.pictures import key_light

    pose, table = pose or Pose(), instance(subject.kind, seed, subject.base)
    paint, light = paint_table(subject.paint(), subject.material), pose.turned_back(key_light(0.0, 0.0, 80.0))
    still = np.zeros(3)  # the grain of wood and stone
    shots = [render.trace(table, paint, light, still, one, camera.height) for one in _pinholes(camera, pose)]
    color, opacity = torch.from_numpy(np.stack(shots)).permute(0, 3, 1, 2).split([3, 1], 1)
    hit, along = ranges(table, camera, pose)
    nearby = functional.avg_pool2d(along, 3, 1, 1) / functional.avg_pool2d(hit.float(), 3, 1, 1).clamp(
        min=0.1
    )
    return Views(camera, color.contiguous(), opacity.contiguous(), torch.where(hit, along, nearby))
