"""How a solid of the toy world is put together: a handful of signed-distance primitives in a table.

Vocabulary. A *solid* is a table of primitives, one row each, joined in order by union (optionally smooth) or
subtraction; its signed distance is known everywhere, which makes it the ground truth that text-to-3D usually
lacks. A *part* is the index of a primitive's paint: MAIN takes the caption's colour, SHADE a darker tone of
it, the others are fixed. The world is z-up; every solid is centred and scaled to the same bounding radius.
"""

from dataclasses import dataclass, field

import numpy as np

BOUNDING_RADIUS = 0.5  # world units; one radius for all kinds, so that framing says nothing about the kind

# Columns of a primitive's row.
SHAPE, CENTER, ROTATION, SIZE, PART, SUBTRACT, BLEND, BOUND, COLUMNS = 0, 1, 4, 13, 17, 18, 19, 20, 21
ELLIPSOID, BOX, CAPSULE, TORUS, CONE, PYRAMID = range(6)

MAIN, SHADE, BLACK, WHITE, WOOD, ORANGE, GLASS, CLAY, BLUE, WAFFLE = range(10)
FIXED_PAINT = {
    BLACK: (0.05, 0.05, 0.06),
    WHITE: (0.93, 0.93, 0.92),
    WOOD: (0.45, 0.28, 0.15),
    ORANGE: (0.98, 0.52, 0.08),
    GLASS: (0.45, 0.68, 0.85),
    CLAY: (0.72, 0.36, 0.20),
    BLUE: (0.12, 0.22, 0.80),
    WAFFLE: (0.80, 0.58, 0.30),
}

Number = float | int
Vector = tuple[Number, Number, Number]


@dataclass
class Solid:
    """A table of primitives under construction, in any unit; `normalized` brings it to world units."""

    rows: list[np.ndarray] = field(default_factory=list)
    # Points that span each primitive, to centre and scale by.
    extent: list[np.ndarray] = field(default_factory=list)

    def ellipsoid(
        self, center: Vector, radii: Vector, part: int = MAIN, tilt: Number = 0.0, **kw: Number
    ) -> None:
        """Axis-aligned ellipsoid, then rotated by `tilt` degrees about y (positive: the nose goes down)."""
        sphere = _directions()
        self._add(ELLIPSOID, center, _about_y(tilt), radii, part, max(radii), sphere * np.array(radii), **kw)

    def box(
        self,
        center: Vector,
        half: Vector,
        part: int = MAIN,
        rounding: Number = 0.01,
        tilt: Number = 0.0,
        **kw: Number,
    ) -> None:
        """Rounded box with half sizes `half`, rotated by `tilt` degrees about y."""
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array(half)
        size = (*half, rounding)
        self._add(BOX, center, _about_y(tilt), size, part, float(np.linalg.norm(half)), corners, **kw)

    def capsule(self, a: Vector, b: Vector, radius: Number, part: int = MAIN, **kw: Number) -> None:
        """All points within `radius` of the segment from a to b."""
        start, end = np.array(a), np.array(b)
        half = float(np.linalg.norm(end - start)) / 2
        ends = np.concatenate([_directions() * radius + s * np.array([0, 0, half]) for s in (-1, 1)])
        center = (start + end) / 2
        self._add(CAPSULE, center, _z_to(end - start), (radius, half), part, half + radius, ends, **kw)

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

    def pyramid(self, base: Vector, half_width: Number, height: Number, part: int = MAIN) -> None:
        """Square pyramid standing on `base`."""
        center = (base[0], base[1], base[2] + height / 2)
        corners = np.array(
            [[x, y, -height / 2] for x in (-half_width, half_width) for y in (-half_width, half_width)]
        )
        extent = np.concatenate([corners, [[0, 0, height / 2]]])
        bound = float(np.linalg.norm(extent, axis=1).max())
        self._add(PYRAMID, center, np.eye(3), (half_width, height), part, bound, extent)

    def _add(
        self,
        shape: int,
        center: Vector | np.ndarray,
        rotation: np.ndarray,
        size: tuple[Number, ...],
        part: int,
        bound: Number,
        extent: np.ndarray,
        blend: Number = 0.0,
        subtract: Number = 0.0,
    ) -> None:
        row = np.zeros(COLUMNS)
        row[SHAPE], row[PART], row[SUBTRACT], row[BLEND], row[BOUND] = shape, part, subtract, blend, bound
        row[CENTER : CENTER + 3] = center
        row[ROTATION : ROTATION + 9] = rotation.T.ravel()  # world to local
        row[SIZE : SIZE + len(size)] = size
        self.rows.append(row)
        if not subtract:
            self.extent.append(extent @ rotation.T + np.asarray(center))

    def normalized(self) -> np.ndarray:
        """The table [P, COLUMNS] float64, centred on its bounding box and scaled to BOUNDING_RADIUS."""
        points = np.concatenate(self.extent)
        middle = (points.min(0) + points.max(0)) / 2
        scale = BOUNDING_RADIUS / np.linalg.norm(points - middle, axis=1).max()
        table = np.stack(self.rows)
        table[:, CENTER : CENTER + 3] = (table[:, CENTER : CENTER + 3] - middle) * scale
        table[:, SIZE : SIZE + 4] *= scale
        table[:, [BLEND, BOUND]] *= scale
        return table


def _directions() -> np.ndarray:
    """70 unit vectors spread over the sphere, [70, 3].

    A Fibonacci lattice, and the six axes, which make bounding boxes exact.
    """
    i = np.arange(64) + 0.5
    z, angle = 1 - i / 32, i * np.pi * (3 - np.sqrt(5))
    spread = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], 1)
    return np.concatenate([spread, np.eye(3), -np.eye(3)])


def _circle() -> np.ndarray:
    angle = np.arange(24) * (2 * np.pi / 24)
    return np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)


def _about_y(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _z_to(axis: np.ndarray) -> np.ndarray:
    """A rotation whose third column is `axis`, normalised."""
    z = axis / np.linalg.norm(axis)
    x = np.cross([0, 1, 0] if abs(z[1]) < 0.9 else [1, 0, 0], z)
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], 1)
