"""The other animals of the toy world: birds, a frog, a dinosaur, a snail; all look along +x."""

import numpy as np

from src.toybox.world.mammals import eyes
from src.toybox.world.paint import (
    BLACK,
    CREAM,
    DARK,
    MAIN,
    ORANGE,
    SHADE,
    WHITE,
    YELLOW,
)
from src.toybox.world.solid import DECAL, SIDES, Solid, Vary, Vector


def duck(s: Solid, v: Vary) -> None:
    s.ellipsoid((-0.06, 0, -0.20), (v(0.44), 0.32, 0.25))
    s.tube([(-0.30, 0, -0.14), (-0.50, 0, -0.04), (-0.58, 0, 0.14)], (0.18, 0.11, 0.03), blend=0.06)
    s.ellipsoid((0.22, 0, v(0.20)), (0.25, 0.245, 0.24), blend=0.08)
    s.ellipsoid((0.50, 0, 0.16), (0.15, 0.135, 0.038), ORANGE, tilt=-8)
    s.ellipsoid((0.48, 0, 0.12), (0.12, 0.11, 0.035), ORANGE, tilt=8)
    eyes(s, 0.405, 0.13, 0.265, 0.05)
    for side in SIDES:
        s.ellipsoid((-0.12, side * 0.28, -0.12), (0.25, 0.075, 0.14), SHADE, tilt=16)
        s.ellipsoid((-0.34, side * 0.29, -0.04), (0.09, 0.05, 0.05), SHADE, tilt=30)


def owl(s: Solid, v: Vary) -> None:
    s.mark_face((0.28, 0, 0.22), 0.28)
    s.round_cone((0, 0, -0.20), (0, 0, 0.22), v(0.32), 0.29)
    s.ellipsoid((0.12, 0, -0.18), (0.24, 0.22, 0.26), CREAM)
    for z, count in ((-0.28, 3), (-0.18, 4), (-0.08, 3)):
        for k in range(count):
            y = (k - (count - 1) / 2) * 0.11
            s.ellipsoid((0.33, y, z), (0.10, 0.026, 0.030), SHADE, mode=DECAL)
    for z, count in ((0.30, 2), (0.16, 3), (0.02, 4), (-0.12, 3), (-0.26, 2)):
        for k in range(count):
            s.ellipsoid((-0.30, (k - (count - 1) / 2) * 0.12, z), (0.14, 0.03, 0.036), SHADE, mode=DECAL)
    for side in SIDES:
        s.ellipsoid((-0.03, side * 0.31, -0.16), (0.17, 0.07, 0.30), SHADE, tilt=14)
        s.cone((0.02, side * 0.17, 0.40), (0.04, side * 0.255, 0.62), 0.11, 0.012)
        s.ellipsoid((0.215, side * 0.125, 0.26), (0.075, 0.145, 0.145), WHITE, turn=side * 16)
        s.ellipsoid((0.270, side * 0.120, 0.26), (0.045, 0.092, 0.092), YELLOW, turn=side * 16)
        s.ellipsoid((0.305, side * 0.118, 0.26), (0.025, 0.055, 0.055), BLACK, turn=side * 16)
        for y in (0.06, 0.13):
            s.ellipsoid((0.17, side * y, -0.50), (0.11, 0.036, 0.05), ORANGE)
    s.cone((0.26, 0, 0.20), (0.37, 0, 0.10), 0.05, 0.006, ORANGE)
    s.ellipsoid((-0.26, 0, -0.46), (0.16, 0.15, 0.05), SHADE, tilt=-38)


def penguin(s: Solid, v: Vary) -> None:
    s.round_cone((0, 0, -0.22), (0, 0, 0.24), v(0.33), 0.26)
    s.round_cone((0.10, 0, -0.22), (0.085, 0, 0.16), 0.265, 0.20, WHITE)
    for side in SIDES:
        s.ellipsoid((0.15, side * 0.105, 0.27), (0.12, 0.115, 0.14), WHITE, turn=side * 20)
        s.ellipsoid((-0.01, side * v(0.36), -0.13), (0.11, 0.05, 0.27), roll=side * 22)
        s.ellipsoid((0.15, side * 0.15, -0.53), (0.19, 0.115, 0.055), ORANGE, turn=side * 14)
    eyes(s, 0.265, 0.115, 0.305, 0.046)
    s.cone((0.22, 0, 0.215), (0.42, 0, 0.19), 0.075, 0.015, ORANGE)
    s.ellipsoid((-0.30, 0, -0.44), (0.14, 0.10, 0.045), tilt=-28)


