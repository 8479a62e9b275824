"""Fields with known pictures, for the scene's tests."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from src.scene.background import Background, BackgroundConfig
from src.scene.cameras import Cameras
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.streams import Streams


@dataclass
class Ball:
    """A ball of constant density whose colour depends on the place; 64-bit throughout."""

    density_inside: float = 3.0
    ball_radius: float = 0.8
    radius: float = 0.8
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def density(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        offset = points - points.new_tensor(self.center)
        return self.density_inside * (offset.norm(dim=-1) <= self.ball_radius).to(points.dtype)

    def __call__(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        return self.density(points), 0.5 + 0.5 * (3 * points).sin()


def camera_at(azimuth_degrees: float, elevation_degrees: float = 0.0, resolution: int = 5) -> Cameras:
    """One 64-bit camera two units away with a field of view of 50 degrees."""
    angles = torch.tensor([[elevation_degrees], [azimuth_degrees]], dtype=torch.float64).deg2rad()
    one = torch.ones(1, dtype=torch.float64)
    return Cameras(angles[0], angles[1], 2 * one, one * math.radians(50), resolution, resolution)


def backdrop(solid_probability: float = 0.5) -> Background:
    """A 64-bit background."""
    return Background(BackgroundConfig(solid_probability=solid_probability), Streams(7, 0)).double()


def everywhere(radius: float = 0.8) -> OccupancyGrid:
    """An occupancy grid that prunes nothing."""
    return OccupancyGrid(OccupancyConfig(resolution=4), radius, 0.01)
