"""How a solid of the toy world is put together: a handful of signed-distance primitives in a table.

Vocabulary. A *solid* is a table of primitives, one row each, joined in order: by union or subtraction, both
optionally smooth, or as a *decal*, which changes no shape and repaints whatever surface so far lies inside
it. Its signed distance is known everywhere, which makes it the ground truth that text-to-3D usually lacks.
The world is z-up; every solid is centred and scaled to the same bounding radius.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np

from src.toybox.world.paint import MAIN

SIDES = (-1, 1)
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
BOUNDING_RADIUS = 0.5  # world units; one radius for all kinds, so that framing says nothing about the kind

# Columns of a primitive's row.
SHAPE, CENTER, ROTATION, SIZE, PART, MODE, BLEND, BOUND, COLUMNS = 0, 1, 4, 13, 17, 18, 19, 20, 21
SPHERE, ELLIPSOID, BOX, CAPSULE, TORUS, CONE, PYRAMID, ROUND_CONE = range(8)
UNION, SUBTRACT, DECAL = range(3)

Number = float | int
Vector = tuple[Number, Number, Number]
Vary = Callable[[float], float]  # a length, varied a little from one instance to the next


@dataclass
class Solid:
    """A table of primitives under construction, in any unit; `normalized` brings it to world units.

    Every method takes a `part`, a `mode` and a `blend` (the width over which it melts into what is there).
    """

    rows: list[np.ndarray] = field(default_factory=list)
    # Points that span each primitive, to centre and scale by.
    extent: list[np.ndarray] = field(default_factory=list)
    face: np.ndarray | None = None  # centre and radius [4] of a ball around the face, once one is marked

    def mark_face(self, center: Vector, radius: Number) -> None:
        """Say where the face is: nothing is drawn, but pictures of it can be framed."""
        self.face = np.array([*center, radius], float)

    def ellipsoid(
        self,
        center: Vector,
        radii: Vector | Number,
        part: int = MAIN,
        tilt: Number = 0.0,
        turn: Number = 0.0,
        roll: Number = 0.0,
        **kw: Number,
    ) -> None:
        """Ellipsoid (or, of one radius, sphere), rotated: `roll` about x, `tilt` about y, `turn` about z.

        Degrees; a positive tilt lowers the nose, a positive turn goes to the left.
        """
        size = np.full(3, radii) if isinstance(radii, float | int) else np.array(radii)
        rotation = _rotation(turn, tilt, roll)
        shape = SPHERE if size.min() == size.max() else ELLIPSOID
        self._add(shape, center, rotation, size, part, float(size.max()), _directions() * size, **kw)

    def box(
        self,
        center: Vector,
        half: Vector,
        part: int = MAIN,
        rounding: Number = 0.01,
        tilt: Number = 0.0,
        turn: Number = 0.0,
        roll: Number = 0.0,
        **kw: Number,
    ) -> None:
        """Box with half sizes `half` and rounded edges, rotated as an ellipsoid is."""
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        # A rounded corner lies on a sphere around the sharp inner one, furthest out along the diagonal.
        inner = corners * np.maximum(np.array(half) - rounding, 1e-9)
        extent = inner * (1 + rounding / np.linalg.norm(inner[0]))
        faces = np.concatenate([np.eye(3), -np.eye(3)]) * np.array(half)
        size, bound = (*half, rounding), float(np.linalg.norm(extent, axis=1).max())
        rotation = _rotation(turn, tilt, roll)
        self._add(BOX, center, rotation, size, part, bound, np.concatenate([extent, faces]), **kw)

    def capsule(self, a: Vector, b: Vector, radius: Number, part: int = MAIN, **kw: Number) -> None:
        """All points within `radius` of the segment from a to b."""
        start, end = np.array(a), np.array(b)
        half = float(np.linalg.norm(end - start)) / 2
        ends = np.concatenate([_directions() * radius + s * np.array([0, 0, half]) for s in (-1, 1)])
        center = (start + end) / 2
        self._add(CAPSULE, center, _z_to(end - start), (radius, half), part, half + radius, ends, **kw)

    def round_cone(
        self, a: Vector, b: Vector, radius_a: Number, radius_b: Number, part: int = MAIN, **kw: Number
    ) -> None:
        """The hull of two spheres: a limb, an egg, a horn."""
        start, end = np.array(a), np.array(b)
        half = float(np.linalg.norm(end - start)) / 2
        if 2 * half <= abs(radius_a - radius_b):
            raise ValueError("one end of a round cone holds the other: draw a sphere")
        ends = np.concatenate(
            [_directions() * r + s * np.array([0, 0, half]) for s, r in ((-1, radius_a), (1, radius_b))]
        )
        bound, size = half + max(radius_a, radius_b), (radius_a, radius_b, half)
        self._add(ROUND_CONE, (start + end) / 2, _z_to(end - start), size, part, bound, ends, **kw)

    def tube(
        self,
        points: Sequence[Vector],
        radii: Sequence[Number],
        part: int = MAIN,
        pieces: int = 8,
        **kw: Number,
    ) -> None:
        """A bent and tapered capsule through `points` (a Catmull-Rom curve), as a chain of round cones."""
        knots = np.column_stack([np.array(points, float), np.array(radii, float)])
        knots = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
        spots = []
        for u in np.linspace(0, len(points) - 1, pieces + 1):
            i = min(int(u), len(points) - 2)
            (p0, p1, p2, p3), w = knots[i : i + 4], u - i
            spots.append(
                0.5
                * (
                    2 * p1
                    + (p2 - p0) * w
                    + (2 * p0 - 5 * p1 + 4 * p2 - p3) * w**2
                    + (3 * p1 - p0 - 3 * p2 + p3) * w**3
                )
            )
        for p, q in pairwise(spots):
            self.round_cone(
                (p[0], p[1], p[2]), (q[0], q[1], q[2]), max(p[3], 1e-3), max(q[3], 1e-3), part, **kw
            )

    def cylinder(
        self, a: Vector, b: Vector, radius: Number, part: int = MAIN, rounding: Number = 0.01, **kw: Number
    ) -> None:
        """Solid cylinder whose axis runs from a to b."""
        self.cone(a, b, radius, radius, part, rounding, **kw)

    def cone(
        self,
        a: Vector,
        b: Vector,
        radius_a: Number,
        radius_b: Number,
        part: int = MAIN,
        rounding: Number = 0.01,
        **kw: Number,
    ) -> None:
        """Truncated cone whose axis runs from a (radius_a) to b (radius_b)."""
        start, end = np.array(a), np.array(b)
        half = float(np.linalg.norm(end - start)) / 2
        rounding = min(rounding, radius_a, radius_b, half)
        rims = np.concatenate(
            [_circle() * r + s * np.array([0, 0, half]) for s, r in ((-1, radius_a), (1, radius_b))]
        )
        bound = float(np.hypot(half, max(radius_a, radius_b)))
        center, size = (start + end) / 2, (radius_a, radius_b, half, rounding)
        self._add(CONE, center, _z_to(end - start), size, part, bound, rims, **kw)

    def torus(
        self,
        center: Vector,
        ring: Number,
        tube: Number,
        axis: Vector = (0, 0, 1),
        part: int = MAIN,
        **kw: Number,
    ) -> None:
        """Torus of radius `ring` around `axis`, tube radius `tube`."""
        rim = np.concatenate(
            [_circle() * (ring + tube), _circle() * ring + [0, 0, tube], _circle() * ring - [0, 0, tube]]
        )
        self._add(TORUS, center, _z_to(np.array(axis)), (ring, tube), part, ring + tube, rim, **kw)

    def pyramid(
        self, base: Vector, half_width: Number, height: Number, part: int = MAIN, **kw: Number
    ) -> None:
        """Square pyramid standing on `base`."""
        center = (base[0], base[1], base[2] + height / 2)
        corners = np.array(
            [[x, y, -height / 2] for x in (-half_width, half_width) for y in (-half_width, half_width)]
        )
        extent = np.concatenate([corners, [[0, 0, height / 2]]])
        bound = float(np.linalg.norm(extent, axis=1).max())
        self._add(PYRAMID, center, np.eye(3), (half_width, height), part, bound, extent, **kw)

    def _add(
        self,
        shape: int,
        center: Vector | np.ndarray,
        rotation: np.ndarray,
        size: Sequence[Number] | np.ndarray,
        part: int,
        bound: Number,
        extent: np.ndarray,
        blend: Number = 0.0,
        mode: Number = UNION,
    ) -> None:
        row = np.zeros(COLUMNS)
        row[SHAPE], row[PART], row[MODE], row[BLEND], row[BOUND] = shape, part, mode, blend, bound
        row[CENTER : CENTER + 3] = center
        row[ROTATION : ROTATION + 9] = rotation.T.ravel()  # world to local
        row[SIZE : SIZE + len(size)] = size
        self.rows.append(row)
        if mode == UNION:
            self.extent.append(extent @ rotation.T + np.asarray(center))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner of what has been joined so far."""
        points = np.concatenate(self.extent)
        return points.min(0), points.max(0)

    def place(self, other: "Solid", scale: Number, offset: np.ndarray) -> None:
        """Add every row of another solid, scaled about the origin and then moved."""
        for row in other.rows:
            row = row.copy()
            row[CENTER : CENTER + 3] = row[CENTER : CENTER + 3] * scale + offset
            row[SIZE : SIZE + 4] *= scale
            row[[BLEND, BOUND]] *= scale
            self.rows.append(row)
        self.extent += [points * scale + offset for points in other.extent]
        if other.face is not None:
            self.face = np.append(other.face[:3] * scale + offset, other.face[3] * scale)

    def table(self) -> np.ndarray:
        """All rows, [P, COLUMNS] float64."""
        return np.stack(self.rows)

    def normalized(self) -> "Solid":
        """The same, centred on its bounding box and scaled to BOUNDING_RADIUS."""
        low, high = self.bounds()
        middle = (low + high) / 2
        scale = BOUNDING_RADIUS / np.linalg.norm(np.concatenate(self.extent) - middle, axis=1).max()
        whole = Solid()
        whole.place(self, scale, -middle * scale)
        return whole


