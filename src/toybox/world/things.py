"""Toys, furniture and vessels; what has a front turns it along +x."""

import numpy as np

from src.toybox.world.paint import (
    BARK,
    BLACK,
    BLUE,
    CHROME,
    COCOA,
    CREAM,
    DARK,
    GREEN,
    MAIN,
    ORANGE,
    RED,
    SHADE,
    WHITE,
    YELLOW,
)
from src.toybox.world.solid import DECAL, SIDES, SUBTRACT, Solid, Vary


def robot(s: Solid, v: Vary) -> None:
    s.mark_face((0.25, 0, 0.20), 0.33)
    s.box((0, 0, -0.26), (0.17, v(0.22), 0.17), rounding=0.05)
    s.box((0, 0, 0.20), (0.24, v(0.33), 0.235), rounding=0.07)
    s.cylinder((0, 0, -0.12), (0, 0, 0.0), 0.10, CHROME)
    s.box((0.235, 0, 0.21), (0.03, 0.26, 0.165), BLACK, rounding=0.04)
    for side in SIDES:
        s.ellipsoid((0.26, side * 0.125, 0.25), (0.03, 0.088, 0.088), YELLOW)
        s.cylinder((0, side * 0.30, 0.20), (0, side * 0.385, 0.20), 0.10, RED)
        s.ellipsoid((0, side * 0.25, -0.16), 0.085, CHROME)
        s.tube(
            [(0, side * 0.27, -0.17), (0.04, side * 0.35, -0.27), (0.12, side * 0.35, -0.34)],
            (0.06, 0.055, 0.055),
            MAIN,
            pieces=5,
        )
        s.ellipsoid((0.16, side * 0.35, -0.36), 0.09, CHROME)
        s.cylinder((0, side * 0.11, -0.40), (0, side * 0.11, -0.52), 0.075, CHROME)
        s.box((0.05, side * 0.125, -0.54), (0.15, 0.105, 0.065), SHADE, rounding=0.04)
    s.box((0.255, 0, 0.105), (0.025, 0.12, 0.025), WHITE, rounding=0.015)
    s.box((0.165, 0, -0.25), (0.025, 0.14, 0.10), WHITE, rounding=0.02)
    for side, part in ((-1, BLUE), (1, RED)):
        s.ellipsoid((0.19, side * 0.065, -0.25), (0.03, 0.048, 0.048), part)
    s.box((-0.185, 0, -0.25), (0.06, 0.14, 0.12), SHADE, rounding=0.03)
    s.capsule((0, 0, 0.42), (0, 0, 0.54), 0.022, CHROME)
    s.ellipsoid((0, 0, 0.58), 0.07, RED)


def snowman(s: Solid, v: Vary) -> None:
    s.mark_face((0.25, 0, 0.13), 0.27)
    s.ellipsoid((0, 0, -0.32), (v(0.34), 0.34, 0.28))
    s.ellipsoid((0, 0, 0.12), (v(0.285), 0.30, 0.275))
    s.cylinder((0, 0, 0.33), (0, 0, 0.37), 0.30, BLACK)
    s.cylinder((0, 0, 0.33), (0, 0, v(0.60)), 0.20, BLACK)
    s.cylinder((0, 0, 0.37), (0, 0, 0.44), 0.206, RED)
    s.cone((0.24, 0, 0.11), (0.52, 0, 0.08), 0.075, 0.018, ORANGE)
    wave = v(1.0) - 1
    for side in SIDES:
        s.ellipsoid((0.25, side * 0.115, 0.20), (0.04, 0.055, 0.062), BLACK)
        s.tube(
            [(0, side * 0.24, -0.14), (0.02, side * 0.38, -0.06), (0.02, side * 0.48, 0.05 + wave)],
            (0.034, 0.032, 0.026),
            BARK,
            pieces=4,
        )
        s.capsule((0.02, side * 0.41, -0.03), (0.03, side * 0.51, -0.05), 0.022, BARK)
    for k in range(5):
        a = (k - 2) * 0.40
        s.ellipsoid((0.262, 0.17 * np.sin(a), 0.065 - 0.075 * np.cos(a) + 0.03), 0.024, BLACK)
    for z in (-0.26, -0.40):
        s.ellipsoid((0.335, 0, z), (0.03, 0.045, 0.045), BLACK)
    s.torus((0, 0, -0.095), 0.20, 0.06, part=GREEN)
    s.box((0.245, 0.12, -0.20), (0.04, 0.06, 0.11), GREEN, rounding=0.025, tilt=-14)


def chair(s: Solid, v: Vary) -> None:
    wide = v(0.28)
    s.box((0, 0, -0.02), (0.29, wide, 0.04), rounding=0.02)
    for side in SIDES:
        s.capsule((-0.24, side * (wide - 0.04), -0.02), (-0.31, side * (wide - 0.04), 0.58), 0.042)
        for x in (-0.23, 0.24):
            s.round_cone(
                (x, side * (wide - 0.045), -0.02), (1.08 * x, side * (wide - 0.03), -0.54), 0.048, 0.035
            )
        s.capsule((-0.23, side * (wide - 0.04), -0.32), (0.24, side * (wide - 0.04), -0.32), 0.025)
    s.capsule((0.24, -wide + 0.04, -0.26), (0.24, wide - 0.04, -0.26), 0.025)
    for z in (0.22, 0.38, 0.53):
        s.box((-0.245 - 0.12 * z, 0, z), (0.025, wide - 0.04, 0.052), rounding=0.02, tilt=-7)
    s.box((0.02, 0, 0.035), (0.23, wide - 0.05, 0.035), RED, rounding=0.03)


