"""Our hash table in tiny-cuda-nn's layout (its `GridEncodingTemplated`, version 2), as pure functions.

There, too, level after level owns rows of `features` numbers, a dense level first x, then y, then z.  A dense
level has resolution^3 rows, rounded up to a multiple of 8 and at most 2^log2_table, and takes row numbers
modulo that; ours has more, for points within half a cell of the cube's far faces.  So its rows are the first
rows of ours, and only those points, of which the sphere that objects live in has few, read other rows there.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from src.errors import UserError
from src.scene.levels import HashGridConfig, Level, plan_levels


def tcnn_rows(level: Level, cfg: HashGridConfig) -> int:
    """Rows that tiny-cuda-nn gives a level."""
    return min(-(-(level.resolution**3) // 8) * 8, 2**cfg.log2_table)


def to_parameters(table: Float[Tensor, "rows features"], cfg: HashGridConfig) -> Float[Tensor, " numbers"]:
    """tiny-cuda-nn's parameters from our table; differentiable, and rows that it lacks get no gradient."""
    parts = []
    for level in plan_levels(cfg):
        rows = tcnn_rows(level, cfg)
        ours = table[level.first : level.first + min(rows, level.rows)]
        parts += [
            ours,
            table.new_zeros(rows - len(ours), cfg.features),
        ]  # only a level of one vertex has less
    return torch.cat(parts).view(-1)


def encoding_config(cfg: HashGridConfig) -> dict[str, str | int | float]:
    """tiny-cuda-nn's own settings for our encoding.

    Raises UserError for a grid that it cannot be brought to compute.
    """
    if cfg.features not in (1, 2, 4, 8):
        raise UserError(
            f"field.hash_grid.features={cfg.features} is none of tiny-cuda-nn's 1, 2, 4 and 8: choose one of "
            "them or field.hash_grid.backend=torch"
        )
    return {
        "otype": "HashGrid",
        "n_levels": cfg.levels,
        "n_features_per_level": cfg.features,
        "log2_hashmap_size": cfg.log2_table,
        "base_resolution": cfg.base_resolution,
        "per_level_scale": _per_level_scale(cfg),
        "interpolation": "Linear",
        "hash": "CoherentPrime",
    }


def _per_level_scale(cfg: HashGridConfig) -> float:
    """The growth from level to level, as a float32 at or just below ours that gives every level our shape.

    tiny-cuda-nn works out scales in float32.  Where ours is a whole number, the least rounding up would add a
    vertex to each edge, and every row of a dense level would be another vertex's.
    """
    exact = (cfg.max_resolution / cfg.base_resolution) ** (1 / max(1, cfg.levels - 1))
    growth = np.float32(exact)
    for _ in range(64):  # less than 1e-5 of it
        if all(_same_shape(level, number, growth, cfg) for number, level in enumerate(plan_levels(cfg))):
            return float(growth)
        growth = np.nextafter(growth, np.float32(0))
    raise UserError(
        f"field.hash_grid.max_resolution={cfg.max_resolution} and levels={cfg.levels} give levels that "
        "tiny-cuda-nn's rounding would change: choose another or field.hash_grid.backend=torch"
    )


def _same_shape(level: Level, number: int, growth: np.float32, cfg: HashGridConfig) -> bool:
    """Whether tiny-cuda-nn's level has our vertices, whichever way the device rounds its power of two."""
    exponent = np.float32(number) * np.log2(growth)
    vertices = float(np.exp2(exponent) * np.float32(cfg.base_resolution))
    slack = 4 * 2**-23 * vertices if exponent else 0.0  # 2 units in the last place, twice; 2^0 is exact
    for scale in (vertices - 1 - slack, vertices - 1 + slack):
        resolution = math.ceil(scale) + 1
        dense = resolution**3 <= 2**cfg.log2_table
        if dense != level.dense or (dense and resolution != level.resolution):
            return False
    return True
