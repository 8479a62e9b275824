"""The encoding on an accelerator in plain torch: all levels, points and corners in the same calls.

There a call costs more than what it computes, and waiting for it costs more still: 18 calls forward and 20
backward, where src/scene/hash_grid_by_blocks.py takes hundreds.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from src.scene.levels import PRIMES, Level


class Constants(NamedTuple):
    """What the levels say, on a device; the first axis is the level."""

    scale: Tensor  # [L, 1], as the points' type
    stride: (
        Tensor  # [L, 3, 1] int32: what one vertex along an axis adds to the row, or its factor in the hash
    )
    mask: Tensor  # [L, 1, 1, 1] int32: rows - 1 of a hashed level
    first: Tensor  # [L, 1, 1, 1] int32
    vertex: Tensor  # [2] int32: 0 and 1


class AtOnce:
    """Nothing waits but the first call on a device, which brings the constants there."""

    def __init__(self, levels: list[Level]) -> None:
        self._levels = levels
        self._dense = sum(level.dense for level in levels)  # the coarse ones come first
        self._constants: dict[tuple[torch.device, torch.dtype], Constants] = {}

    def encode(self, points: Tensor, table: Tensor) -> Tensor:
        """See src/scene/hash_grid.py's Kernels."""
        rows, inside = self._locate(points.to(table.dtype))
        values = table.index_select(0, rows.view(-1)).view(*rows.shape, table.shape[1])  # [n, L, z, y, x, F]
        for axis in (2, 1, 0):
            near, far = values.unbind(2)
            part = inside[:, :, axis].view(*inside.shape[:2], *[1] * (near.dim() - 2))
            values = torch.lerp(near, far, part)
        return values.flatten(1)

    def accumulate(self, points: Tensor, upstream: Tensor, gradient: Tensor) -> None:
        """See src/scene/hash_grid.py's Kernels."""
        rows, inside = self._locate(points.to(gradient.dtype))
        x, y, z = torch.stack([1 - inside, inside], -1).unbind(2)  # [n, L, 2]
        weights = z[:, :, :, None, None] * y[:, :, None, :, None] * x[:, :, None, None, :]
        shares = weights.unsqueeze(-1) * upstream.view(*inside.shape[:2], 1, 1, 1, -1)
        gradient.index_add_(0, rows.view(-1), shares.view(-1, gradient.shape[1]))

    def _locate(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Every corner's row of the table [n, L, 2, 2, 2] (z, y, x), and how far along a cell points are."""
        constants = self._on(points.device, points.dtype)
        position = (points[:, None, :] * constants.scale).add_(0.5)  # [n, L, 3]
        near = position.to(torch.int32)  # towards zero, and positions are positive
        x, y, z = ((near[..., None] + constants.vertex) * constants.stride).unbind(2)  # [n, L, 2] each
        x, y, z = x[:, :, None, None, :], y[:, :, None, :, None], z[:, :, :, None, None]
        dense, hashed = slice(0, self._dense), slice(self._dense, None)
        rows = torch.cat(
            [
                x[:, dense] + y[:, dense] + z[:, dense],
                (x[:, hashed] ^ y[:, hashed] ^ z[:, hashed]) & constants.mask[hashed],
            ],
            1,
        ).add_(constants.first)
        return rows, position.frac_()

    def _on(self, device: torch.device, dtype: torch.dtype) -> Constants:
        if (device, dtype) not in self._constants:
            strides = [(1, lv.resolution, lv.resolution**2) if lv.dense else PRIMES for lv in self._levels]

            def whole(numbers: list[int]) -> Tensor:
                return torch.tensor(numbers, dtype=torch.int32, device=device).view(-1, 1, 1, 1)

            self._constants[device, dtype] = Constants(
                scale=torch.tensor([lv.scale for lv in self._levels], dtype=dtype, device=device)[:, None],
                stride=torch.tensor(strides, dtype=torch.int32, device=device)[:, :, None],
                mask=whole([lv.rows - 1 for lv in self._levels]),
                first=whole([lv.first for lv in self._levels]),
                vertex=torch.arange(2, dtype=torch.int32, device=device),
            )
        return self._constants[device, dtype]
