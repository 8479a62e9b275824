"""The other animals of the toy world: birds, a frog, a dinosaur, a snail; all look along +x."""

import numpy as np

from src.toybox.world.mammals import eyes, wide_eyes
from src.toybox.world.paint import (
    BLACK,
    CREAM,
    DARK,
    MAIN,
    ORANGE,
    PINK,
    SHADE,
    WHITE,
    YELLOW,
)
from src.toybox.world.solid import DECAL, SIDES, Solid, Vary, Vector


def duck(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.08, 0, -0.28), (v(0.36), 0.30, 0.22))
    s.tube([(-0.28, 0, -0.24), (-0.42, 0, -0.14), (-0.46, 0, v(0.04))], (0.16, 0.10, 0.03), blend=0.05)
    s.ellipsoid((0.08, 0, v(0.16)), (0.30, 0.315, 0.30), blend=0.04)
    s.ellipsoid((0.40, 0, 0.07), (0.17, 0.18, 0.048), ORANGE, tilt=-8)
    s.ellipsoid((0.38, 0, 0.02), (0.14, 0.145, 0.045), ORANGE, tilt=8)
    wide_eyes(s, 0.315, 0.15, 0.225, 0.09)
    for side in SIDES:
        s.ellipsoid((-0.14, side * 0.27, -0.22), (0.22, 0.075, 0.13), SHADE, tilt=16)
        s.ellipsoid((-0.33, side * 0.27, -0.15), (0.09, 0.05, 0.05), SHADE, tilt=30)


def owl(s: Solid, v: Vary) -> None:
    s.mark_face((0.33, 0, 0.17), 0.33)
    s.round_cone((0, 0, -0.20), (0, 0, 0.20), v(0.33), 0.33)
    s.ellipsoid((0.13, 0, -0.26), (0.24, 0.22, 0.22), CREAM)
    for z, count in ((-0.30, 3), (-0.19, 2)):
        for k in range(count):
            y = (k - (count - 1) / 2) * 0.13
            s.ellipsoid((0.34, y, z), (0.10, 0.036, 0.036), SHADE, mode=DECAL)
    for z, count in ((0.30, 2), (0.14, 3), (-0.02, 4), (-0.18, 3)):
        for k in range(count):
            s.ellipsoid((-0.31, (k - (count - 1) / 2) * 0.15, z), (0.14, 0.04, 0.045), SHADE, mode=DECAL)
    for side in SIDES:
        s.ellipsoid((-0.03, side * 0.32, -0.18), (0.17, 0.07, v(0.28)), SHADE, tilt=14)
        s.cone((0.02, side * 0.20, 0.40), (0.04, side * 0.29, v(0.62)), 0.12, 0.014)
        s.ellipsoid((0.245, side * 0.155, 0.22), (0.075, 0.175, 0.175), WHITE, turn=side * 20)
        s.ellipsoid((0.300, side * 0.150, 0.22), (0.045, 0.125, 0.125), YELLOW, turn=side * 20)
        s.ellipsoid((0.332, side * 0.147, 0.22), (0.028, 0.085, 0.085), BLACK, turn=side * 20)
        s.ellipsoid((0.358, side * 0.155, 0.26), 0.03, WHITE)
        for y in (0.06, 0.13):
            s.ellipsoid((0.17, side * y, -0.52), (0.11, 0.036, 0.05), ORANGE)
    s.cone((0.30, 0, 0.15), (0.42, 0, 0.02), 0.065, 0.010, ORANGE)
    s.ellipsoid((-0.26, 0, -0.46), (0.16, 0.15, 0.05), SHADE, tilt=-38)


def penguin(s: Solid, v: Vary) -> None:
    s.round_cone((0, 0, -0.26), (0, 0, 0.17), v(0.30), 0.33)
    s.ellipsoid((0.10, 0, -0.26), (0.235, 0.235, 0.25), WHITE)
    reach = v(22.0)
    for side in SIDES:
        s.ellipsoid((0.17, side * 0.125, 0.17), (0.15, 0.15, 0.185), WHITE, turn=side * 20)
        s.ellipsoid((-0.01, side * v(0.36), -0.20), (0.11, 0.05, 0.23), roll=side * reach)
        s.ellipsoid((0.13, side * 0.15, -0.54), (0.19, 0.125, 0.06), ORANGE, turn=side * 14)
    eyes(s, 0.31, 0.135, 0.225, 0.078)
    s.cone((0.27, 0, 0.10), (0.45, 0, 0.07), 0.095, 0.02, ORANGE)
    s.ellipsoid((-0.28, 0, -0.46), (0.14, 0.10, 0.045), tilt=-28)


