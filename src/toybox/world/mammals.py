"""The mammals of the toy world, toys with large heads and eyes; all look along +x, their left is +y.

A face is what a small picture loses first. So heads are half of the figure, eyes are large and plain, white
around black wherever the head takes the caption's colour, and bodies and tails are tucked in: the subject
fills the frame.
"""

import numpy as np

from src.toybox.world.paint import BLACK, CREAM, DARK, MAIN, PINK, RED, SHADE, WHITE
from src.toybox.world.solid import DECAL, GOLDEN_ANGLE, SIDES, Number, Solid, Vary, Vector


def eyes(s: Solid, x: float, y: float, z: float, radius: float, turn: Number = 20) -> None:
    """Two black eyes at (x, +-y, z), turned outwards by `turn` degrees, each with a glint: a face."""
    s.mark_face((x, 0, z - y / 2), 1.6 * y + radius)
    for side in SIDES:
        s.ellipsoid((x, side * y, z), (radius * 0.6, radius, radius * 1.15), BLACK, turn=side * turn)
        s.ellipsoid((x + radius * 0.5, side * y + radius * 0.15, z + radius * 0.5), radius * 0.36, WHITE)


def wide_eyes(s: Solid, x: float, y: float, z: float, radius: float, turn: Number = 20) -> None:
    """Eyes as above on white balls, which stand out from a face of any colour."""
    for side in SIDES:
        s.ellipsoid((x, side * y, z), (radius * 0.6, radius, radius * 1.12), WHITE, turn=side * turn)
    eyes(s, x + 0.32 * radius, y - 0.02 * radius, z - 0.06 * radius, 0.66 * radius, turn)


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
    s.ellipsoid((-0.10, 0, -0.28), (v(0.27), 0.20, 0.20))
    _legs(s, 0.15, 0.13, -0.30, -0.58, v(0.085))
    mane, sway = v(0.35), 4 * (v(0.5) - 0.5)
    s.ellipsoid((0.04, 0, 0.13), (0.20, mane + 0.02, mane + 0.02), SHADE)
    for angle in np.arange(11) * 2 * np.pi / 11 + np.pi / 2:
        y, z = mane * np.cos(angle), mane * np.sin(angle)
        s.ellipsoid((0.06, y, 0.13 + z), (0.14, 0.13, 0.13), SHADE)
        s.ellipsoid((-0.10, 0.72 * y, 0.12 + 0.72 * z), (0.12, 0.12, 0.12), SHADE)
    s.ellipsoid((0.19, 0, 0.12), (0.21, 0.31, 0.295))
    for side in SIDES:
        s.ellipsoid((0.10, side * 0.29, 0.45), (0.06, 0.11, 0.11))
        s.ellipsoid((0.15, side * 0.29, 0.45), (0.03, 0.065, 0.065), PINK)
        s.ellipsoid((0.37, side * 0.075, 0.01), (0.085, 0.105, 0.085), CREAM)
    s.ellipsoid((0.36, 0, -0.075), (0.06, 0.075, 0.06), CREAM)
    s.ellipsoid((0.45, 0, 0.075), (0.045, 0.085, 0.052), BLACK)
    wide_eyes(s, 0.335, 0.15, 0.21, 0.088)
    s.tube(
        [(-0.32, 0, -0.26), (-0.46, sway / 2, -0.22), (-0.46, sway, v(-0.02))], (0.045, 0.04, 0.035), pieces=6
    )
    s.ellipsoid((-0.46, sway, 0.06), (0.085, 0.085, 0.11), SHADE)


def cat(s: Solid, v: Vary) -> None:
    sway = 4 * (v(0.5) - 0.5)
    s.ellipsoid((-0.10, 0, -0.29), (v(0.26), 0.18, 0.18))
    for x in (-0.30, -0.17):
        s.box((x, 0, -0.10), (0.03, 0.30, 0.13), SHADE, mode=DECAL)
    _legs(s, 0.14, 0.115, -0.30, -0.57, v(0.075))
    s.ellipsoid((0.10, 0, 0.10), (0.29, v(0.39), 0.32), blend=0.03)
    for side in SIDES:
        s.cone((0.08, side * 0.235, 0.26), (0.08, side * 0.33, v(0.58)), 0.155, 0.015, rounding=0.01)
        s.cone((0.14, side * 0.245, 0.29), (0.13, side * 0.32, 0.51), 0.10, 0.012, PINK, rounding=0.01)
        s.ellipsoid((0.345, side * 0.075, -0.01), (0.075, 0.10, 0.075), WHITE)
    s.box((0.10, 0, 0.40), (0.24, 0.04, 0.10), SHADE, mode=DECAL)
    for side in SIDES:
        s.box((0.10, side * 0.105, 0.40), (0.24, 0.025, 0.07), SHADE, mode=DECAL)
    wide_eyes(s, 0.315, 0.185, 0.135, 0.105, 26)
    s.ellipsoid((0.415, 0, 0.045), (0.035, 0.058, 0.04), PINK)
    points: list[Vector] = [
        (-0.30, 0, -0.26),
        (-0.46, sway, -0.20),
        (-0.48, 1.5 * sway, -0.02),
        (-0.40, 2 * sway, v(0.14)),
    ]
    s.tube(points, (0.06, 0.06, 0.055, 0.05))
    s.ellipsoid((-0.40, 2 * sway, 0.17), 0.11, SHADE, mode=DECAL)


