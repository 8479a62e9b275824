"""The levels of a multiresolution hash encoding (Mueller et al. 2022, "Instant neural graphics primitives",
section 3): their sizes, and what an encoding is.

A level is a virtual grid of vertices over the unit cube, each of which owns a row of `features` numbers in
the table; a point's encoding is, per level, the trilinear blend of the rows of its cell's eight corners.
Coarse levels own one row per vertex ("dense"); finer ones share `2**log2_table` rows through a hash of the
vertex.  Scales, offsets, hash and row order are those of tiny-cuda-nn, so parameters can be carried over row
by row.

Corner k of a cell is the vertex at cell + (k & 1, k >> 1 & 1, k >> 2 & 1): x is the fastest axis everywhere.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from src.errors import UserError

# as signed 32-bit; products wrap around as the unsigned ones do
PRIMES = (1, 2_654_435_761 - 2**32, 805_459_861)


class HashGridBackend(StrEnum):
    """What computes the encoding; the table is ours in any case."""

    auto = "auto"  # on CUDA the first that works there of tcnn, triton and torch; torch everywhere else
    torch = "torch"
    tcnn = "tcnn"
    triton = "triton"


@dataclass
class HashGridConfig:
    """Size of the encoding; the defaults are those of instant-ngp and of the closest public config."""

    levels: int = 16
    features: int = 2
    log2_table: int = 19
    base_resolution: int = 16
    max_resolution: int = 4096
    backend: HashGridBackend = HashGridBackend.auto

    def __post_init__(self) -> None:
        for name in ("levels", "features", "base_resolution"):
            if getattr(self, name) < 1:
                raise UserError(f"field.hash_grid.{name}={getattr(self, name)} must be at least 1.")
        if not 1 <= self.log2_table <= 28:
            raise UserError(f"field.hash_grid.log2_table={self.log2_table} must lie in [1, 28].")
        if not self.base_resolution <= self.max_resolution <= 2**20:
            raise UserError(
                f"field.hash_grid.max_resolution={self.max_resolution} must lie between "
                f"field.hash_grid.base_resolution={self.base_resolution} and {2**20}."
            )


class Level(NamedTuple):
    """One level: rows [first, first + rows) of the table, and how a point finds its vertices."""

    first: int
    rows: int
    scale: float  # cells along the cube's edge
    resolution: int  # vertices along the edge, the stride of a dense level
    dense: bool


def plan_levels(cfg: HashGridConfig) -> list[Level]:
    """The levels from coarse to fine, with geometrically growing resolution (section 3, equations 2-3)."""
    growth = (cfg.max_resolution / cfg.base_resolution) ** (1 / max(1, cfg.levels - 1))
    levels, first = [], 0
    for number in range(cfg.levels):
        # a whole number must not round up to the next
        scale = round(cfg.base_resolution * growth**number - 1, 6)
        resolution = math.ceil(scale) + 1
        dense = resolution**3 <= 2**cfg.log2_table
        # Points beyond the last vertex (half a cell at most) reach one vertex further along each axis: a
        # dense level has rows for them at its end, which spares every look-up a modulo.
        rows = resolution * (resolution * (resolution + 1) + 1) + 1 if dense else 2**cfg.log2_table
        levels.append(Level(first, rows, scale, resolution, dense))
        first += rows
    return levels


def encode_reference(
    points: Float[Tensor, "n 3"], table: Float[Tensor, "rows features"], levels: list[Level]
) -> Float[Tensor, "n outputs"]:
    """What an encoding is, written to be read: every corner's row times its trilinear weight, summed."""
    encoded = []
    for level in levels:
        position = points * level.scale + 0.5
        cell = position.floor()
        inside = position - cell
        blend = table.new_zeros(len(points), table.shape[1])
        for corner in range(8):
            step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
            x, y, z = (cell.long() + step).unbind(-1)
            if level.dense:
                row = x + y * level.resolution + z * level.resolution**2
            else:
                row = (x ^ y * 2_654_435_761 ^ z * 805_459_861) % level.rows
            weight = torch.where(step == 1, inside, 1 - inside).prod(-1)
            blend = blend + weight[:, None] * table[level.first + row]
        encoded.append(blend)
    return torch.cat(encoded, -1)
