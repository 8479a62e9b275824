"""A sphere tracer for the toy world's solids, compiled by numba when first called (half a minute, cached).

A ray first collects the primitives whose bounding spheres it meets and then marches through those few alone;
rays that meet none cost almost nothing. `trace` shades solid surfaces, `distances` only finds them; `fog`
integrates a soft volume around the same solid, which is what a half-formed radiance field looks like.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

from src.toybox.solid import (
    BLEND,
    BOUND,
    BOX,
    CAPSULE,
    CENTER,
    CONE,
    ELLIPSOID,
    PART,
    ROTATION,
    SHAPE,
    SIZE,
    SUBTRACT,
    TORUS,
)

MATTE, CERAMIC, METAL, WOODEN, STONE = range(5)
PLAIN_PARTS_FROM = 2  # parts 0 and 1 (MAIN, SHADE) take the caption's material; the fixed ones stay matte
FAR = 1e9


Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    return numba.njit(cache=True, fastmath=True)(function)


@_compiled
def _distance(row: np.ndarray, x: float, y: float, z: float) -> float:
    """Signed distance (or a safe lower bound) from a point to one primitive."""
    px, py, pz = x - row[CENTER], y - row[CENTER + 1], z - row[CENTER + 2]
    m = ROTATION
    qx = row[m] * px + row[m + 1] * py + row[m + 2] * pz
    qy = row[m + 3] * px + row[m + 4] * py + row[m + 5] * pz
    qz = row[m + 6] * px + row[m + 7] * py + row[m + 8] * pz
    a, b, c, d = row[SIZE], row[SIZE + 1], row[SIZE + 2], row[SIZE + 3]
    shape = row[SHAPE]
    if shape == ELLIPSOID:
        ux, uy, uz = qx / a, qy / b, qz / c
        k0 = math.sqrt(ux * ux + uy * uy + uz * uz)
        k1 = math.sqrt((ux / a) ** 2 + (uy / b) ** 2 + (uz / c) ** 2)
        return -min(a, b, c) if k1 < 1e-9 else k0 * (k0 - 1) / k1
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


@_compiled
def _field(
    table: np.ndarray, chosen: np.ndarray, count: int, x: float, y: float, z: float
) -> tuple[float, int]:
    """Distance to the solid that the `count` chosen rows make, and its part.

    It is their union (smooth where BLEND says) minus the subtractions.
    """
    best, part = FAR, 0
    for i in range(count):
        row = table[chosen[i]]
        distance = _distance(row, x, y, z)
        if row[SUBTRACT] > 0:
            if -distance > best:
                best, part = -distance, int(row[PART])
            continue
        k = row[BLEND]
        if distance < best:
            part = int(row[PART])
        if k > 0:
            h = max(k - abs(best - distance), 0.0) / k
            best = min(best, distance) - h * h * k / 4
        else:
            best = min(best, distance)
    return best, part


@_compiled
def _choose(
    table: np.ndarray, o: np.ndarray, d: np.ndarray, margin: float, chosen: np.ndarray
) -> tuple[int, float, float]:
    """How many rows' bounding spheres (grown by blend and margin) the ray meets, and their span of t.

    Writes the rows to `chosen`.
    """
    count, near, far = 0, FAR, 0.0
    for i in range(table.shape[0]):
        row = table[i]
        cx, cy, cz = row[CENTER] - o[0], row[CENTER + 1] - o[1], row[CENTER + 2] - o[2]
        t = cx * d[0] + cy * d[1] + cz * d[2]
        reach = row[BOUND] + row[BLEND] + margin
        gap = reach * reach - (cx * cx + cy * cy + cz * cz - t * t)
        if gap > 0:
            chosen[count] = i
            count += 1
            if row[SUBTRACT] == 0:
                half = math.sqrt(gap)
                near, far = min(near, t - half), max(far, t + half)
    return count, max(near, 0.0), far


@_compiled
def _march(
    table: np.ndarray,
    chosen: np.ndarray,
    count: int,
    origin: np.ndarray,
    d: np.ndarray,
    near: float,
    far: float,
    p: np.ndarray,
) -> tuple[float, int]:
    """Distance along a ray to the chosen rows' surface, or FAR, and the part there; writes its place."""
    t, part = near, 0
    for _ in range(96):
        for c in range(3):
            p[c] = origin[c] + t * d[c]
        distance, part = _field(table, chosen, count, p[0], p[1], p[2])
        if distance < 0.0012:
            return t, part
        t += 0.9 * distance
        if t > far:
            break
    return FAR, part