def table(s: Solid, v: Vary) -> None:
    wide, long, tall = v(0.36), 0.62, v(0.50)
    s.box((0, 0, 0.22), (wide, long, 0.035), rounding=0.02)
    s.box((0, 0, 0.155), (wide - 0.05, long - 0.05, 0.045), SHADE)
    for x in SIDES:
        for side in SIDES:
            px, py = x * (wide - 0.07), side * (long - 0.07)
            s.cone((px, py, 0.20 - tall), (px, py, 0.20), 0.03, 0.055)
            s.ellipsoid((px, py, 0.06), (0.07, 0.07, 0.03))
            s.ellipsoid((px, py, 0.20 - tall), (0.05, 0.05, 0.03))


def mug(s: Solid, v: Vary) -> None:
    wide, tall = v(0.31), v(0.35)
    s.tube(
        [(0, wide - 0.02, 0.20), (0, wide + 0.20, 0.18), (0, wide + 0.22, -0.08), (0, wide - 0.02, -0.20)],
        (0.06, 0.055, 0.055, 0.06),
        pieces=10,
    )
    s.cylinder((0, 0, -tall), (0, 0, tall), wide, rounding=0.04)
    s.cylinder((0, 0, -tall + 0.08), (0, 0, tall + 0.2), wide - 0.055, CREAM, rounding=0.0, mode=SUBTRACT)
    s.cylinder((0, 0, -tall + 0.05), (0, 0, tall - 0.10), wide - 0.05, COCOA, rounding=0.0)


def bowl(s: Solid, v: Vary) -> None:
    deep = v(0.42)
    s.ellipsoid((0, 0, 0.18), (0.54, 0.54, deep))
    s.cylinder((0, 0, 0.08 - deep), (0, 0, 0.24 - deep), 0.25, rounding=0.03)
    s.ellipsoid((0, 0, 0.20), (0.47, 0.47, deep - 0.07), CREAM, mode=SUBTRACT)
    s.cylinder((0, 0, 0.16), (0, 0, 0.90), 0.75, rounding=0.0, mode=SUBTRACT)
    s.torus((0, 0, 0.16), 0.505, 0.035)


def vase(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, -0.10), (v(0.33), 0.33, 0.34))
    s.cone((0, 0, 0.08), (0, 0, 0.46), 0.22, v(0.115), blend=0.10)
    s.cone((0, 0, 0.40), (0, 0, 0.56), 0.11, v(0.21), blend=0.04)
    s.cone((0, 0, -0.52), (0, 0, -0.36), 0.22, v(0.17), blend=0.03)
    for z, half in ((-0.10, 0.055), (0.02, 0.014), (-0.22, 0.014), (0.54, 0.03)):
        s.box((0, 0, z), (0.6, 0.6, half), SHADE, rounding=0.0, mode=DECAL)
    s.cylinder((0, 0, 0.05), (0, 0, 0.70), 0.09, DARK, mode=SUBTRACT)


def teapot(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, -0.08), (0.38, 0.38, v(0.32)))
    s.cylinder((0, 0, -0.40), (0, 0, -0.32), 0.23, rounding=0.03)
    s.torus((0, 0, 0.19), 0.20, 0.026, part=SHADE)
    s.ellipsoid((0, 0, 0.19), (0.20, 0.20, 0.10))
    s.ellipsoid((0, 0, 0.32), 0.065, SHADE)
    s.tube(
        [(0, 0.28, -0.18), (0, 0.48, -0.06), (0, 0.52, 0.10), (0, 0.64, 0.20)],
        (0.12, 0.075, 0.055, 0.055),
        pieces=8,
        blend=0.02,
    )
    s.ellipsoid((0, 0.675, 0.232), (0.034, 0.04, 0.034), DARK, mode=DECAL)
    s.tube(
        [(0, -0.32, 0.10), (0, -0.56, 0.14), (0, -0.58, -0.12), (0, -0.33, -0.22)],
        (0.05, 0.05, 0.05, 0.045),
        pieces=10,
    )
    s.box((0, 0, -0.10), (0.6, 0.45, 0.04), SHADE, mode=DECAL)


def crown(s: Solid, v: Vary) -> None:
    tall = v(0.36)
    s.cone((0, 0, -0.30), (0, 0, -0.02), 0.40, 0.44)
    for k in range(8):
        a = k * np.pi / 4
        x, y = np.cos(a), np.sin(a)
        s.cone((0.415 * x, 0.415 * y, -0.10), (0.475 * x, 0.475 * y, tall - 0.06), 0.155, 0.02)
        s.ellipsoid((0.478 * x, 0.478 * y, tall - 0.03), 0.06)
    s.cylinder((0, 0, -0.27), (0, 0, 0.8), 0.345, RED, mode=SUBTRACT)
    s.ellipsoid((0, 0, -0.14), (0.37, 0.37, 0.16), RED)
    for z in (-0.27, -0.07):
        s.torus((0, 0, z), 0.405 + 0.03 * (z > -0.2), 0.04)
    for k in range(8):
        a = k * np.pi / 4
        s.ellipsoid((0.42 * np.cos(a), 0.42 * np.sin(a), -0.17), (0.05, 0.05, 0.06), (RED, BLUE)[k % 2])
