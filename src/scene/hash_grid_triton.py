"""The encoding by Triton, which torch's CUDA wheels bring: kernels that compile anywhere, without a toolkit.

They run in Triton's interpreter as well (TRITON_INTERPRET=1), where the tests compare them with torch; on an
H100 they agreed with it, too (docs/gpu.md).
"""

from typing import Any

import torch
import triton
from torch import Tensor

from src.scene import hash_grid_kernels
from src.scene.levels import Level

BLOCK = 256  # points a program


class InTriton:
    """A launch a call; nothing waits but the first call on a device, which brings the levels there."""

    def __init__(self, levels: list[Level]) -> None:
        self._levels = levels
        self._there: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def encode(self, points: Tensor, table: Tensor) -> Tensor:
        """See src/scene/hash_grid.py's Kernels."""
        encoded = table.new_empty(len(points), len(self._levels) * table.shape[1])
        self._launch(hash_grid_kernels.encode, points.to(table.dtype), table, encoded)
        return encoded

    def accumulate(self, points: Tensor, upstream: Tensor, gradient: Tensor) -> None:
        """See src/scene/hash_grid.py's Kernels."""
        self._launch(hash_grid_kernels.accumulate, points.to(gradient.dtype), upstream.contiguous(), gradient)

    def _launch(self, kernel: Any, points: Tensor, given: Tensor, into: Tensor) -> None:
        n, levels = len(points), len(self._levels)
        if not n:
            return
        features = min(given.shape[1], into.shape[1])  # the table's; the encoding has them for every level
        scales, wholes = self._on(points.device, points.dtype)
        kernel[triton.cdiv(n, BLOCK), levels](
            points.contiguous(), given, scales, wholes, into, n,
            levels=levels, features=features, width=triton.next_power_of_2(features), block=BLOCK,
        )  # fmt: skip

    def _on(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Scale of every level; and its first row, resolution, mask of the hash, and whether it is dense."""
        if (device, dtype) not in self._there:
            wholes = [(lv.first, lv.resolution, lv.rows - 1, int(lv.dense)) for lv in self._levels]
            self._there[device, dtype] = (
                torch.tensor([lv.scale for lv in self._levels], dtype=dtype, device=device),
                torch.tensor(wholes, dtype=torch.int64, device=device),
            )
        return self._there[device, dtype]
