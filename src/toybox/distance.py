"""Signed distances of the toy world's solids, compiled by numba when first called (cached afterwards).

Most points lie near few primitives. `Near`, built once a solid, holds the distance on a coarse lattice, good
enough to step through empty space, to shade crevices and to cast soft shadows, and for every block of the
lattice the rows that can matter inside it, which are all that an exact distance needs to look at.
"""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numba.extending import intrinsic

from src.toybox.solid import (
    BLEND,
    BOUND,
    BOX,
    CAPSULE,
    CENTER,
    CONE,
    DECAL,
    ELLIPSOID,
    MODE,
    PART,
    ROTATION,
    ROUND_CONE,
    SHAPE,
    SIZE,
    SPHERE,
    SUBTRACT,
    TORUS,
    UNION,
)

FAR = 1e9
HALF = (
    0.56  # half the width of the lattice's cube; solids reach to 0.5, and a little further where they blend
)
CELLS, BLOCKS = 32, 16  # cells of the lattice, blocks of the row lists, along an axis
CELL = 2 * HALF / CELLS

Function = TypeVar("Function", bound=Callable[..., Any])

# Numba files what it compiles under the date of one source file alone and would not see that another, whose
# functions and constants it has built in, was edited.
_SOURCES = ("paint", "solid", "distance", "material", "render")
_DIGEST = hashlib.blake2b(
    b"".join(Path(__file__).with_name(f"{name}.py").read_bytes() for name in _SOURCES), digest_size=8
).hexdigest()
numba.config.CACHE_DIR = str(Path(__file__).parent / "__pycache__" / f"numba-{_DIGEST}")


def compiled(function: Function) -> Function:
    """Compile for the types of the first call, keep the result on disk."""
    return numba.njit(cache=True, fastmath=True, error_model="numpy")(function)


@intrinsic  # type: ignore[untyped-decorator]
def bare(_: Any, array: Any) -> Any:
    """The same array without a reference count: numba counts at every call, half of a tracer's time otherwise.

    Whoever uses it keeps the array itself alive: as an argument, or by touching it at the end.
    """

    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        view = context.make_array(array)(context, builder, value=arguments[0])
        view.meminfo = view.meminfo.type(None)
        return view._getvalue()

    return array(array), code


def inlined(function: Function) -> Function:
    """Compile into every caller: a call with arrays costs more than what these functions do."""
    return numba.njit(fastmath=True, error_model="numpy", forceinline=True)(function)


class Near(NamedTuple):
    """Distances [33, 33, 33] float32 on the lattice; row lists, one after another, and [16, 16, 16, 2] int32
    where each block's begins and ends."""

    lattice: np.ndarray
    rows: np.ndarray
    spans: np.ndarray


@inlined
def _distance(table: np.ndarray, i: int, px: float, py: float, pz: float) -> float:
    """Signed distance (or a safe lower bound) to row i's primitive, from a point relative to its centre."""
    shape = table[i, SHAPE]
    if shape == SPHERE:
        return math.sqrt(px * px + py * py + pz * pz) - table[i, SIZE]
    m = ROTATION
    qx = table[i, m] * px + table[i, m + 1] * py + table[i, m + 2] * pz
    qy = table[i, m + 3] * px + table[i, m + 4] * py + table[i, m + 5] * pz
    qz = table[i, m + 6] * px + table[i, m + 7] * py + table[i, m + 8] * pz
    a, b, c, d = table[i, SIZE], table[i, SIZE + 1], table[i, SIZE + 2], table[i, SIZE + 3]
    if shape == ELLIPSOID:
        a, b, c = 1 / a, 1 / b, 1 / c
        ux, uy, uz = qx * a, qy * b, qz * c
        k0 = ux * ux + uy * uy + uz * uz
        k1 = (ux * a) ** 2 + (uy * b) ** 2 + (uz * c) ** 2
        return -1 / max(a, b, c) if k1 < 1e-18 else (k0 - math.sqrt(k0)) / math.sqrt(k1)
    if shape == BOX:
        hx, hy, hz = abs(qx) - a + d, abs(qy) - b + d, abs(qz) - c + d
        outside = math.sqrt(max(hx, 0.0) ** 2 + max(hy, 0.0) ** 2 + max(hz, 0.0) ** 2)
        return outside + min(max(hx, hy, hz), 0.0) - d
    if shape == CAPSULE:
        h = abs(qz) - min(abs(qz), b)
        return math.sqrt(qx * qx + qy * qy + h * h) - a
    radial = math.sqrt(qx * qx + qy * qy)
    if shape == TORUS:
        return math.sqrt((radial - a) ** 2 + qz * qz) - b
    if shape == ROUND_CONE:  # nearest of the first sphere, the second, and the cone that touches both
        along = qz + c
        slope = (a - b) / (2 * c)
        side = math.sqrt(1 - slope * slope)
        k = along * side - radial * slope
        if k < 0:
            return math.sqrt(radial * radial + along * along) - a
        if k > 2 * c * side:
            return math.sqrt(radial * radial + (along - 2 * c) ** 2) - b
        return radial * side + along * slope - a
    if shape == CONE:  # capped cone, exact: nearest of the cap and the slanted side
        a, b, c = a - d, b - d, c - d
        rim = a if qz < 0 else b
        cap_r, cap_z = radial - min(radial, rim), abs(qz) - c
        slant_r, slant_z = b - a, 2 * c
        along = ((b - radial) * slant_r + (c - qz) * slant_z) / (slant_r * slant_r + slant_z * slant_z)
        along = min(max(along, 0.0), 1.0)
        side_r, side_z = radial - b + slant_r * along, qz - c + slant_z * along
        sign = -1.0 if side_r < 0 and cap_z < 0 else 1.0
        nearest = min(cap_r * cap_r + cap_z * cap_z, side_r * side_r + side_z * side_z)
        return sign * math.sqrt(nearest) - d
    # PYRAMID: the largest of its plane distances, a lower bound outside
    length = math.sqrt(a * a + b * b)
    side = (max(abs(qx), abs(qy)) * b + (qz - b / 2) * a) / length
    return max(side, -qz - b / 2)


