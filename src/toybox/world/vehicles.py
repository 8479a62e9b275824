"""What drives, sails and flies in the toy world, towards +x."""

import numpy as np

from src.toybox.world.paint import (
    BLACK,
    CHROME,
    CREAM,
    DARK,
    GLASS,
    MAIN,
    ORANGE,
    RED,
    SHADE,
    TYRE,
    WHITE,
    WOOD,
    YELLOW,
)
from src.toybox.world.solid import DECAL, SIDES, SUBTRACT, Solid, Vary


def car(s: Solid, v: Vary) -> None:
    s.mark_face((0.50, 0, 0.0), 0.36)
    roof = v(0.24)
    s.box((-0.12, 0, 0.10), (v(0.32), 0.275, roof), rounding=0.10)
    s.box((0.255, 0, 0.32), (0.10, 0.5, 0.34), tilt=-32, rounding=0.02, mode=SUBTRACT)
    s.box((-0.47, 0, 0.32), (0.10, 0.5, 0.34), tilt=14, rounding=0.02, mode=SUBTRACT)
    for x, half in ((-0.25, 0.10), (0.0, 0.11)):
        s.box((x, 0, 0.16), (half, 0.6, 0.095), GLASS, rounding=0.04, mode=DECAL)
    s.box((0.16, 0, 0.165), (0.12, 0.22, 0.11), GLASS, rounding=0.04, mode=DECAL)
    s.box((-0.42, 0, 0.19), (0.14, 0.13, 0.06), GLASS, rounding=0.03, mode=DECAL)
    s.box((0, 0, -0.13), (0.50, 0.29, 0.12), rounding=0.07)
    s.round_cone((0.10, 0, -0.03), (0.36, 0, -0.06), 0.19, 0.15, blend=0.05)
    s.round_cone((-0.24, 0, -0.05), (-0.38, 0, -0.09), 0.18, 0.14, blend=0.05)
    for side in SIDES:
        for x in (-0.30, 0.29):
            s.ellipsoid((x, side * 0.285, -0.11), (0.22, 0.085, 0.16), SHADE)
            s.cylinder((x, side * 0.20, -0.24), (x, side * 0.365, -0.24), 0.145, TYRE, rounding=0.03)
            s.cylinder((x, side * 0.33, -0.24), (x, side * 0.38, -0.24), 0.08, CHROME, rounding=0.02)
        s.ellipsoid((0.45, side * 0.215, 0.0), (0.10, 0.11, 0.11), CHROME)
        s.ellipsoid((0.505, side * 0.215, 0.0), (0.055, 0.092, 0.092), CREAM)
        s.box((-0.495, side * 0.21, -0.10), (0.03, 0.05, 0.075), RED, rounding=0.02)
    s.box((0.495, 0, -0.10), (0.03, 0.105, 0.10), CHROME, rounding=0.03)
    for y in (-0.05, 0.0, 0.05):
        s.box((0.52, y, -0.10), (0.03, 0.013, 0.08), BLACK, mode=DECAL)
    s.capsule((0.51, -0.27, -0.235), (0.51, 0.27, -0.235), 0.04, CHROME)
    s.capsule((-0.51, -0.27, -0.235), (-0.51, 0.27, -0.235), 0.04, CHROME)
    s.cylinder((-0.48, 0, -0.03), (-0.57, 0, -0.03), 0.16, TYRE, rounding=0.03)
    s.cylinder((-0.55, 0, -0.03), (-0.59, 0, -0.03), 0.09, CHROME, rounding=0.015)