@cache
def _directions() -> np.ndarray:
    """70 unit vectors spread over the sphere, [70, 3].

    A Fibonacci lattice, and the six axes, which make bounding boxes exact.
    """
    i = np.arange(64) + 0.5
    z, angle = 1 - i / 32, i * np.pi * (3 - np.sqrt(5))
    spread = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], 1)
    return np.concatenate([spread, np.eye(3), -np.eye(3)])


@cache
def _circle() -> np.ndarray:
    angle = np.arange(24) * (2 * np.pi / 24)
    return np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)


def _rotation(turn: float, tilt: float, roll: float) -> np.ndarray:
    """Roll about x, then tilt about y, then turn about z; degrees."""
    (ct, cy, cx), (st, sy, sx) = (f(np.radians([turn, tilt, roll])) for f in (np.cos, np.sin))
    about_z = np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return about_z @ about_y @ about_x


def _z_to(axis: np.ndarray) -> np.ndarray:
    """A rotation whose third column is `axis`, normalised."""
    zx, zy, zz = axis / np.linalg.norm(axis)
    # x: the cross product of y (or, where the axis is near it, of -z) with the axis
    xx, xy, xz = (zz, 0.0, -zx) if abs(zy) < 0.9 else (zy, -zx, 0.0)
    long = math.hypot(xx, xy, xz)
    xx, xy, xz = xx / long, xy / long, xz / long
    y = (zy * xz - zz * xy, zz * xx - zx * xz, zx * xy - zy * xx)
    return np.array([(xx, y[0], zx), (xy, y[1], zy), (xz, y[2], zz)])
