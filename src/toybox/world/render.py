"""A sphere tracer for the toy world's solids, compiled by numba when first called (cached afterwards).

`trace` shades solid surfaces: one ray through the middle of every pixel, and four where neighbours differ;
`ranges` only finds them. `fog` integrates a soft volume around the same solid, which is what a half-formed
radiance field looks like.
"""

import math

import numpy as np

from src.toybox.world.distance import FAR, bare, compiled, field, inlined, part_at
from src.toybox.world.lattice import CELL, HALF, block_at, near, roughly
from src.toybox.world.material import fur, normalize, shade
from src.toybox.world.paint import MAIN, PLUSH

TILE = 8  # pixels
REACH = 0.55  # no solid comes further from the origin, blends included
EDGE = 0.10  # pixels whose colours differ by more from a neighbour's are supersampled


@compiled
def _shadow(lattice: np.ndarray, p: np.ndarray, n: np.ndarray, light: np.ndarray) -> float:
    """The share of a broad light that reaches p, by how closely the way there passes the solid."""
    share, t = 1.0, 0.05
    for _ in range(10):
        x, y, z = p[0] + 0.03 * n[0] + t * light[0], p[1] + 0.03 * n[1] + t * light[1], p[2] + t * light[2]
        z += 0.03 * n[2]
        if x * x + y * y + z * z > REACH * REACH:
            break
        d = roughly(lattice, x, y, z)
        share = min(share, 0.5 + 3.5 * d / t)
        if share <= 0.0:
            return 0.0
        t += min(max(d, 0.05), 0.15)
    return share * share * (3 - 2 * share)


@compiled
def _node(v: float) -> int:
    """Index of the nearest point of the lattice along an axis; it is within 0.87 CELL in all."""
    return int((v + HALF) / CELL + 0.5)


@compiled
def _start(lattice: np.ndarray, o: np.ndarray, d: np.ndarray, spread: float) -> float:
    """How far all rays in a cone around d (radius `spread` at distance 1) go before they near anything."""
    away = math.sqrt(o[0] ** 2 + o[1] ** 2 + o[2] ** 2)
    t = max(away - REACH, 0.0) / (1 + spread)
    while t < away + REACH:
        x, y, z = o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2]
        r = math.sqrt(x * x + y * y + z * z)
        f = min(REACH / max(r, 1e-9), 1.0)  # the nearest place on the lattice
        i, j, k = _node(f * x), _node(f * y), _node(f * z)
        free = lattice[i, j, k] - 0.9 * CELL - (1 - f) * r - spread * t
        if free < 0.2 * CELL:
            return t
        t += free / (1 + spread)
    return t


@inlined
def _march(
    table: np.ndarray,
    lattice: np.ndarray,
    rows: np.ndarray,
    spans: np.ndarray,
    paint: np.ndarray,
    offset: np.ndarray,
    o: np.ndarray,
    d: np.ndarray,
    p: np.ndarray,
    start: float,
) -> tuple[float, int, int, float]:
    """How far from o along d the ray, followed from `start` on, meets the solid or its fur; FAR if it misses.

    Writes the place to p. Beside it: where the rows that matter there begin and end, and the distance at p
    less its fur.
    """
    middle = -(o[0] * d[0] + o[1] * d[1] + o[2] * d[2])
    gap = REACH * REACH - (o[0] ** 2 + o[1] ** 2 + o[2] ** 2 - middle * middle)
    if gap <= 0:
        return FAR, 0, 0, 0.0
    t, far = max(middle - math.sqrt(gap), start), middle + math.sqrt(gap)
    for _ in range(120):
        if t > far:
            break
        for c in range(3):
            p[c] = o[c] + t * d[c]
        distance = lattice[_node(p[0]), _node(p[1]), _node(p[2])]
        if distance > 1.3 * CELL:
            t += distance - 0.9 * CELL
        else:
            i, j, k = block_at(p[0]), block_at(p[1]), block_at(p[2])
            begin, end = spans[i, j, k, 0], spans[i, j, k, 1]
            distance = field(table, rows, begin, end, p[0], p[1], p[2])
            smooth = distance
            if distance < 0.015 and paint[MAIN, 3] == PLUSH:
                part = part_at(table, rows, begin, end, p[0], p[1], p[2])
                if paint[part, 3] == PLUSH:
                    distance += fur(p[0] + offset[0], p[1] + offset[1], p[2] + offset[2])
            if distance < 0.0015:  # a sixth of a pixel
                return t, begin, end, smooth
            t += 0.9 * distance  # an ellipsoid's may be a little too large
    return FAR, 0, 0, 0.0


