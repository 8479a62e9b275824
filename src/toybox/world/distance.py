"""Signed distances of the toy world's solids, compiled by numba when first called (cached afterwards)."""

import hashlib
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.extending import intrinsic

from src.toybox.world.solid import (
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

Function = TypeVar("Function", bound=Callable[..., Any])

# Numba files what it compiles under the date of one source file alone and would not see that another, whose
# functions and constants it has built in, was edited.
_SOURCES = ("paint", "solid", "distance", "lattice", "material", "render")
_DIGEST = hashlib.blake2b(
    b"".join(Path(__file__).with_name(f"{name}.py").read_bytes() for name in _SOURCES), digest_size=8
).hexdigest()


def cache_folder() -> str | None:
    """Where compiled code can be kept: NUMBA_CACHE_DIR, beside this file, or the user's cache; else nowhere.

    A source that is installed for everybody is read-only, and so is a container's home.
    """
    given, home = os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME", "~/.cache")
    places = [Path(__file__).parent / "__pycache__", Path(home).expanduser() / "nfsd3d"]
    for place in [Path(given), *places] if given else places:
        folder = place / f"numba-{_DIGEST}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        except (OSError, RuntimeError):
            continue
    return None


_CACHE = cache_folder()
numba.config.CACHE_DIR = _CACHE or ""


def compiled(function: Function) -> Function:
    """Compile for the types of the first call, and keep the result on disk where it can be written."""
    return numba.njit(cache=_CACHE is not None, fastmath=True, error_model="numpy")(function)


@intrinsic  # type: ignore[untyped-decorator]
def bare(_: Any, array: Any) -> Any:
    """The same array without a reference count: counting at every call is half of a tracer's time.

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


@inlined
def distance_to(table: np.ndarray, i: int, px: float, py: float, pz: float) -> float:
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
        distance = distance_to(table, i, px, py, pz)
        sign = 1.0
        if mode == SUBTRACT:  # max(best, -distance) = -min(-best, distance)
            sign, best = -1.0, -best
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
        distance = distance_to(table, i, px, py, pz)
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
def distances(table: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Signed distance [N] of a solid (a table of rows) at points [N, 3].

    Exact for spheres, boxes, capsules, tori, cones and round cones and for their unions, seen from outside.
    """
    rows, out = np.arange(table.shape[0]).astype(np.int16), np.empty(points.shape[0])
    for i in range(points.shape[0]):
        out[i] = field(table, rows, 0, len(rows), points[i, 0], points[i, 1], points[i, 2])
    return out
