"""The mammals of the toy world, toys with large heads; all look along +x, their left is +y."""

import numpy as np

from src.toybox.world.paint import (
    BLACK,
    CREAM,
    DARK,
    GREEN,
    MAIN,
    PINK,
    RED,
    SHADE,
    WHITE,
)
from src.toybox.world.solid import DECAL, GOLDEN_ANGLE, SIDES, Solid, Vary, Vector


def eyes(s: Solid, x: float, y: float, z: float, radius: float) -> None:
    """Two black eyes at (x, +-y, z), each with a glint: a face."""
    s.mark_face((x, 0, z - y / 2), 1.6 * y + radius)
    for side in SIDES:
        s.ellipsoid((x, side * y, z), (radius * 0.8, radius, radius * 1.15), BLACK)
        s.ellipsoid((x + radius * 0.65, side * y + radius * 0.3, z + radius * 0.5), radius * 0.33, WHITE)


def _legs(s: Solid, x: float, y: float, top: float, ground: float, radius: float) -> None:
    """Four legs with paws."""
    for front in SIDES:
        for side in SIDES:
            foot = ground + radius
            s.round_cone(
                (front * x, side * y, top), (front * x, side * y, foot), radius, radius * 0.92, blend=0.05
            )
            s.ellipsoid(
                (front * x + 0.035, side * y, foot), (radius * 1.25, radius * 1.08, radius), blend=0.02
            )


def lion(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.12, 0, -0.14), (v(0.36), 0.235, 0.235))
    _legs(s, 0.20, 0.13, -0.22, -0.60, v(0.09))
    mane = v(0.30)
    s.ellipsoid((0.18, 0, 0.20), (0.20, mane + 0.02, mane + 0.02), SHADE)
    for angle in np.arange(11) * 2 * np.pi / 11 + np.pi / 2:
        y, z = mane * np.cos(angle), mane * np.sin(angle)
        s.ellipsoid((0.20, y, 0.20 + z), (0.14, 0.115, 0.115), SHADE)
        s.ellipsoid((0.02, 0.72 * y, 0.18 + 0.72 * z), (0.12, 0.11, 0.11), SHADE)
    s.ellipsoid((0.32, 0, 0.20), (0.19, 0.25, 0.24))
    for side in SIDES:
        s.ellipsoid((0.20, side * 0.25, 0.50), (0.06, 0.095, 0.095))
        s.ellipsoid((0.25, side * 0.25, 0.50), (0.03, 0.06, 0.06), PINK)
        s.ellipsoid((0.49, side * 0.065, 0.10), (0.075, 0.085, 0.07), CREAM)
    s.ellipsoid((0.47, 0, 0.035), (0.06, 0.06, 0.05), CREAM)
    s.ellipsoid((0.55, 0, 0.165), (0.045, 0.065, 0.042), BLACK)
    eyes(s, 0.475, 0.115, 0.275, 0.048)
    s.tube([(-0.42, 0, -0.08), (-0.60, 0, 0.0), (-0.62, 0, v(0.26))], (0.045, 0.04, 0.035))
    s.ellipsoid((-0.62, 0, 0.34), (0.09, 0.09, 0.12), SHADE)


def cat(s: Solid, v: Vary) -> None:
    s.mark_face((0.40, 0, 0.17), 0.25)
    s.ellipsoid((-0.10, 0, -0.16), (v(0.34), 0.20, 0.20))
    for x in (-0.32, -0.18, -0.04):
        s.box((x, 0, 0.05), (0.028, 0.30, 0.13), SHADE, mode=DECAL)
    _legs(s, 0.18, 0.11, -0.20, -0.56, v(0.072))
    s.ellipsoid((0.22, 0, 0.16), (0.23, v(0.285), 0.235), blend=0.04)
    for side in SIDES:
        s.cone((0.20, side * 0.17, 0.28), (0.19, side * 0.225, 0.50), 0.12, 0.012, rounding=0.01)
        s.ellipsoid((0.295, side * 0.185, 0.40), (0.055, 0.055, 0.085), PINK, mode=DECAL)
        s.ellipsoid((0.40, side * 0.055, 0.085), (0.065, 0.075, 0.055), WHITE)
        s.ellipsoid((0.385, side * 0.125, 0.215), (0.055, 0.068, 0.068), GREEN)
        s.ellipsoid((0.425, side * 0.125, 0.215), (0.022, 0.024, 0.058), BLACK)
    s.box((0.20, 0, 0.40), (0.14, 0.022, 0.07), SHADE, mode=DECAL)
    s.ellipsoid((0.46, 0, 0.125), (0.03, 0.038, 0.026), PINK)
    points: list[Vector] = [(-0.38, 0, -0.12), (-0.56, 0, -0.04), (-0.58, 0, 0.20), (-0.48, 0, v(0.40))]
    s.tube(points, (0.055, 0.055, 0.05, 0.045))
    s.ellipsoid((-0.47, 0, 0.43), 0.10, SHADE, mode=DECAL)