@compiled
def _look(
    table: np.ndarray,
    lattice: np.ndarray,
    rows: np.ndarray,
    spans: np.ndarray,
    paint: np.ndarray,
    light: np.ndarray,
    offset: np.ndarray,
    o: np.ndarray,
    d: np.ndarray,
    p: np.ndarray,
    n: np.ndarray,
    color: np.ndarray,
    start: float,
    sky: float,
    sun: float,
) -> tuple[int, float, float]:
    """Follow one ray from `start` on: part of what it meets (-1: nothing), its colour in `color`.

    Third and fourth: the shares of the sky and of the key light that reach the place, measured if `sky` is
    negative, else those given.
    """
    t, begin, end, smooth = _march(table, lattice, rows, spans, paint, offset, o, d, p, start)
    if t == FAR:
        return -1, sky, sun
    e = 0.002  # forward differences
    for c in range(3):
        x, y, z = p[0] + e * (c == 0), p[1] + e * (c == 1), p[2] + e * (c == 2)
        n[c] = field(table, rows, begin, end, x, y, z) - smooth
    normalize(n)
    part = part_at(table, rows, begin, end, p[0], p[1], p[2])
    if sky < 0:
        hidden, weight = 0.0, 0.5
        for h in (0.05, 0.11, 0.20):
            f = roughly(lattice, p[0] + h * n[0], p[1] + h * n[1], p[2] + h * n[2])
            hidden += weight * max(h - f - 0.008, 0.0) / h
            weight *= 0.72
        sky, sun = max(1 - 0.95 * hidden, 0.0), _shadow(lattice, p, n, light)
    shade(paint, part, light, offset, p, n, d, sky, sun, color)
    return part, sky, sun


@compiled
def _aim(camera: np.ndarray, size: int, column: float, row: float, d: np.ndarray) -> None:
    """Unit direction through a place on the picture, measured in pixels from its top left corner."""
    u, v = 2 * column / size - 1, 1 - 2 * row / size
    for c in range(3):
        d[c] = camera[3, c] + u * camera[1, c] + v * camera[2, c]
    normalize(d)


@compiled
def _starts(lattice: np.ndarray, camera: np.ndarray, size: int, d: np.ndarray) -> np.ndarray:
    """How far the rays of each tile of TILE x TILE pixels go before they near anything; d is scratch."""
    tiles = (size + TILE - 1) // TILE
    starts = np.empty((tiles, tiles))
    half = math.sqrt(camera[1, 0] ** 2 + camera[1, 1] ** 2 + camera[1, 2] ** 2)
    for row in range(tiles):
        for column in range(tiles):
            _aim(camera, size, TILE * (column + 0.5), TILE * (row + 0.5), d)
            starts[row, column] = _start(lattice, camera[0], d, math.sqrt(2.0) * TILE * half / size)
    return starts