def rocket(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, 0.02), (v(0.24), 0.24, 0.62))
    s.box((0, 0, 0.62), (0.4, 0.4, 0.255), RED, mode=DECAL)
    s.box((0, 0, -0.26), (0.4, 0.4, 0.035), RED, mode=DECAL)
    s.cylinder((0, 0, -1.0), (0, 0, -0.47), 0.5, DARK, mode=SUBTRACT)
    s.cone((0, 0, -0.58), (0, 0, -0.44), 0.165, 0.125, DARK)
    s.round_cone((0, 0, -0.56), (0, 0, -0.70), 0.12, 0.03, ORANGE)
    for k in range(3):
        angle = np.pi + k * 2 * np.pi / 3
        x, y, turn = np.cos(angle), np.sin(angle), np.degrees(angle)
        s.box((0.29 * x, 0.29 * y, -0.40), (0.13, 0.028, 0.12), RED, turn=turn, tilt=40, rounding=0.025)
        s.box((0.36 * x, 0.36 * y, -0.53), (0.04, 0.028, 0.11), RED, turn=turn, rounding=0.025)
    s.torus((0.222, 0, 0.14), 0.088, 0.028, axis=(1, 0, 0.06), part=CHROME)
    s.ellipsoid((0.215, 0, 0.14), (0.035, 0.085, 0.085), GLASS)
    s.torus((0.23, 0, -0.10), 0.05, 0.02, axis=(1, 0, -0.06), part=CHROME)
    s.ellipsoid((0.222, 0, -0.10), (0.03, 0.05, 0.05), GLASS)


def boat(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, 0.02), (v(0.62), 0.28, 0.36))
    s.box((0, 0, -0.36), (0.9, 0.5, 0.12), SHADE, rounding=0.0, mode=DECAL)
    s.box((0, 0, 0.46), (0.9, 0.5, 0.46), mode=SUBTRACT, tilt=-3)
    s.ellipsoid((0, 0, 0.02), (0.56, 0.235, 0.05), WOOD)
    s.box((-0.10, 0, 0.11), (0.24, 0.155, 0.12), WHITE, rounding=0.03)
    s.box((-0.10, 0, 0.235), (0.27, 0.18, 0.02), MAIN)
    s.box((-0.02, 0, 0.31), (0.12, 0.12, 0.08), WHITE, rounding=0.02)
    s.box((-0.02, 0, 0.40), (0.145, 0.145, 0.018), MAIN)
    s.box((0.10, 0, 0.325), (0.05, 0.095, 0.04), GLASS, mode=DECAL)
    s.box((-0.02, 0, 0.325), (0.075, 0.3, 0.04), GLASS, mode=DECAL)
    for x in (-0.25, -0.10, 0.05):
        s.ellipsoid((x, 0, 0.13), (0.042, 0.3, 0.042), GLASS, mode=DECAL)
    s.cylinder((-0.24, 0, 0.20), (-0.26, 0, 0.55), v(0.075), RED)
    s.box((-0.26, 0, 0.53), (0.12, 0.12, 0.05), BLACK, mode=DECAL)
    s.capsule((0.32, 0, 0.0), (0.32, 0, 0.42), 0.018, WOOD)
    s.box((0.24, 0, 0.37), (0.07, 0.012, 0.045), YELLOW)
    for side in SIDES:
        s.torus((0.30, side * 0.235, -0.02), 0.055, 0.022, axis=(0, 1, 0), part=ORANGE)


def airplane(s: Solid, v: Vary) -> None:
    s.round_cone((0.34, 0, 0), (-0.56, 0, 0.08), v(0.18), 0.055)
    s.ellipsoid((0.12, 0, 0.13), (0.17, 0.11, 0.12), GLASS)
    s.box((0.44, 0, -0.01), (0.07, 0.3, 0.3), SHADE, mode=DECAL)
    s.ellipsoid((0.12, 0, -0.06), (0.155, v(0.62), 0.035))
    for side in SIDES:
        s.box((0.12, side * 0.54, -0.06), (0.3, 0.06, 0.1), SHADE, mode=DECAL)
        s.ellipsoid((0.22, side * 0.13, -0.27), (0.085, 0.04, 0.085), TYRE)
        s.capsule((0.18, side * 0.09, -0.10), (0.22, side * 0.13, -0.26), 0.022, CHROME)
    s.ellipsoid((-0.53, 0, 0.09), (0.095, 0.25, 0.025))
    s.box((-0.55, 0, 0.22), (0.075, 0.022, 0.15), SHADE, rounding=0.02, tilt=-22)
    s.round_cone((0.50, 0, 0.0), (0.59, 0, 0.0), 0.065, 0.03, RED)
    for k in range(3):
        a = np.pi / 2 + k * 2 * np.pi / 3
        y, z = np.cos(a), np.sin(a)
        s.ellipsoid((0.56, 0.14 * y, 0.14 * z), (0.018, 0.14, 0.04), DARK, roll=float(np.degrees(a)))
