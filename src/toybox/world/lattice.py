"""What is known of a solid beforehand, so that a tracer looks at few of its primitives and seldom.

`Near`, built once a solid, holds the distance on a coarse lattice, good enough to step through empty space,
to shade crevices and to cast soft shadows, and for every block of the lattice the rows that can matter inside
it, which are all that an exact distance needs to look at.
"""

import math
from typing import NamedTuple

import numpy as np

from src.toybox.world.distance import bare, compiled, distance_to, field, inlined
from src.toybox.world.solid import BLEND, CENTER, MODE, UNION

HALF = 0.56  # half the width of the lattice's cube; solids reach to 0.5, a little further where they blend
CELLS, BLOCKS = 32, 16  # cells of the lattice, blocks of the row lists, along an axis
CELL = 2 * HALF / CELLS


class Near(NamedTuple):
    """Distances [33, 33, 33] float32 on the lattice; row lists, one after another, and [16, 16, 16, 2] int32
    where each block's begins and ends."""

    lattice: np.ndarray
    rows: np.ndarray
    spans: np.ndarray


@compiled
def _select(
    table: np.ndarray,
    soft: np.ndarray,
    rows: np.ndarray,
    begin: int,
    end: int,
    x: float,
    y: float,
    z: float,
    radius: float,
    out: np.ndarray,
    start: int,
) -> tuple[int, float]:
    """Copy to out[start:] those of rows[begin:end] that matter within `radius` of a point.

    Returns where they end, and the distance at the point. The factors allow for ellipsoids' bound.
    """
    here = field(table, rows, begin, end, x, y, z)
    for at in range(begin, end):
        i = rows[at]
        px, py, pz = x - table[i, CENTER], y - table[i, CENTER + 1], z - table[i, CENTER + 2]
        least = distance_to(table, i, px, py, pz) - 1.1 * radius
        if least < soft[i] + (here + 1.1 * radius if table[i, MODE] == UNION else 0.02):
            out[start] = i
            start += 1
    return start, here


@compiled
def _fill(
    table: np.ndarray,
    lattice: np.ndarray,
    rows: np.ndarray,
    spans: np.ndarray,
    everything: np.ndarray,
    coarse: np.ndarray,
    soft: np.ndarray,
    far: float,
) -> None:
    number, side = table.shape[0], CELLS // BLOCKS
    for i in range(number - 2, -1, -1):  # a row may melt into any that comes later
        soft[i] = max(soft[i], soft[i + 1])
    radius = 0.5 * math.sqrt(3.0) * side * CELL
    filled = 0
    for bi in range(0, BLOCKS, 2):
        for bj in range(0, BLOCKS, 2):
            for bk in range(0, BLOCKS, 2):
                x, y, z = (
                    (bi + 1) * side * CELL - HALF,
                    (bj + 1) * side * CELL - HALF,
                    (bk + 1) * side * CELL - HALF,
                )
                count, here = _select(table, soft, everything, 0, number, x, y, z, 2 * radius, coarse, 0)
                # There nobody asks for more than a lower bound: no ray meets anything, no crevice is shaded.
                remote = here > far or here < -2.2 * radius - 2.5 * CELL
                for fi in range(bi, bi + 2):
                    for fj in range(bj, bj + 2):
                        for fk in range(bk, bk + 2):
                            begin, end = 0, 0
                            if not remote:
                                x, y, z = (
                                    (fi + 0.5) * side * CELL - HALF,
                                    (fj + 0.5) * side * CELL - HALF,
                                    (fk + 0.5) * side * CELL - HALF,
                                )
                                begin = filled
                                end, _ = _select(table, soft, coarse, 0, count, x, y, z, radius, rows, filled)
                                filled = end
                                spans[fi, fj, fk, 0], spans[fi, fj, fk, 1] = begin, end
                            for i in range(fi * side, (fi + 1) * side + (fi == BLOCKS - 1)):
                                for j in range(fj * side, (fj + 1) * side + (fj == BLOCKS - 1)):
                                    for k in range(fk * side, (fk + 1) * side + (fk == BLOCKS - 1)):
                                        x, y, z = i * CELL - HALF, j * CELL - HALF, k * CELL - HALF
                                        lattice[i, j, k] = (
                                            0.9 * here - math.copysign(2 * radius, here)
                                            if remote
                                            else field(table, rows, begin, end, x, y, z)
                                        )


@compiled
def near(table: np.ndarray, far: float = 0.36) -> Near:
    """The lattice and the row lists of a solid; further away than `far` it has lower bounds and no rows."""
    number = table.shape[0]
    lattice = np.empty((CELLS + 1, CELLS + 1, CELLS + 1), np.float32)
    rows = np.empty(BLOCKS**3 * number, np.int16)
    spans = np.zeros((BLOCKS, BLOCKS, BLOCKS, 2), np.int32)
    everything, coarse = np.arange(number).astype(np.int16), np.empty(number, np.int16)
    soft = table[:, BLEND].copy()
    _fill(
        bare(table), bare(lattice), bare(rows), bare(spans), bare(everything), bare(coarse), bare(soft), far
    )
    coarse[0], everything[0], soft[0] = 0, 0, 0.0
    return Near(lattice, rows, spans)


@inlined
def block_at(v: float) -> int:
    """The block's index along an axis; the nearest block's outside the cube."""
    return min(max(int((v + HALF) * (BLOCKS / (2 * HALF))), 0), BLOCKS - 1)


@inlined
def roughly(lattice: np.ndarray, x: float, y: float, z: float) -> float:
    """The distance between the lattice's points, trilinear: within 0.87 CELL of the truth in its cube,
    or a lower bound where `near` says so.
    """
    u = min(max((x + HALF) / CELL, 0.0), CELLS - 0.001)
    v = min(max((y + HALF) / CELL, 0.0), CELLS - 0.001)
    w = min(max((z + HALF) / CELL, 0.0), CELLS - 0.001)
    i, j, k = int(u), int(v), int(w)
    u, v, w = u - i, v - j, w - k
    low = (lattice[i, j, k] * (1 - w) + lattice[i, j, k + 1] * w) * (1 - v) + (
        lattice[i, j + 1, k] * (1 - w) + lattice[i, j + 1, k + 1] * w
    ) * v
    high = (lattice[i + 1, j, k] * (1 - w) + lattice[i + 1, j, k + 1] * w) * (1 - v) + (
        lattice[i + 1, j + 1, k] * (1 - w) + lattice[i + 1, j + 1, k + 1] * w
    ) * v
    return low * (1 - u) + high * u