@inlined
def field(table: np.ndarray, rows: np.ndarray, begin: int, end: int, x: float, y: float, z: float) -> float:
    """Signed distance to the solid that rows[begin:end] of the table make."""
    best = FAR
    for at in range(begin, end):
        i = rows[at]
        mode = table[i, MODE]
        if mode == DECAL:
            continue
        px, py, pz = x - table[i, CENTER], y - table[i, CENTER + 1], z - table[i, CENTER + 2]
        k = table[i, BLEND]
        reach = best + k + table[i, BOUND]  # beyond it nothing is joined that could still change anything
        if mode == UNION and (reach < 0 or px * px + py * py + pz * pz > reach * reach):
            continue
        distance = _distance(table, i, px, py, pz)
        sign = 1.0
        if mode == SUBTRACT:  # the outside of what is outside either
            sign, best, distance = -1.0, -best, distance
        h = max(k - abs(best - distance), 0.0)
        best = sign * (min(best, distance) - (h * h / (4 * k) if k > 0 else 0.0))
    return best


@compiled
def part_at(table: np.ndarray, rows: np.ndarray, begin: int, end: int, x: float, y: float, z: float) -> int:
    """The paint of the surface at a point on it: that of the nearest row, or of the last decal around it."""
    nearest, part = 1.0, 0
    for at in range(begin, end):
        i = rows[at]
        px, py, pz = x - table[i, CENTER], y - table[i, CENTER + 1], z - table[i, CENTER + 2]
        reach = table[i, BOUND] + (nearest if table[i, MODE] == UNION else 0.003)
        if px * px + py * py + pz * pz > reach * reach:
            continue
        distance = _distance(table, i, px, py, pz)
        if table[i, MODE] == DECAL:
            if distance < 0:
                part = int(table[i, PART])
        elif table[i, MODE] == SUBTRACT:
            if distance < 0.003:  # on its wall, or where a tracer stops short of it
                nearest, part = -distance, int(table[i, PART])
        elif distance < nearest:
            nearest, part = distance, int(table[i, PART])
    return part


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
        least = _distance(table, i, px, py, pz) - 1.1 * radius
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
                # Else no ray asks for more than the lattice, and of that for no more than a lower bound.
                close = abs(here) < 2.2 * radius + 2.5 * CELL
                for fi in range(bi, bi + 2):
                    for fj in range(bj, bj + 2):
                        for fk in range(bk, bk + 2):
                            begin, end = 0, 0
                            if close:
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
                                            field(table, rows, begin, end, x, y, z)
                                            if close
                                            else 0.85 * here - math.copysign(2 * radius, here)
                                        )


@compiled
def near(table: np.ndarray) -> Near:
    """The lattice and the row lists of a solid."""
    number = table.shape[0]
    lattice = np.empty((CELLS + 1, CELLS + 1, CELLS + 1), np.float32)
    rows = np.empty(BLOCKS**3 * number, np.int16)
    spans = np.zeros((BLOCKS, BLOCKS, BLOCKS, 2), np.int32)
    everything, coarse = np.arange(number).astype(np.int16), np.empty(number, np.int16)
    soft = table[:, BLEND].copy()
    _fill(bare(table), bare(lattice), bare(rows), bare(spans), bare(everything), bare(coarse), bare(soft))
    coarse[0], everything[0], soft[0] = 0, 0, 0.0
    return Near(lattice, rows, spans)


@inlined
def block_at(v: float) -> int:
    """The block's index along an axis; the nearest block's outside the cube."""
    return min(max(int((v + HALF) * (BLOCKS / (2 * HALF))), 0), BLOCKS - 1)


@inlined
def roughly(lattice: np.ndarray, x: float, y: float, z: float) -> float:
    """The distance between the lattice's points, trilinear: within 0.87 CELL of the truth in its cube."""
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


@compiled
def distances(table: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Signed distance [N] of a solid (a table of rows) at points [N, 3]; exact up to ellipsoids' bound."""
    rows, out = np.arange(table.shape[0]).astype(np.int16), np.empty(points.shape[0])
    for i in range(points.shape[0]):
        out[i] = field(table, rows, 0, len(rows), points[i, 0], points[i, 1], points[i, 2])
    return out