def rabbit(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.06, 0, -0.26), (v(0.30), 0.26, 0.28))
    s.ellipsoid((0.10, 0, -0.22), (0.18, 0.17, 0.20), WHITE)
    s.ellipsoid((0.10, 0, 0.10), (0.24, 0.25, 0.22))
    for side in SIDES:
        lean, long = side * 0.07, v(0.62)
        s.ellipsoid(
            (0.03, side * 0.10 + lean * 0.6, 0.30 + long / 3), (0.055, 0.088, long / 2), roll=-side * 9
        )
        s.ellipsoid(
            (0.075, side * 0.10 + lean * 0.6, 0.31 + long / 3),
            (0.03, 0.05, long * 0.38),
            PINK,
            roll=-side * 9,
        )
        s.ellipsoid((0.12, side * 0.19, -0.49), (0.21, 0.09, 0.075), blend=0.02)
        s.round_cone((0.17, side * 0.13, -0.12), (0.27, side * 0.10, -0.32), 0.07, 0.065, blend=0.03)
        s.ellipsoid((0.31, side * 0.05, 0.05), (0.06, 0.065, 0.05), WHITE)
    s.ellipsoid((0.365, 0, 0.09), (0.03, 0.04, 0.028), PINK)
    s.box((0.345, 0, -0.01), (0.025, 0.03, 0.04), WHITE)
    eyes(s, 0.285, 0.12, 0.17, 0.05)
    s.ellipsoid((-0.36, 0, -0.36), 0.12, WHITE)


def hedgehog(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.08, 0, 0), (v(0.40), 0.34, 0.33), SHADE)
    count = 74
    for i in range(count):  # spines all over, but for the face in front and the belly
        z = 1 - 2 * (i + 0.5) / count
        x, y = np.sqrt(1 - z * z) * np.cos(i * GOLDEN_ANGLE), np.sqrt(1 - z * z) * np.sin(i * GOLDEN_ANGLE)
        if x > 0.60 or z < -0.62:
            continue
        root, tip = (
            np.array([x * 0.36 - 0.08, y * 0.30, z * 0.29]),
            np.array([x * 0.60 - 0.16, y * 0.50, z * 0.49]),
        )
        s.round_cone(
            (root[0], root[1], root[2]), (tip[0], tip[1], tip[2]), 0.085, 0.008, SHADE if i % 3 else MAIN
        )
    s.ellipsoid((0.20, 0, -0.05), (0.22, 0.24, 0.23), CREAM)
    s.round_cone((0.28, 0, -0.08), (0.50, 0, -0.06), 0.16, 0.055, CREAM, blend=0.05)
    s.ellipsoid((0.56, 0, -0.045), 0.055, BLACK)
    eyes(s, 0.385, 0.125, 0.03, 0.048)
    for side in SIDES:
        s.ellipsoid((0.20, side * 0.21, 0.16), (0.05, 0.08, 0.08), MAIN)
        for x in (-0.24, 0.15):
            s.ellipsoid((x + 0.03, side * 0.14, -0.29), (0.11, 0.08, 0.09), CREAM)


