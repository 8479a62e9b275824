"""Every kind of object in the toy world, a handful of primitives each; what has a face looks along +x."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from src.toybox.solid import BLACK, BLUE, CLAY, GLASS, ORANGE, SHADE, WAFFLE, WHITE, WOOD, Solid

Vary = Callable[[float], float]  # a length, varied a little from one instance to the next


def _eyes(s: Solid, x: float, y: float, z: float, radius: float) -> None:
    for side in (-1, 1):
        s.ellipsoid((x, side * y, z), (radius, radius, radius * 1.15), BLACK)


def _legs(s: Solid, x: float, y: float, top: float, bottom: float, radius: float) -> None:
    for front in (-1, 1):
        for side in (-1, 1):
            s.capsule((front * x, side * y, top), (front * x, side * y, bottom + radius), radius, blend=0.04)


def lion(s: Solid, v: Vary) -> None:
    body = v(0.46)
    s.ellipsoid((-0.05, 0, 0), (body, 0.25, 0.25))
    _legs(s, body * 0.68, 0.14, -0.1, -0.58, v(0.085))
    s.ellipsoid((body * 0.80, 0, 0.26), (0.17, v(0.37), v(0.38)), SHADE, tilt=-8)
    s.ellipsoid((body * 0.80 + 0.16, 0, 0.26), (0.19, 0.225, 0.225))
    s.ellipsoid((body * 0.80 + 0.32, 0, 0.18), (0.10, 0.12, 0.09), blend=0.03)
    s.ellipsoid((body * 0.80 + 0.41, 0, 0.215), (0.035, 0.055, 0.04), BLACK)
    _eyes(s, body * 0.80 + 0.315, 0.095, 0.33, 0.042)
    for side in (-1, 1):
        s.ellipsoid((body * 0.80 + 0.03, side * 0.25, 0.55), (0.06, 0.09, 0.09))
    s.capsule((-body * 0.95, 0, 0.08), (-body * 1.45, 0, 0.30), 0.04)
    s.ellipsoid((-body * 1.50, 0, 0.34), (0.10, 0.09, 0.11), SHADE)


def cat(s: Solid, v: Vary) -> None:
    body = v(0.40)
    s.ellipsoid((-0.05, 0, 0), (body, 0.19, 0.20))
    _legs(s, body * 0.68, 0.11, -0.06, -0.50, v(0.07))
    head = body * 0.95
    s.ellipsoid((head, 0, 0.28), (0.21, v(0.26), 0.22), blend=0.03)
    for side in (-1, 1):
        s.cone((head, side * 0.16, 0.42), (head, side * 0.21, 0.66), 0.10, 0.012)
        s.ellipsoid((head + 0.17, side * 0.06, 0.22), (0.07, 0.075, 0.055), WHITE)
    s.ellipsoid((head + 0.24, 0, 0.255), (0.03, 0.035, 0.028), BLACK)
    _eyes(s, head + 0.17, 0.10, 0.335, 0.044)
    s.capsule((-body, 0, 0.05), (-body * 1.35, 0, 0.30), 0.055, blend=0.05)
    s.capsule((-body * 1.35, 0, 0.30), (-body * 1.30, 0, v(0.62)), 0.055, SHADE, blend=0.03)


def rabbit(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.08, 0, -0.12), (v(0.33), 0.26, 0.30))
    s.ellipsoid((0.20, 0, 0.24), (0.22, 0.20, 0.21), blend=0.04)
    for side in (-1, 1):
        s.ellipsoid((0.12, side * 0.10, v(0.66)), (0.06, 0.075, 0.30))
        s.ellipsoid((0.165, side * 0.10, v(0.66)), (0.03, 0.04, 0.22), SHADE)
        s.ellipsoid((0.12, side * 0.20, -0.36), (0.20, 0.09, 0.08))
        s.capsule((0.20, side * 0.11, -0.05), (0.26, side * 0.11, -0.36), 0.065, blend=0.03)
    s.ellipsoid((0.415, 0, 0.22), (0.035, 0.045, 0.035), BLACK)
    _eyes(s, 0.37, 0.11, 0.31, 0.042)
    s.ellipsoid((-0.42, 0, -0.14), (0.11, 0.11, 0.11), WHITE)


def duck(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.08, 0, -0.12), (v(0.46), 0.30, 0.26))
    s.cone((-0.40, 0, -0.05), (-0.64, 0, 0.14), 0.15, 0.02, blend=0.06)
    s.capsule((0.22, 0, 0.0), (0.24, 0, 0.22), 0.13, blend=0.06)
    s.ellipsoid((0.25, 0, v(0.34)), (0.21, 0.20, 0.20), blend=0.03)
    s.ellipsoid((0.52, 0, 0.29), (0.15, 0.11, 0.05), ORANGE)
    _eyes(s, 0.39, 0.12, 0.40, 0.042)
    for side in (-1, 1):
        s.ellipsoid((-0.14, side * 0.27, -0.06), (0.27, 0.06, 0.15), SHADE, tilt=-12)


def car(s: Solid, v: Vary) -> None:
    s.box((0, 0, -0.10), (v(0.62), 0.27, 0.12), rounding=0.05)
    s.box((-0.08, 0, 0.09), (v(0.34), 0.235, 0.13), GLASS, rounding=0.06)
    s.box((-0.08, 0, 0.21), (0.30, 0.23, 0.03), rounding=0.02)
    for side in (-1, 1):
        s.box((-0.10, side * 0.23, 0.09), (0.025, 0.015, 0.12))
        for x in (-0.36, 0.36):
            s.cylinder((x, side * 0.21, -0.20), (x, side * 0.30, -0.20), 0.135, BLACK)
            s.cylinder((x, side * 0.28, -0.20), (x, side * 0.31, -0.20), 0.065, WHITE)
        s.ellipsoid((0.60, side * 0.17, -0.07), (0.04, 0.065, 0.055), WHITE)
        s.box((-0.61, side * 0.19, -0.05), (0.02, 0.05, 0.035), SHADE)
    s.box((0.62, 0, -0.16), (0.015, 0.10, 0.025), BLACK)


def house(s: Solid, v: Vary) -> None:
    wide, tall = v(0.36), v(0.26)
    s.box((0, 0, -0.18), (wide, 0.36, tall), WHITE)
    s.pyramid((0, 0, tall - 0.19), 0.50, v(0.40))
    s.box((0.05, 0.22, tall + 0.14), (0.055, 0.055, 0.14), CLAY)
    s.box((wide, 0, -0.27), (0.015, 0.085, 0.165), WOOD)
    for side in (-1, 1):
        s.box((wide, side * 0.22, -0.12), (0.015, 0.075, 0.075), GLASS)
        s.box((0, side * 0.36, -0.14), (0.10, 0.015, 0.085), GLASS)


def tree(s: Solid, v: Vary) -> None:
    s.cylinder((0, 0, -0.60), (0, 0, 0.05), v(0.085), WOOD)
    s.ellipsoid((0, 0, 0.34), (0.28, 0.28, 0.26))
    turn = v(1.0) * 3
    for k in range(4):
        x, y = 0.20 * np.cos(turn + k * np.pi / 2), 0.20 * np.sin(turn + k * np.pi / 2)
        s.ellipsoid((x, y, 0.14 + 0.05 * (k % 2)), (0.22, 0.22, v(0.20)))


def mushroom(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.42), (0, 0, 0.10), v(0.15), 0.12, WHITE, rounding=0.02)
    s.ellipsoid((0, 0, 0.06), (0.46, 0.46, v(0.32)))
    s.cylinder((0, 0, -0.40), (0, 0, 0.035), 0.60, SHADE, rounding=0.0, subtract=1)
    s.cone((0, 0, -0.42), (0, 0, 0.10), v(0.15), 0.12, WHITE, rounding=0.02)
    for k in range(6):
        angle, high = k * np.pi / 3 + 0.3, 0.16 + 0.10 * (k % 2)
        reach = 0.46 * np.sqrt(max(0.0, 1 - ((high - 0.06) / 0.32) ** 2))
        s.ellipsoid((reach * np.cos(angle), reach * np.sin(angle), high), (0.075, 0.075, 0.06), WHITE)
    s.ellipsoid((0, 0, 0.37), (0.08, 0.08, 0.04), WHITE)


def cactus(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.60), (0, 0, -0.28), 0.17, 0.25, CLAY, rounding=0.02)
    s.cylinder((0, 0, -0.32), (0, 0, -0.24), 0.28, CLAY)
    s.capsule((0, 0, -0.28), (0, 0, v(0.46)), 0.145)
    for side, low, high in ((-1, v(0.0), 0.26), (1, v(0.10), 0.38)):
        s.capsule((0, 0, low), (0, side * 0.30, low), 0.08)
        s.capsule((0, side * 0.30, low), (0, side * 0.30, high), 0.08)


def vase(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, -0.08), (v(0.29), 0.29, 0.36))
    s.cone((0, 0, 0.10), (0, 0, 0.46), 0.21, v(0.12), blend=0.08)
    s.cone((0, 0, 0.42), (0, 0, 0.56), 0.12, v(0.20), blend=0.03)
    s.cylinder((0, 0, -0.48), (0, 0, -0.38), v(0.17))
    s.cylinder((0, 0, 0.10), (0, 0, 0.70), 0.10, SHADE, subtract=1)


def icecream(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.66), (0, 0, 0.02), 0.015, 0.24, WAFFLE)
    s.ellipsoid((0, 0, 0.14), (0.28, 0.28, v(0.26)))
    s.torus((0, 0, 0.03), 0.22, 0.06, blend=0.03)
    s.ellipsoid((0, 0, v(0.40)), (0.055, 0.055, 0.055), SHADE)


def chair(s: Solid, v: Vary) -> None:
    wide = v(0.28)
    s.box((0, 0, 0), (0.29, wide, 0.045))
    s.box((-0.265, 0, 0.38), (0.04, wide, v(0.36)))
    for x in (-0.24, 0.24):
        for side in (-1, 1):
            s.box((x, side * (wide - 0.045), -0.28), (0.045, 0.045, 0.28))


def table(s: Solid, v: Vary) -> None:
    wide, long = v(0.34), 0.50
    s.box((0, 0, 0.22), (wide, long, 0.05))
    for x in (-1, 1):
        for side in (-1, 1):
            s.box((x * (wide - 0.06), side * (long - 0.06), -0.12), (0.05, 0.05, v(0.34)))


def mug(s: Solid, v: Vary) -> None:
    wide, tall = v(0.31), v(0.36)
    s.torus((0, wide, 0), 0.19, 0.055, axis=(1, 0, 0))
    s.cylinder((0, 0, -tall), (0, 0, tall), wide, rounding=0.03)
    s.cylinder((0, 0, -tall + 0.08), (0, 0, tall + 0.2), wide - 0.06, SHADE, rounding=0.0, subtract=1)


def bowl(s: Solid, v: Vary) -> None:
    deep = v(0.42)
    s.ellipsoid((0, 0, 0.18), (0.54, 0.54, deep))
    s.cylinder((0, 0, 0.10 - deep), (0, 0, 0.22 - deep), 0.22)
    s.ellipsoid((0, 0, 0.20), (0.46, 0.46, deep - 0.08), SHADE, subtract=1)
    s.cylinder((0, 0, 0.16), (0, 0, 0.90), 0.75, rounding=0.0, subtract=1)


def rocket(s: Solid, v: Vary) -> None:
    s.cylinder((0, 0, -0.40), (0, 0, 0.25), v(0.20), rounding=0.03)
    s.cone((0, 0, 0.22), (0, 0, v(0.68)), 0.20, 0.02, SHADE)
    s.cone((0, 0, -0.52), (0, 0, -0.38), 0.17, 0.12, BLACK)
    for k in range(4):
        x, y = np.cos(np.pi / 4 + k * np.pi / 2), np.sin(np.pi / 4 + k * np.pi / 2)
        s.cone((0.18 * x, 0.18 * y, -0.16), (0.34 * x, 0.34 * y, -0.58), 0.03, 0.085, BLUE)
    s.cylinder((0.15, 0, 0.10), (0.225, 0, 0.10), 0.10, WHITE)
    s.cylinder((0.16, 0, 0.10), (0.235, 0, 0.10), 0.07, GLASS)


def snowman(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, -0.40), (v(0.32), 0.32, 0.30))
    s.ellipsoid((0, 0, 0.02), (v(0.23), 0.23, 0.22))
    s.ellipsoid((0, 0, 0.34), (0.17, 0.17, 0.17))
    s.cylinder((0, 0, 0.46), (0, 0, 0.49), 0.22, BLACK)
    s.cylinder((0, 0, 0.46), (0, 0, v(0.70)), 0.14, BLACK)
    s.cone((0.15, 0, 0.33), (0.36, 0, 0.31), 0.05, 0.01, ORANGE)
    _eyes(s, 0.145, 0.07, 0.39, 0.034)
    for z in (-0.05, 0.08):
        s.ellipsoid((0.22, 0, z), (0.034, 0.034, 0.034), BLACK)
    for side in (-1, 1):
        s.capsule((0, side * 0.20, 0.06), (0, side * 0.48, 0.22), 0.028, WOOD)


def torus(s: Solid, v: Vary) -> None:
    s.torus((0, 0, 0), 0.37, v(0.13))


def sphere(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, 0), (0.5, 0.5, 0.5))


def cube(s: Solid, v: Vary) -> None:
    s.box((0, 0, 0), (0.4, 0.4, 0.4), rounding=v(0.015))


def cone(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.4), (0, 0, 0.4), v(0.36), 0.008)


def cylinder(s: Solid, v: Vary) -> None:
    s.cylinder((0, 0, -v(0.42)), (0, 0, 0.42), 0.27)


def capsule(s: Solid, v: Vary) -> None:
    s.capsule((0, 0, -0.26), (0, 0, 0.26), v(0.22))


def pyramid(s: Solid, v: Vary) -> None:
    s.pyramid((0, 0, -0.3), 0.42, v(0.64))


@dataclass(frozen=True)
class Kind:
    """One kind of object: how it is built, its noun in a caption, its colour when the caption names none."""

    build: Callable[[Solid, Vary], None]
    noun: str
    natural_color: str
    has_front: bool = False


KINDS: dict[str, Kind] = {
    "lion": Kind(lion, "lion", "orange", True),
    "cat": Kind(cat, "cat", "grey", True),
    "rabbit": Kind(rabbit, "rabbit", "brown", True),
    "duck": Kind(duck, "duck", "yellow", True),
    "car": Kind(car, "car", "red", True),
    "house": Kind(house, "house", "red", True),
    "tree": Kind(tree, "tree", "green"),
    "mushroom": Kind(mushroom, "mushroom", "red"),
    "cactus": Kind(cactus, "cactus in a pot", "green"),
    "vase": Kind(vase, "vase", "blue"),
    "icecream": Kind(icecream, "ice cream cone", "pink"),
    "chair": Kind(chair, "chair", "brown", True),
    "table": Kind(table, "table", "brown"),
    "mug": Kind(mug, "mug", "white"),
    "bowl": Kind(bowl, "bowl", "turquoise"),
    "rocket": Kind(rocket, "rocket", "white", True),
    "snowman": Kind(snowman, "snowman", "white", True),
    "torus": Kind(torus, "torus", "purple"),
    "sphere": Kind(sphere, "sphere", "blue"),
    "cube": Kind(cube, "cube", "green"),
    "cone": Kind(cone, "cone", "orange"),
    "cylinder": Kind(cylinder, "cylinder", "turquoise"),
    "capsule": Kind(capsule, "capsule", "pink"),
    "pyramid": Kind(pyramid, "pyramid", "yellow"),
}


def build(kind: str, rng: np.random.Generator, variation: float = 0.08) -> np.ndarray:
    """One instance of `kind` as a table of primitives, its proportions varied by up to ±`variation`."""
    solid = Solid()
    KINDS[kind].build(solid, lambda length: length * (1 + variation * float(rng.uniform(-1, 1))))
    return solid.normalized()
