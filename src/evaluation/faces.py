"""How far drawn faces are from true ones: a figure that sees what the question "which kind?" overlooks.

The world knows where the face of each of its solids is. The same square around it is cut from a picture and
from pictures of true instances, the judge looks at both, and the picture's distance is one less the cosine
of what it sees in the picture and in the nearest of the true ones: a face may be any instance's, turned and
lit in any way, but it has to be somebody's. The `floor` is the same of the true ones among themselves.
docs/prior.md tells how this and other distances answer to scrambled faces.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.random import Generator, Philox
from torch import Tensor
from torch.nn import functional as F

from src.errors import UserError
from src.evaluation.judge.judge import BACKGROUND, Judge
from src.evaluation.solids import FIRST_SEED, Pose, of_solid
from src.evaluation.views import Views
from src.scene.cameras import Cameras
from src.toybox.world.captions import Subject

SIDE = 64  # pixels of a square
MARGIN = 1.25  # half its width, in radii of the face
FRONT_DEGREES = 20.0  # views this near to the front show the face
INSTANCES = 4  # true solids that a run's face is held against, from each of its front views
PORTRAITS = 24  # true pictures that a sample's face is held against


class Faces(NamedTuple):
    """Mean distance of faces to the nearest true one, and that of true ones to the nearest other."""

    distance: float
    distance_floor: float


class Place(NamedTuple):
    """A ball around a face, in world units."""

    center: tuple[float, float, float]
    radius: float

    def posed(self, pose: Pose) -> "Place":
        """Where it is on a solid that stands in this pose."""
        c, s = math.cos(pose.yaw), math.sin(pose.yaw)
        x, y, z = self.center
        turned = (c * x - s * y, s * x + c * y, z)
        a, b, c = (pose.scale * at + by for at, by in zip(turned, pose.shift, strict=True))
        return Place((a, b, c), pose.scale * self.radius)


def place_of(kind: str, base: str = "") -> Place | None:
    """Where the face of a kind is, on an instance of mean proportions; None for what has none."""
    from src.toybox.world.shapes import assembled

    face = assembled(kind, Generator(Philox(0)), 0.0, base).face
    if face is None:
        return None
    x, y, z, radius = face.tolist()
    return Place((x, y, z), radius)


def squares(
    pictures: Float[Tensor, "N 3 S S"], camera: Cameras, place: Place
) -> Float[Tensor, "N 3 SIDE SIDE"]:
    """The square around a face, cut from pictures by these cameras (N of them, or one for all)."""
    right, up, backward, origin = camera.poses().unbind(-1)
    offset = torch.tensor(place.center, dtype=origin.dtype) - origin
    half = (0.5 * camera.fov).tan() * -(offset * backward).sum(1)  # of the picture's width, at the face
    size = MARGIN * place.radius / half
    x, y = (offset * right).sum(1) / half, -(offset * up).sum(1) / half
    zero = torch.zeros_like(x)
    frame = torch.stack([size, zero, x, zero, size, y], 1).view(-1, 2, 3).expand(len(pictures), -1, -1)
    grid = F.affine_grid(frame, [len(pictures), 3, SIDE, SIDE], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def compare(
    judge: Judge,
    mine: Float[Tensor, "N 3 SIDE SIDE"],
    true: Float[Tensor, "M 3 SIDE SIDE"],
    views: int = 1,
) -> Faces:
    """Squares beside true ones, `views` in a row of each instance, of which there are two or more.

    The floor is that of an instance beside the others: another view of itself is nearer than any of them.
    """
    theirs = judge.images(true)
    owner = torch.arange(len(theirs)) // views
    among = (1 - theirs @ theirs.T).masked_fill(owner[:, None] == owner, math.inf)
    beside = 1 - judge.images(mine) @ theirs.T
    return Faces(float(beside.min(1).values.mean()), float(among.min(1).values.mean()))


def of_views(judge: Judge, views: Views, subject: Subject, pose: Pose) -> Faces:
    """The face of an object that is as large as `pose` says and stands there, seen from the front.

    Raises UserError for a subject without a face, and where numba is missing.
    """
    place = place_of(subject.kind, subject.base)
    if place is None:
        raise UserError(f"a {subject.kind} has no face")
    turn = torch.remainder(views.camera.azimuth + math.pi, 2 * math.pi) - math.pi
    front = (turn.abs() <= math.radians(FRONT_DEGREES)).nonzero()[:, 0]
    elevation, azimuth, distance, fov = (numbers[front] for numbers in views.camera[:4])
    camera = Cameras(elevation, azimuth, distance, fov, views.camera.height, views.camera.width)
    upright = pose._replace(yaw=0.0)  # turned to the side, it has no face in front
    grey, place = torch.tensor(BACKGROUND), place.posed(upright)
    true = [
        of_solid(subject, FIRST_SEED + i, camera, upright).over(grey).clamp(0, 1) for i in range(INSTANCES)
    ]
    mine = views.over(grey)[front].clamp(0, 1)
    return compare(
        judge,
        squares(mine, camera, place),
        torch.cat([squares(seen, camera, place) for seen in true]),
        views=len(front),
    )


def of_samples(judge: Judge, samples: Float[Tensor, "N 3 S S"], kind: str) -> Faces:
    """The faces of a prior's samples of "a KIND, front view", whose cameras are any of the training's law."""
    place = place_of(kind)
    if place is None:
        raise UserError(f"a {kind} has no face")
    middle = _camera(0.5 * np.ones(4), samples.shape[-1])
    return compare(
        judge, squares(samples, middle, place), squares(portraits(kind, samples.shape[-1]), middle, place)
    )


def portraits(kind: str, size: int) -> Float[Tensor, "PORTRAITS 3 size size"]:
    """True instances from cameras of the prior's law that see the front, before its backgrounds."""
    from src.toybox.world.pictures import backdrop, key_light, photograph
    from src.toybox.world.shapes import build

    found = []
    for i in range(PORTRAITS):
        rng = Generator(Philox([FIRST_SEED, i]))
        camera = _camera(rng.uniform(size=4), size)
        light = key_light(float(camera.azimuth[0]), rng.uniform(-55, 55), rng.uniform(40, 75))
        seen = photograph(build(kind, rng), Subject(kind), light, camera)
        found.append(seen[..., :3] + backdrop(rng, camera) * (1 - seen[..., 3:]))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float().clamp(0, 1)


def _camera(u: np.ndarray, size: int) -> Cameras:
    """A camera of the law that the prior was taught by, near the front, from four numbers in [0, 1]."""
    from src.toybox.world.pictures import TOY_CAMERA as LAW

    low, high = LAW.elevation_degrees_min, LAW.elevation_degrees_max
    numbers = (
        math.radians(low + (high - low) * u[0]),
        math.radians(FRONT_DEGREES * (2 * u[1] - 1)),
        LAW.distance_min + (LAW.distance_max - LAW.distance_min) * u[2],
        math.radians(LAW.fov_degrees_min + (LAW.fov_degrees_max - LAW.fov_degrees_min) * u[3]),
    )
    elevation, azimuth, distance, fov = torch.tensor(numbers, dtype=torch.float32)[:, None]
    return Cameras(elevation, azimuth, distance, fov, size, size)