def elephant(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.14, 0, -0.06), (v(0.40), 0.30, 0.29))
    for front in SIDES:
        for side in SIDES:
            x, y = -0.13 + front * 0.22, side * 0.165
            s.round_cone((x, y, -0.16), (x, y, -0.46), v(0.115), 0.115, blend=0.04)
            s.cylinder((x, y, -0.575), (x, y, -0.44), 0.125, rounding=0.02)
            s.ellipsoid((x + 0.105, y, -0.55), (0.04, 0.075, 0.035), CREAM)
    s.ellipsoid((0.28, 0, 0.20), (0.24, 0.25, 0.25), blend=0.05)
    points: list[Vector] = [
        (0.42, 0, 0.16),
        (0.62, 0, 0.0),
        (0.66, 0, -0.24),
        (0.78, 0, -0.33),
        (0.86, 0, -0.22),
    ]
    s.tube(points, (0.13, 0.10, 0.075, 0.065, 0.06), pieces=12, blend=0.02)
    for side in SIDES:
        s.ellipsoid((0.14, side * v(0.36), 0.20), (0.055, 0.24, 0.28), turn=side * 22)
        s.ellipsoid((0.175, side * 0.37, 0.19), (0.05, 0.16, 0.19), PINK, turn=side * 22)
        s.tube(
            [(0.44, side * 0.12, 0.04), (0.58, side * 0.14, -0.07), (0.68, side * 0.14, -0.04)],
            (0.05, 0.045, 0.015),
            WHITE,
            pieces=5,
        )
    eyes(s, 0.465, 0.155, 0.275, 0.042)
    s.tube([(-0.52, 0, 0.0), (-0.62, 0, -0.14), (-0.62, 0, -0.28)], (0.035, 0.03, 0.025))
    s.ellipsoid((-0.62, 0, -0.32), (0.04, 0.04, 0.07), DARK)


def pig(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.08, 0, -0.02), (v(0.42), 0.32, 0.31))
    _legs(s, 0.22, 0.165, -0.16, -0.47, v(0.085))
    s.ellipsoid((0.26, 0, 0.12), (0.26, 0.28, 0.26), blend=0.03)
    s.cylinder((0.46, 0, 0.07), (0.59, 0, 0.07), 0.125, SHADE, rounding=0.03)
    for side in SIDES:
        s.ellipsoid((0.585, side * 0.048, 0.075), (0.02, 0.025, 0.038), BLACK)
        s.cone((0.24, side * 0.16, 0.30), (0.34, side * 0.27, 0.46), 0.12, 0.015)
        s.ellipsoid((0.35, side * 0.21, 0.38), (0.07, 0.05, 0.06), SHADE, mode=DECAL)
    eyes(s, 0.465, 0.14, 0.21, 0.04)
    curl: list[Vector] = [
        (-0.46, 0, 0.04),
        (-0.58, 0.06, 0.10),
        (-0.60, -0.04, 0.18),
        (-0.54, -0.06, 0.10),
        (-0.62, 0.02, 0.04),
    ]
    s.tube(curl, (0.035, 0.032, 0.03, 0.03, 0.025), SHADE, pieces=12)


def bear(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, -0.20), (0.25, v(0.27), 0.29))
    s.ellipsoid((0.12, 0, -0.20), (0.16, 0.19, 0.21), CREAM)
    s.ellipsoid((0.03, 0, 0.27), (0.25, v(0.28), 0.25), blend=0.02)
    s.ellipsoid((0.24, 0, 0.20), (0.11, 0.125, 0.10), CREAM)
    s.ellipsoid((0.335, 0, 0.245), (0.038, 0.055, 0.04), BLACK)
    eyes(s, 0.245, 0.105, 0.33, 0.042)
    for side in SIDES:
        s.ellipsoid((0.0, side * 0.215, 0.47), (0.07, 0.11, 0.11))
        s.ellipsoid((0.055, side * 0.215, 0.47), (0.03, 0.07, 0.07), CREAM)
        s.round_cone((0.04, side * 0.22, 0.0), (0.19, side * 0.36, -0.22), 0.095, 0.10)
        s.round_cone((0.06, side * 0.16, -0.42), (0.28, side * 0.24, -0.44), 0.115, 0.125)
        s.ellipsoid((0.385, side * 0.265, -0.44), (0.04, 0.085, 0.085), CREAM, turn=side * 18)
    s.ellipsoid((-0.26, 0, -0.36), 0.085)
    # a bow tie
    for side in SIDES:
        s.cone((0.23, 0, 0.045), (0.22, side * 0.14, 0.045), 0.02, 0.075, RED)
    s.ellipsoid((0.255, 0, 0.045), 0.045, RED)
