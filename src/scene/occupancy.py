"""Which parts of space are worth evaluating: a coarse grid that remembers, per cell, the density last met
there.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from src.errors import UserError
from src.streams import Stream


@dataclass
class OccupancyConfig:
    """Grid size and bookkeeping, as nerfacc's estimator under threestudio.

    The grid is refreshed every `every` steps: all cells during the first `warmup` steps, later a quarter of
    them at random and as many of the occupied ones.  Old values fade by `decay` per refresh.  A cell is
    occupied where one sample's optical depth exceeds `threshold`, or the mean of all cells if that is less.
    """

    resolution: int = 32
    every: int = 16
    warmup: int = 256
    decay: float = 0.95
    threshold: float = 0.01

    def __post_init__(self) -> None:
        for name, low in (("resolution", 1), ("every", 1), ("warmup", 0)):
            if getattr(self, name) < low:
                raise UserError(f"occupancy.{name}={getattr(self, name)} must be at least {low}.")
        if not 0 <= self.decay <= 1:
            raise UserError(f"occupancy.decay={self.decay} must lie in [0, 1].")
        if not self.threshold >= 0:
            raise UserError(f"occupancy.threshold={self.threshold} must be a number not below 0.")


@runtime_checkable
class Dense(Protocol):
    """The one thing an occupancy grid needs from a field."""

    def density(self, points: Tensor) -> Tensor: ...


class OccupancyGrid(nn.Module):
    """The grid over the cube of half-size `radius`; everything is occupied until the first update.

    Values are optical depths of a sample of `step_length` (world units).  They and the bits are buffers, so
    that checkpoints carry them.  Cell (i, j, k) is number i + j n + k n^2, its x index being i.
    """

    values: Float[Tensor, " cells"]
    bits: Bool[Tensor, " cells"]

    def __init__(self, cfg: OccupancyConfig, radius: float, step_length: float) -> None:
        super().__init__()
        self.cfg, self.radius, self.step_length = cfg, radius, step_length
        self.register_buffer("values", torch.zeros(cfg.resolution**3))
        self.register_buffer("bits", torch.ones(cfg.resolution**3, dtype=torch.bool))

    @torch.no_grad()
    def update(self, field: Dense, stream: Stream, step: int) -> None:
        """Refresh the grid where `step` is a multiple of `every`; call it between steps, never between a
        step's rendering and its backward pass, which looks cells up again.
        """
        if step % self.cfg.every:
            return
        n, device = self.cfg.resolution, self.bits.device
        quarter = -(-(n**3) // 4)
        if step < self.cfg.warmup:
            cells = torch.arange(n**3, device=device)
            jitter = stream.uniform(1, n**3, 3)[0]
        else:
            occupied = self.bits.nonzero()[:, 0]
            picks = stream.uniform(1, 2, quarter)[0].to(device, torch.float64)
            anywhere = (picks[0] * n**3).long()
            again = occupied[(picks[1] * len(occupied)).long()] if len(occupied) > quarter else occupied
            # twice the same cell would leave its value to chance
            cells = torch.cat([anywhere, again]).unique()
            # For as many cells as there can be: what a step draws must not depend on the scene.
            jitter = stream.uniform(1, 2 * quarter, 3)[0, : len(cells)]
        corner = torch.stack([cells % n, cells // n % n, cells // n**2], -1)
        points = (corner + jitter.to(device)) / n * 2 - 1
        density = field.density((points * self.radius).to(self.values.dtype))
        self.values[cells] = torch.maximum(self.values[cells] * self.cfg.decay, density * self.step_length)
        self.bits = self.values >= self.values.mean().clamp(max=self.cfg.threshold)

    def occupied(self, points: Float[Tensor, "... 3"]) -> Bool[Tensor, "..."]:
        """Whether the cells that hold these points (world units, inside the cube) are occupied."""
        return self.occupied_axes(*points.unbind(-1))

    def occupied_points(self, points: Float[Tensor, "*shape 3"]) -> Bool[Tensor, "*shape"]:
        """`occupied` in few calls, for accelerators."""
        n = self.cfg.resolution
        cell = (points * (0.5 * n / self.radius)).add_(0.5 * n).to(torch.int32).clamp_(0, n - 1)
        x, y, z = cell.unbind(-1)
        number = torch.add(torch.add(x, y, alpha=n), z, alpha=n * n)
        return self.bits.index_select(0, number.view(-1)).view(number.shape)

    def occupied_axes(
        self, x: Float[Tensor, "..."], y: Float[Tensor, "..."], z: Float[Tensor, "..."]
    ) -> Bool[Tensor, "..."]:
        """`occupied` for points given axis by axis, which is how a march along rays has them at hand."""
        return self.bits.index_select(0, self._cell(x, y, z).view(-1)).view(x.shape)

    def occupied_nearby(
        self, x: Float[Tensor, "..."], y: Float[Tensor, "..."], z: Float[Tensor, "..."]
    ) -> Bool[Tensor, "..."]:
        """Whether the cells that hold these points, or one of their 26 neighbours, are occupied; points
        outside the cube belong to the cell nearest to them.
        """
        n = self.cfg.resolution
        around = functional.max_pool3d(self.bits.view(1, 1, n, n, n).float(), 3, stride=1, padding=1) > 0
        return around.view(-1).index_select(0, self._cell(x, y, z).view(-1)).view(x.shape)

    def _cell(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        n = self.cfg.resolution
        cell = torch.zeros_like(x, dtype=torch.int32)
        for axis in (z, y, x):
            index = (axis * (0.5 * n / self.radius) + 0.5 * n).to(torch.int32).clamp_(0, n - 1)
            cell = cell * n + index
        return cell