@compiled
def _trace(
    table: np.ndarray,
    lattice: np.ndarray,
    rows: np.ndarray,
    spans: np.ndarray,
    paint: np.ndarray,
    light: np.ndarray,
    offset: np.ndarray,
    camera: np.ndarray,
    scratch: np.ndarray,
    fine: np.ndarray,
) -> None:
    size = fine.shape[0]
    image = np.zeros((size, size, 4), np.float32)
    parts = np.empty((size, size), np.int64)
    skies, suns = np.empty((size, size)), np.empty((size, size))
    o, d, p, n, color = camera[0], scratch[0], scratch[1], scratch[2], scratch[3]
    starts = _starts(lattice, camera, size, d)
    for row in range(size):
        for column in range(size):
            start = starts[row // TILE, column // TILE]
            _aim(camera, size, column + 0.5, row + 0.5, d)
            part, skies[row, column], suns[row, column] = _look(
                table, lattice, rows, spans, paint, light, offset, o, d, p, n, color, start, -1.0, 0.0
            )
            parts[row, column] = part
            if part >= 0:
                for c in range(3):
                    image[row, column, c] = color[c]
                image[row, column, 3] = 1.0
    fine[:] = image
    for row in range(size):
        for column in range(size):
            differs = False
            for k in range(4):
                i = min(max(row + (k == 0) - (k == 1), 0), size - 1)
                j = min(max(column + (k == 2) - (k == 3), 0), size - 1)
                if parts[i, j] != parts[row, column]:
                    differs = True
                for c in range(3):
                    if abs(image[i, j, c] - image[row, column, c]) > EDGE:
                        differs = True
            if not differs:
                continue
            for c in range(4):
                fine[row, column, c] = 0.0
            start = starts[row // TILE, column // TILE]
            for corner in range(4):
                _aim(camera, size, column + 0.25 + 0.5 * (corner % 2), row + 0.25 + 0.5 * (corner // 2), d)
                sky, sun = skies[row, column], suns[row, column]  # soft enough to share
                part, _, _ = _look(
                    table, lattice, rows, spans, paint, light, offset, o, d, p, n, color, start, sky, sun
                )
                if part >= 0:
                    for c in range(3):
                        fine[row, column, c] += 0.25 * color[c]
                    fine[row, column, 3] += 0.25


@compiled
def trace(
    table: np.ndarray,
    paint: np.ndarray,
    light: np.ndarray,
    offset: np.ndarray,
    camera: np.ndarray,
    size: int,
) -> np.ndarray:
    """Premultiplied RGBA [size, size, 4] float32 of a solid.

    `paint` [parts, 4] is colour in [0, 1] and finish, `light` a unit direction [3], `offset` [3] moves the
    textures. `camera` [4, 3] is its place, half the picture's width and height (vectors), and forward.
    """
    nearby, scratch, fine = near(table), np.empty((4, 3)), np.zeros((size, size, 4), np.float32)
    _trace(
        bare(table),
        bare(nearby.lattice),
        bare(nearby.rows),
        bare(nearby.spans),
        bare(paint),
        bare(light),
        bare(offset),
        bare(camera),
        bare(scratch),
        bare(fine),
    )
    nearby.lattice[0, 0, 0], nearby.rows[0], nearby.spans[0, 0, 0, 0], scratch[0, 0] = 0.0, 0, 0, 0.0
    return fine


@compiled
def _ranges(
    table: np.ndarray,
    lattice: np.ndarray,
    rows: np.ndarray,
    spans: np.ndarray,
    paint: np.ndarray,
    cameras: np.ndarray,
    scratch: np.ndarray,
    found: np.ndarray,
) -> None:
    size, d, p = found.shape[1], scratch[0], scratch[1]
    for one in range(len(cameras)):
        camera = cameras[one]
        starts = _starts(lattice, camera, size, d)
        for row in range(size):
            for column in range(size):
                _aim(camera, size, column + 0.5, row + 0.5, d)
                start = starts[row // TILE, column // TILE]
                found[one, row, column], _, _, _ = _march(
                    table, lattice, rows, spans, paint, p, camera[0], d, p, start
                )


@compiled
def ranges(table: np.ndarray, cameras: np.ndarray, size: int) -> np.ndarray:
    """How far along the ray through each pixel's middle a solid is met, [N, size, size]; FAR where it is not.

    `cameras` [N, 4, 3] are what `trace` has one of. The solid is bare, without fur.
    """
    nearby, scratch, found = near(table), np.empty((2, 3)), np.empty((len(cameras), size, size))
    paint = np.zeros((1, 4))
    _ranges(
        bare(table),
        bare(nearby.lattice),
        bare(nearby.rows),
        bare(nearby.spans),
        bare(paint),
        bare(cameras),
        bare(scratch),
        bare(found),
    )
    nearby.lattice[0, 0, 0], nearby.rows[0], nearby.spans[0, 0, 0, 0], scratch[0, 0] = 0.0, 0, 0, 0.0
    paint[0, 0] = 0.0
    return found


@compiled
def fog(
    table: np.ndarray,
    paint: np.ndarray,
    softness: float,
    density: float,
    camera: np.ndarray,
    size: int,
) -> np.ndarray:
    """Premultiplied RGBA [size, size, 4] float32 of a soft volume around the solid, by 28 samples a ray.

    Its density is density * sigmoid(-distance / softness).
    """
    lattice, rows, spans = near(table, 2 * REACH)  # every sample's distance counts
    image = np.zeros((size, size, 4), np.float32)
    o, d = camera[0], np.empty(3)
    for row in range(size):
        for column in range(size):
            _aim(camera, size, column + 0.5, row + 0.5, d)
            middle = -(o[0] * d[0] + o[1] * d[1] + o[2] * d[2])
            gap = 0.42 - (o[0] ** 2 + o[1] ** 2 + o[2] ** 2 - middle * middle)
            if gap <= 0:
                continue
            step, through = 2 * math.sqrt(gap) / 28, 1.0
            for i in range(28):
                t = middle - math.sqrt(gap) + (i + 0.5) * step
                x, y, z = o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2]
                distance = roughly(lattice, x, y, z)
                alpha = 1 - math.exp(-density * step / (1 + math.exp(min(distance / softness, 30.0))))
                if alpha < 1e-3:
                    continue
                begin = spans[block_at(x), block_at(y), block_at(z), 0]
                end = spans[block_at(x), block_at(y), block_at(z), 1]
                part = part_at(table, rows, begin, end, x, y, z)
                for c in range(3):
                    image[row, column, c] += through * alpha * paint[part, c] * (0.75 + 0.3 * z)
                image[row, column, 3] += through * alpha
                through *= 1 - alpha
    return image