def rabbit(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.08, 0, -0.36), (v(0.24), 0.22, 0.22))
    s.ellipsoid((0.05, 0, -0.33), (0.15, 0.14, 0.16), WHITE)
    s.ellipsoid((0.06, 0, 0.02), (0.29, v(0.33), 0.28))
    droop = v(9.0)
    for side in SIDES:
        long = v(0.48)
        s.ellipsoid((-0.02, side * 0.165, 0.24 + long / 3), (0.065, 0.105, long / 2), roll=-side * droop)
        s.ellipsoid(
            (0.035, side * 0.165, 0.25 + long / 3), (0.03, 0.062, long * 0.38), PINK, roll=-side * droop
        )
        s.ellipsoid((0.12, side * 0.16, -0.53), (0.19, 0.10, 0.075), blend=0.02)
        s.round_cone((0.10, side * 0.14, -0.22), (0.20, side * 0.10, -0.36), 0.07, 0.065, blend=0.03)
        s.ellipsoid((0.315, side * 0.065, -0.075), (0.07, 0.085, 0.065), WHITE)
    s.box((0.345, 0, -0.15), (0.025, 0.042, 0.045), WHITE)
    s.ellipsoid((0.385, 0, -0.02), (0.035, 0.055, 0.04), PINK)
    wide_eyes(s, 0.275, 0.155, 0.09, 0.098)
    s.ellipsoid((-0.32, 0, -0.42), 0.12, WHITE)


def hedgehog(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.06, 0, 0), (v(0.34), 0.36, 0.35), SHADE)
    count = 64
    for i in range(count):  # spines all over, but for the face in front and the belly
        z = 1 - 2 * (i + 0.5) / count
        x, y = np.sqrt(1 - z * z) * np.cos(i * GOLDEN_ANGLE), np.sqrt(1 - z * z) * np.sin(i * GOLDEN_ANGLE)
        if x > 0.52 or z < -0.62:
            continue
        root, tip = (
            np.array([x * 0.32 - 0.06, y * 0.32, z * 0.31]),
            np.array([x * 0.52 - 0.10, y * 0.52, z * 0.51]),
        )
        s.round_cone(
            (root[0], root[1], root[2]), (tip[0], tip[1], tip[2]), 0.10, 0.012, SHADE if i % 3 else MAIN
        )
    s.ellipsoid((0.18, 0, -0.03), (0.21, 0.31, 0.29), CREAM)
    s.round_cone((0.26, 0, -0.10), (0.43, 0, -0.08), 0.15, 0.07, CREAM, blend=0.05)
    s.ellipsoid((0.49, 0, -0.07), 0.072, BLACK)
    eyes(s, 0.33, 0.145, 0.075, 0.075)
    for side in SIDES:
        s.ellipsoid((0.14, side * 0.25, 0.21), (0.06, 0.095, 0.095), MAIN)
        for x in (-0.20, 0.13):
            s.ellipsoid((x + 0.03, side * 0.15, -0.33), (0.11, 0.09, 0.09), CREAM)


