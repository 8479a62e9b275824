"""Where the pictures are taken from.

The world is right-handed with z up, and every camera looks at the origin.  Elevation is the angle above the
horizon; azimuth 0 is the front (the camera sits on +x) and grows counter-clockwise seen from above, so at 90
degrees the camera sits on +y.  Angles are radians here and degrees in the configuration; the field of view
is the vertical one.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from src.errors import UserError
from src.streams import Stream, upload


@dataclass
class CameraConfig:
    """Ranges that training cameras are drawn from (closest public config: threestudio's
    prolificdreamer.yaml).
    """

    distance_min: float = 1.0
    distance_max: float = 1.5
    fov_degrees_min: float = 40.0
    fov_degrees_max: float = 70.0
    elevation_degrees_min: float = -10.0
    elevation_degrees_max: float = 45.0

    def __post_init__(self) -> None:
        for name in ("distance", "fov_degrees", "elevation_degrees"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise UserError(
                    f"camera.{name}_min={low} and camera.{name}_max={high} are no range: "
                    "give two finite numbers, the smaller one as the minimum."
                )
        if self.distance_min <= 0:
            raise UserError(f"camera.distance_min={self.distance_min} must be greater than 0.")
        if not (self.fov_degrees_min > 0 and self.fov_degrees_max < 180):
            raise UserError(
                f"camera.fov_degrees_min={self.fov_degrees_min} and camera.fov_degrees_max="
                f"{self.fov_degrees_max} must lie between 0 and 180 degrees."
            )
        if not (self.elevation_degrees_min >= -90 and self.elevation_degrees_max <= 90):
            raise UserError(
                f"camera.elevation_degrees_min={self.elevation_degrees_min} and camera."
                f"elevation_degrees_max={self.elevation_degrees_max} must lie in [-90, 90] degrees."
            )


class Rays(NamedTuple):
    """One ray per pixel, through its centre; directions have unit length."""

    origins: Float[Tensor, "batch height width 3"]
    directions: Float[Tensor, "batch height width 3"]


class Cameras(NamedTuple):
    """A batch of pinhole cameras that look at the origin, unless they have poses of their own; radians."""

    elevation: Float[Tensor, " batch"]
    azimuth: Float[Tensor, " batch"]
    distance: Float[Tensor, " batch"]
    fov: Float[Tensor, " batch"]
    height: int
    width: int
    pose: Float[Tensor, "batch 3 4"] | None = None  # camera to world, as `poses` returns it

    def one(self, i: int) -> "Cameras":
        """Camera i (from 0) as a batch of one."""
        elevation, azimuth, distance, fov = (numbers[i : i + 1] for numbers in self[:4])
        pose = None if self.pose is None else self.pose[i : i + 1]
        return Cameras(elevation, azimuth, distance, fov, self.height, self.width, pose)

    def to(self, device: torch.device) -> "Cameras":
        """The same cameras on another device, in one copy."""
        if self.azimuth.device == device:
            return self
        elevation, azimuth, distance, fov = upload(torch.stack(self[:4]), device).unbind(0)
        pose = None if self.pose is None else upload(self.pose, device)
        return Cameras(elevation, azimuth, distance, fov, self.height, self.width, pose)

    def poses(self) -> Float[Tensor, "batch 3 4"]:
        """Camera-to-world matrices: columns right, up, backward (unit, orthogonal) and the origin."""
        if self.pose is not None:
            return self.pose
        cos_e, sin_e = self.elevation.cos(), self.elevation.sin()
        cos_a, sin_a = self.azimuth.cos(), self.azimuth.sin()
        # Written out instead of cross products with "up", which vanish for a camera straight overhead.
        right = torch.stack([-sin_a, cos_a, torch.zeros_like(cos_a)], -1)
        up = torch.stack([-sin_e * cos_a, -sin_e * sin_a, cos_e], -1)
        backward = torch.stack([cos_e * cos_a, cos_e * sin_a, sin_e], -1)
        return torch.stack([right, up, backward, backward * self.distance[:, None]], -1)

    def rays(self) -> Rays:
        """The ray of every pixel; row 0 is the top of the image."""
        right, up, backward, origin = self.poses().unbind(-1)
        focal = 0.5 * self.height / (0.5 * self.fov).tan()  # in pixels, [B]
        dtype, device = focal.dtype, focal.device
        column = torch.arange(self.width, dtype=dtype, device=device)
        row = torch.arange(self.height, dtype=dtype, device=device)
        x = (column + 0.5 - 0.5 * self.width) / focal[:, None]
        y = (0.5 * self.height - 0.5 - row) / focal[:, None]
        directions = (
            x[:, None, :, None] * right[:, None, None]
            + y[:, :, None, None] * up[:, None, None]
            - backward[:, None, None]
        )
        directions = directions / directions.norm(dim=-1, keepdim=True)
        return Rays(origin[:, None, None].expand_as(directions), directions)


def sample_cameras(
    cfg: CameraConfig,
    batch: int,
    resolution: int,
    stream: Stream,
    total_views: int | None = None,
    first_view: int = 0,
) -> Cameras:
    """Draw training cameras: views `first_view` to `first_view + batch` of a step that has `total_views`
    (default: batch).

    Distance and field of view are uniform.  Elevation is, with even odds for each view, uniform in degrees
    or uniform on the sphere (in its sine).  Azimuth is stratified: view i of n falls into the i-th of n
    equal sectors.
    """
    total = batch if total_views is None else total_views
    law, u_elevation, u_azimuth, u_distance, u_fov = stream.uniform(batch, 5).unbind(-1)
    low, high = math.radians(cfg.elevation_degrees_min), math.radians(cfg.elevation_degrees_max)
    by_degree = low + (high - low) * u_elevation
    by_area = (math.sin(low) + (math.sin(high) - math.sin(low)) * u_elevation).asin()
    view = first_view + torch.arange(batch, device=u_azimuth.device)
    fov = cfg.fov_degrees_min + (cfg.fov_degrees_max - cfg.fov_degrees_min) * u_fov
    return Cameras(
        elevation=torch.where(law < 0.5, by_degree, by_area),
        azimuth=((view + u_azimuth) / total * 2 - 1) * math.pi,
        distance=cfg.distance_min + (cfg.distance_max - cfg.distance_min) * u_distance,
        fov=fov.deg2rad(),
        height=resolution,
        width=resolution,
    )


def orbit(
    views: int, elevation_degrees: float, distance: float, fov_degrees: float, resolution: int
) -> Cameras:
    """A turntable: `views` cameras evenly around the object, from the front on, the end frame not doubled."""
    full = torch.ones(views)
    return Cameras(
        elevation=full * math.radians(elevation_degrees),
        azimuth=torch.arange(views) * (2 * math.pi / views),
        distance=full * distance,
        fov=full * math.radians(fov_degrees),
        height=resolution,
        width=resolution,
    )