@_compiled
def distances(table: np.ndarray, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """How far along unit `directions` [H, W, 3] each ray meets the solid, [H, W]; FAR where it misses."""
    height, width = directions.shape[0], directions.shape[1]
    found = np.full((height, width), FAR)
    chosen, p = np.empty(table.shape[0], np.int64), np.empty(3)
    for row in range(height):
        for column in range(width):
            d = directions[row, column]
            count, near, far = _choose(table, origin, d, 0.0, chosen)
            if count > 0:
                found[row, column], _ = _march(table, chosen, count, origin, d, near, far, p)
    return found


@_compiled
def _speckle(x: float, y: float, z: float) -> float:
    """A hash of the 3-D cell in [0, 1): stone's grain."""
    n = math.floor(x) * 73856093 ^ math.floor(y) * 19349663 ^ math.floor(z) * 83492791
    n = (n ^ (n >> 13)) * 1274126177 & 0x7FFFFFFF
    return (n & 1023) / 1024.0


@_compiled
def _shade(
    paint: np.ndarray,
    material: int,
    light: np.ndarray,
    p: np.ndarray,
    n: np.ndarray,
    d: np.ndarray,
    part: int,
    ao: float,
    out: np.ndarray,
) -> None:
    """Sky and key light over a material at p, with normal n, seen along d; `out` is rgb [3] in [0, 1]."""
    if part >= PLAIN_PARTS_FROM:
        material = MATTE
    tone = 1.0
    if material == WOODEN:
        ring = math.sqrt((p[0] + 0.4) ** 2 + (p[1] - 0.3) ** 2) + 0.06 * math.sin(7 * p[2])
        tone = 0.80 + 0.28 * math.sin(75 * ring)
    elif material == STONE:
        tone = 0.62 + 0.60 * _speckle(p[0] * 17 + 50, p[1] * 17 + 50, p[2] * 17 + 50)
    facing = n[0] * light[0] + n[1] * light[1] + n[2] * light[2]
    lit = (0.46 + 0.20 * n[2]) * (0.55 + 0.45 * ao) + 0.46 * max(facing, 0.0)
    cosine = n[0] * d[0] + n[1] * d[1] + n[2] * d[2]
    rx, ry, rz = d[0] - 2 * cosine * n[0], d[1] - 2 * cosine * n[1], d[2] - 2 * cosine * n[2]
    mirror = max(rx * light[0] + ry * light[1] + rz * light[2], 0.0)
    gloss, glare = 0.0, 0.0
    if material == CERAMIC:
        glare = 0.75 * mirror**24 + 0.18 * (1 + cosine) ** 3
    elif material == METAL:
        sky = 0.5 + 0.5 * math.tanh(5 * (rz - 0.05))
        gloss = 0.25 + 1.05 * sky - 0.30 * max(rz - 0.5, 0.0)
        glare = 0.55 * mirror**20
        lit = 0.35 * lit
    for c in range(3):
        value = paint[part, c] * tone * (lit + 0.72 * gloss * (0.6 + 0.4 * ao)) + glare
        out[c] = min(max(value, 0.0), 1.0)


@_compiled
def trace(
    table: np.ndarray,
    paint: np.ndarray,
    material: int,
    light: np.ndarray,
    origin: np.ndarray,
    directions: np.ndarray,
) -> np.ndarray:
    """Premultiplied RGBA [H/2, W/2, 4] of a solid seen along unit `directions` [H, W, 3]: 2x2 rays a pixel.

    `paint` [parts, 3] is linear in [0, 1], `material` one of the codes above, `light` a unit direction [3].
    """
    height, width = directions.shape[0] // 2, directions.shape[1] // 2
    image = np.zeros((height, width, 4), np.float32)
    chosen, everything = np.empty(table.shape[0], np.int64), np.arange(table.shape[0])
    middle, p, n, color = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for row in range(height):
        for column in range(width):
            for c in range(3):
                middle[c] = directions[2 * row, 2 * column, c] + directions[2 * row + 1, 2 * column + 1, c]
            middle /= math.sqrt(middle[0] ** 2 + middle[1] ** 2 + middle[2] ** 2)
            count, near, far = _choose(table, origin, middle, 0.015, chosen)
            if count == 0:
                continue
            for corner in range(4):
                d = directions[2 * row + corner // 2, 2 * column + corner % 2]
                t, part = _march(table, chosen, count, origin, d, near, far, p)
                if t == FAR:
                    continue
                n[:] = 0.0
                for k in range(4):  # tetrahedral differences
                    ex = 1.0 if k in (0, 3) else -1.0
                    ey = 1.0 if k in (1, 3) else -1.0
                    ez = 1.0 if k in (2, 3) else -1.0
                    e = 0.002
                    f, _ = _field(table, chosen, count, p[0] + ex * e, p[1] + ey * e, p[2] + ez * e)
                    n[0] += ex * f
                    n[1] += ey * f
                    n[2] += ez * f
                n /= math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-12
                f, _ = _field(
                    table,
                    everything,
                    len(everything),
                    p[0] + 0.1 * n[0],
                    p[1] + 0.1 * n[1],
                    p[2] + 0.1 * n[2],
                )
                _shade(paint, material, light, p, n, d, part, min(max(f / 0.1, 0.0), 1.0), color)
                for c in range(3):
                    image[row, column, c] += 0.25 * color[c]
                image[row, column, 3] += 0.25
    return image


@_compiled
def fog(
    table: np.ndarray,
    paint: np.ndarray,
    softness: float,
    density: float,
    origin: np.ndarray,
    directions: np.ndarray,
) -> np.ndarray:
    """Premultiplied RGBA [H, W, 4] of a soft volume around the solid, by 28 samples a ray.

    Its density is density * sigmoid(-distance / softness).
    """
    height, width = directions.shape[0], directions.shape[1]
    image = np.zeros((height, width, 4), np.float32)
    everything = np.arange(table.shape[0])
    for row in range(height):
        for column in range(width):
            d = directions[row, column]
            middle = -(origin[0] * d[0] + origin[1] * d[1] + origin[2] * d[2])
            gap = 0.42 - (origin[0] ** 2 + origin[1] ** 2 + origin[2] ** 2 - middle * middle)
            if gap <= 0:
                continue
            step, through = 2 * math.sqrt(gap) / 28, 1.0
            for i in range(28):
                t = middle - math.sqrt(gap) + (i + 0.5) * step
                x, y, z = origin[0] + t * d[0], origin[1] + t * d[1], origin[2] + t * d[2]
                distance, part = _field(table, everything, len(everything), x, y, z)
                alpha = 1 - math.exp(-density * step / (1 + math.exp(min(distance / softness, 30.0))))
                for c in range(3):
                    image[row, column, c] += through * alpha * paint[part, c] * (0.75 + 0.3 * z)
                image[row, column, 3] += through * alpha
                through *= 1 - alpha
    return image