def elephant(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.14, 0, -0.20), (v(0.30), 0.26, 0.24))
    for front in SIDES:
        for side in SIDES:
            x, y = -0.12 + front * 0.16, side * 0.15
            s.round_cone((x, y, -0.26), (x, y, -0.46), v(0.115), 0.115, blend=0.04)
            s.cylinder((x, y, -0.575), (x, y, -0.44), 0.125, rounding=0.02)
            s.ellipsoid((x + 0.10, y, -0.55), (0.045, 0.08, 0.04), CREAM)
    s.ellipsoid((0.12, 0, 0.16), (0.29, 0.31, 0.30), blend=0.04)
    lift = v(1.0) - 1
    points: list[Vector] = [
        (0.34, 0, 0.08),
        (0.47, 0, -0.08),
        (0.46, 0, -0.28),
        (0.55, lift, -0.38),
        (0.62, 1.5 * lift, -0.28 + lift),
    ]
    s.tube(points, (0.12, 0.095, 0.08, 0.07, 0.07), pieces=12, blend=0.02)
    for side in SIDES:
        s.ellipsoid((0.02, side * v(0.41), 0.18), (0.055, 0.24, 0.29), turn=side * 18)
        s.ellipsoid((0.06, side * 0.42, 0.17), (0.05, 0.165, 0.205), PINK, turn=side * 18)
        s.tube(
            [(0.32, side * 0.12, -0.03), (0.44, side * 0.15, -0.12), (0.52, side * 0.15, -0.09)],
            (0.055, 0.05, 0.02),
            WHITE,
            pieces=5,
        )
    wide_eyes(s, 0.335, 0.165, 0.21, 0.085)
    s.tube([(-0.42, 0, -0.16), (-0.50, lift, -0.26), (-0.48, lift, -0.36)], (0.035, 0.03, 0.025))
    s.ellipsoid((-0.48, lift, -0.40), (0.04, 0.04, 0.07), DARK)


def pig(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.12, 0, -0.22), (v(0.30), 0.25, 0.23))
    _legs(s, 0.15, 0.14, -0.30, -0.56, v(0.09))
    s.ellipsoid((0.10, 0, 0.12), (0.32, v(0.37), 0.33), blend=0.03)
    s.cylinder((0.36, 0, 0.03), (0.50, 0, 0.03), 0.15, SHADE, rounding=0.035)
    for side in SIDES:
        s.ellipsoid((0.495, side * 0.06, 0.035), (0.025, 0.033, 0.052), BLACK)
        s.cone((0.08, side * 0.22, 0.34), (0.17, side * 0.35, v(0.54)), 0.14, 0.02)
        s.ellipsoid((0.18, side * 0.28, 0.42), (0.08, 0.07, 0.09), SHADE, mode=DECAL)
    wide_eyes(s, 0.33, 0.175, 0.235, 0.092)
    curl: list[Vector] = [
        (-0.40, 0, -0.18),
        (-0.49, 0.06, -0.12),
        (-0.51, -0.04, -0.04),
        (-0.45, -0.06, -0.12),
        (-0.53, 0.02, -0.18),
    ]
    s.tube(curl, (0.04, 0.036, 0.033, 0.033, 0.028), SHADE, pieces=12)


def bear(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.02, 0, -0.30), (0.21, v(0.24), 0.25))
    s.ellipsoid((0.08, 0, -0.31), (0.14, 0.16, 0.17), CREAM)
    s.ellipsoid((0.05, 0, -0.12), (0.16, 0.17, 0.10))
    s.ellipsoid((0.03, 0, 0.19), (0.29, v(0.36), 0.31), blend=0.02)
    s.ellipsoid((0.27, 0, 0.10), (0.12, 0.155, 0.12), CREAM)
    s.ellipsoid((0.375, 0, 0.155), (0.045, 0.075, 0.052), BLACK)
    s.box((0.39, 0, 0.075), (0.05, 0.012, 0.035), DARK, rounding=0.004, mode=DECAL)
    eyes(s, 0.275, 0.15, 0.27, 0.075)
    reach = v(0.22) - 0.22
    for side in SIDES:
        s.ellipsoid((0.0, side * 0.275, 0.44), (0.075, 0.13, 0.13))
        s.ellipsoid((0.06, side * 0.275, 0.44), (0.03, 0.08, 0.08), CREAM)
        s.round_cone((0.02, side * 0.21, -0.15), (0.14, side * 0.33, -0.30 + 3 * reach), 0.09, 0.095)
        s.round_cone((0.04, side * 0.14, -0.46), (0.20, side * 0.21, -0.48), 0.11, 0.12)
        s.ellipsoid((0.30, side * 0.235, -0.48), (0.04, 0.085, 0.085), CREAM, turn=side * 18)
    s.ellipsoid((-0.24, 0, -0.44), 0.085)
    # a bow tie
    for side in SIDES:
        s.cone((0.22, 0, -0.115), (0.21, side * 0.15, -0.115), 0.02, 0.075, RED)
    s.ellipsoid((0.24, 0, -0.115), 0.045, RED)
