"""What every measure looks at: an object seen by the same cameras, a NeRF and a true solid alike.

`AZIMUTHS` views around the object at each of `ELEVATIONS_DEGREES`, from the distance and field of view of
the run's own turntable; view 0 is the front, azimuths go on to the object's left (counter-clockwise from
above).  The learnt background is left out: it is no part of the object.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from src.config import RunConfig, VideoConfig
from src.model import Scene, look
from src.scene.cameras import Cameras
from src.scene.rendering import Rendering

AZIMUTHS = 24
ELEVATIONS_DEGREES = (0.0, 30.0)
SIZE = 96  # pixels


class Views(NamedTuple):
    """Maps of an object from N cameras, elevation by elevation; world units."""

    camera: Cameras
    color: Float[Tensor, "N 3 H W"]  # times opacity
    opacity: Float[Tensor, "N 1 H W"]
    depth: Float[Tensor, "N 1 H W"]  # expected distance along the ray, given an end in the object

    def over(self, color: Float[Tensor, "3"]) -> Float[Tensor, "N 3 H W"]:
        """The object before a background of one colour."""
        return self.color + (1 - self.opacity) * color[:, None, None]

    def every_other(self, first: int) -> "Views":
        """The views first, first + 2, and so on: two halves that see all sides each."""
        elevation, azimuth, distance, fov = (numbers[first::2] for numbers in self.camera[:4])
        camera = Cameras(elevation, azimuth, distance, fov, self.camera.height, self.camera.width)
        return Views(camera, *(maps[first::2] for maps in self[1:]))


def around(video: VideoConfig, size: int = SIZE) -> Cameras:
    """The cameras of all measures."""
    azimuth = torch.arange(AZIMUTHS) * (2 * math.pi / AZIMUTHS)
    rings = len(ELEVATIONS_DEGREES)
    full = torch.ones(rings * AZIMUTHS)
    return Cameras(
        elevation=torch.tensor(ELEVATIONS_DEGREES).deg2rad().repeat_interleave(AZIMUTHS),
        azimuth=azimuth.repeat(rings),
        distance=full * video.distance,
        fov=full * math.radians(video.fov_degrees),
        height=size,
        width=size,
    )


def of_run(cfg: RunConfig, model: Scene, size: int = SIZE) -> Views:
    """The object of a run."""
    camera = around(cfg.video, size)
    color, opacity, depth = [], [], []
    for view in range(len(camera.azimuth)):
        here = camera.one(view)
        seen = look(cfg, model, here)
        far = here.distance + cfg.field.radius  # where the renderer lets rays end that pass through
        ends = (seen.depth.cpu() - (1 - seen.opacity.cpu()) * far) / seen.opacity.cpu().clamp(min=1e-6)
        color.append(as_shown(seen))
        opacity.append(seen.opacity.cpu())
        depth.append(ends)
    return Views(camera, torch.cat(color), torch.cat(opacity), torch.cat(depth))


def as_shown(seen: Rendering) -> Float[Tensor, "B 3 H W"]:
    """Colours times opacity as a picture has them: those that a latent field's colour map makes may be less
    than 0, and more than 1.
    """
    return seen.foreground.cpu().clamp(min=0).minimum(seen.opacity.cpu())