def frog(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.12, 0, -0.18), (v(0.30), 0.28, 0.22), tilt=-18)
    s.ellipsoid((0.08, 0, 0.02), (0.30, v(0.38), 0.23), blend=0.06)
    s.ellipsoid((0.12, 0, -0.20), (0.20, 0.23, 0.20), CREAM)
    for x, y, z, r in ((-0.30, 0.0, -0.06, 0.10), (-0.16, 0.15, 0.14, 0.08), (-0.16, -0.15, 0.14, 0.08)):
        s.ellipsoid((x, y, z), r, SHADE, mode=DECAL)
    s.box((0.32, 0, -0.02), (0.16, 0.29, 0.017), DARK, rounding=0.005, mode=DECAL)
    for side in SIDES:
        s.ellipsoid((0.09, side * 0.21, 0.25), 0.155, blend=0.02)
        s.ellipsoid((-0.18, side * 0.29, -0.25), (0.22, 0.11, 0.15), SHADE, tilt=-24)
        s.ellipsoid((0.0, side * 0.36, -0.38), (0.20, 0.10, 0.05), SHADE, turn=side * 22)
        s.round_cone((0.16, side * 0.24, -0.16), (0.22, side * 0.27, -0.35), 0.075, 0.06, blend=0.03)
        s.ellipsoid((0.26, side * 0.28, -0.38), (0.13, 0.10, 0.045))
    wide_eyes(s, 0.17, 0.225, 0.275, 0.125, 14)


def dinosaur(s: Solid, v: Vary) -> None:
    s.round_cone((-0.06, 0, -0.26), (0.02, 0, -0.08), v(0.22), 0.18)
    s.ellipsoid((0.07, 0, -0.26), (0.16, 0.17, 0.20), CREAM, tilt=-12)
    sway = 4 * (v(0.5) - 0.5)
    s.tube(
        [(-0.14, 0, -0.30), (-0.34, 0, -0.42), (-0.52, sway / 2, -0.40), (-0.62, sway, v(-0.26))],
        (0.18, 0.12, 0.075, 0.03),
        blend=0.03,
    )
    s.ellipsoid((0.06, 0, 0.22), (0.29, v(0.31), 0.27), blend=0.03)
    s.ellipsoid((0.26, 0, 0.12), (0.21, 0.24, 0.155), blend=0.05)
    s.box((0.40, 0, 0.06), (0.16, 0.21, 0.016), DARK, rounding=0.005, mode=DECAL)
    for side in SIDES:
        s.ellipsoid((0.455, side * 0.075, 0.185), (0.035, 0.028, 0.028), DARK)
        s.ellipsoid((-0.04, side * 0.18, -0.40), (0.16, 0.11, 0.16), blend=0.02)
        s.ellipsoid((0.06, side * 0.19, -0.53), (0.18, 0.115, 0.075), blend=0.02)
        s.tube(
            [(0.12, side * 0.15, -0.10), (0.22, side * 0.20, -0.17), (0.30, side * 0.18, -0.13)],
            (0.06, 0.055, 0.055),
            pieces=4,
        )
    wide_eyes(s, 0.24, 0.20, 0.33, 0.10, 26)
    spikes = [(0.08, 0.51), (-0.09, 0.44), (-0.22, 0.29), (-0.27, 0.10), (-0.28, -0.10), (-0.40, -0.27)]
    for k, (x, z) in enumerate(spikes):
        size = (0.9, 1.15, 1.2, 1.15, 1.0, 0.8)[k]
        s.cone((x + 0.05, 0, z - 0.05), (x - 0.09 * size, 0, z + 0.09 * size), 0.095 * size, 0.012, ORANGE)


def snail(s: Solid, v: Vary) -> None:
    s.tube(
        [(-0.46, 0, -0.40), (-0.16, 0, -0.37), (0.22, 0, -0.34), (0.34, 0, -0.20), (0.34, 0, -0.02)],
        (0.04, 0.15, 0.15, 0.15, 0.16),
        CREAM,
        pieces=12,
    )
    s.ellipsoid((0.34, 0, 0.0), (0.22, 0.25, 0.20), CREAM)
    high = v(0.36)
    for side in SIDES:
        s.tube(
            [(0.34, side * 0.09, 0.12), (0.37, side * 0.14, 0.24), (0.38, side * 0.155, high)],
            (0.045, 0.04, 0.04),
            CREAM,
            pieces=4,
        )
    wide_eyes(s, 0.385, 0.165, high + 0.06, 0.125, 10)
    s.box((0.50, 0, -0.05), (0.10, 0.11, 0.018), DARK, rounding=0.004, mode=DECAL)
    for side in SIDES:
        s.ellipsoid((0.47, side * 0.17, -0.01), (0.09, 0.05, 0.04), PINK, mode=DECAL)
    # the shell: a spiral of growing tube around y
    turns = np.linspace(0, 2.35 * 2 * np.pi, 24)
    center, size = np.array([-0.14, 0.0, 0.0]), v(0.40)
    points: list[Vector] = []
    radii = []
    for a in turns:
        grow = a / turns[-1]
        r = size * (0.06 + 0.58 * grow)
        points.append((center[0] + r * np.cos(a - 2.2), 0.0, center[2] + r * np.sin(a - 2.2)))
        radii.append(size * (0.24 + 0.20 * grow) * 0.92)
    for k in range(len(points) - 1):
        widen = 0.95 * (1 - k / len(points))
        s.ellipsoid(points[k], (radii[k], radii[k] * (1 + widen), radii[k]), MAIN if (k // 2) % 2 else SHADE)
    s.ellipsoid(points[-1], radii[-1])