def frog(s: Solid, v: Vary) -> None:
    s.mark_face((0.25, 0, 0.20), 0.38)
    s.ellipsoid((-0.10, 0, -0.10), (v(0.36), 0.30, 0.22), tilt=-22)
    s.ellipsoid((0.17, 0, 0.10), (0.26, v(0.34), 0.19), blend=0.06)
    s.ellipsoid((0.20, 0, -0.10), (0.17, 0.22, 0.20), CREAM)
    for x, y, z, r in ((-0.30, 0.0, 0.0, 0.09), (-0.14, 0.13, 0.10, 0.07), (-0.14, -0.13, 0.10, 0.07)):
        s.ellipsoid((x, y, z), r, SHADE, mode=DECAL)
    s.box((0.40, 0, 0.05), (0.14, 0.27, 0.014), DARK, rounding=0.005, mode=DECAL)
    for side in SIDES:
        s.ellipsoid((0.17, side * 0.18, 0.28), 0.125, blend=0.02)
        s.ellipsoid((0.225, side * 0.195, 0.295), (0.085, 0.095, 0.095), WHITE, turn=side * 14)
        s.ellipsoid((0.285, side * 0.205, 0.30), (0.045, 0.058, 0.058), BLACK, turn=side * 14)
        s.ellipsoid((-0.22, side * 0.32, -0.20), (0.25, 0.11, 0.15), SHADE, tilt=-24)
        s.ellipsoid((-0.02, side * 0.40, -0.34), (0.22, 0.10, 0.05), SHADE, turn=side * 22)
        s.round_cone((0.20, side * 0.24, -0.10), (0.28, side * 0.27, -0.31), 0.075, 0.06, blend=0.03)
        s.ellipsoid((0.33, side * 0.28, -0.34), (0.13, 0.10, 0.045))


def dinosaur(s: Solid, v: Vary) -> None:
    s.round_cone((-0.06, 0, -0.16), (0.04, 0, 0.08), v(0.25), 0.18)
    s.ellipsoid((0.10, 0, -0.14), (0.17, 0.19, 0.24), CREAM, tilt=-16)
    s.tube(
        [(-0.14, 0, -0.20), (-0.42, 0, -0.36), (-0.68, 0, -0.34), (-0.86, 0, v(-0.18))],
        (0.20, 0.13, 0.075, 0.02),
        blend=0.03,
    )
    s.ellipsoid((0.14, 0, 0.34), (0.24, 0.20, 0.19), blend=0.03)
    s.ellipsoid((0.34, 0, 0.29), (0.21, 0.165, 0.125), blend=0.05)
    s.box((0.46, 0, 0.245), (0.16, 0.25, 0.013), DARK, rounding=0.005, mode=DECAL)
    for side in SIDES:
        s.ellipsoid((0.51, side * 0.06, 0.365), (0.03, 0.022, 0.022), DARK)
        s.ellipsoid((-0.04, side * 0.20, -0.30), (0.17, 0.11, 0.19), blend=0.02)
        s.ellipsoid((0.06, side * 0.21, -0.47), (0.19, 0.105, 0.075), blend=0.02)
        s.tube(
            [(0.16, side * 0.16, 0.02), (0.28, side * 0.20, -0.04), (0.36, side * 0.18, 0.0)],
            (0.06, 0.05, 0.05),
            pieces=4,
        )
    eyes(s, 0.26, 0.165, 0.42, 0.05)
    spikes = [
        (0.06, 0.52),
        (-0.07, 0.38),
        (-0.17, 0.20),
        (-0.27, 0.04),
        (-0.38, -0.16),
        (-0.54, -0.25),
        (-0.69, -0.24),
    ]
    for k, (x, z) in enumerate(spikes):
        size = (0.8, 1.0, 1.1, 1.15, 1.0, 0.8, 0.6)[k]
        s.cone((x + 0.05, 0, z - 0.05), (x - 0.09 * size, 0, z + 0.09 * size), 0.085 * size, 0.01, ORANGE)


def snail(s: Solid, v: Vary) -> None:
    s.mark_face((0.58, 0, 0.28), 0.30)
    s.tube(
        [(-0.62, 0, -0.36), (-0.20, 0, -0.33), (0.26, 0, -0.31), (0.46, 0, -0.12), (0.50, 0, 0.10)],
        (0.03, 0.13, 0.13, 0.12, 0.125),
        CREAM,
        pieces=12,
    )
    s.ellipsoid((0.53, 0, 0.14), (0.17, 0.165, 0.15), CREAM)
    for side in SIDES:
        s.tube(
            [(0.54, side * 0.07, 0.24), (0.58, side * 0.12, 0.38), (0.60, side * 0.15, 0.46)],
            (0.03, 0.026, 0.026),
            CREAM,
            pieces=4,
        )
        s.ellipsoid((0.61, side * 0.155, 0.49), 0.062, BLACK)
    s.box((0.66, 0, 0.075), (0.06, 0.07, 0.010), DARK, rounding=0.004, mode=DECAL)
    # the shell: a spiral of growing tube around y
    turns = np.linspace(0, 2.35 * 2 * np.pi, 24)
    center, size = np.array([-0.12, 0.0, 0.08]), v(0.40)
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
