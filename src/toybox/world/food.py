"""What grows and what is eaten in the toy world."""

import numpy as np

from src.toybox.world.paint import (
    BARK,
    CARAMEL,
    CLAY,
    COCOA,
    CREAM,
    GREEN,
    LEAF,
    MAIN,
    MEAT,
    PINK,
    RED,
    SHADE,
    WAFFLE,
    WHITE,
    YELLOW,
)
from src.toybox.world.solid import DECAL, GOLDEN_ANGLE, SUBTRACT, Solid, Vary


def _around(count: int, radius: float, start: float = 0.0) -> list[tuple[float, float, float]]:
    """x, y and degrees of `count` places on a circle around z."""
    turns = start + np.arange(count) * (2 * np.pi / count)
    return [(radius * np.cos(a), radius * np.sin(a), float(np.degrees(a))) for a in turns]


def tree(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.62), (0, 0, 0.20), v(0.12), 0.08, BARK)
    for x, y, turn in _around(4, 0.10, 0.4):
        s.ellipsoid((x, y, -0.59), (0.12, 0.05, 0.05), BARK, turn=turn)
    s.ellipsoid((0, 0, 0.36), v(0.30))
    for ring, (count, radius, z, size) in enumerate(
        ((6, 0.30, 0.08, 0.20), (5, 0.24, 0.34, 0.20), (3, 0.12, 0.54, 0.17))
    ):
        for x, y, _ in _around(count, radius, 0.7 * ring):
            s.ellipsoid((x, y, z), v(size))


def mushroom(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.44), (0, 0, 0.06), v(0.17), 0.125, CREAM, rounding=0.04)
    s.ellipsoid((0, 0, 0.02), (0.48, 0.48, v(0.36)))
    s.ellipsoid((0, 0, -0.28), (0.62, 0.62, 0.30), CREAM, mode=SUBTRACT, blend=0.03)
    s.cone((0, 0, -0.44), (0, 0, 0.10), v(0.17), 0.125, CREAM, rounding=0.04)
    for count, polar, size, start in ((1, 0.0, 0.11, 0.0), (5, 0.85, 0.09, 0.2), (7, 1.35, 0.065, 0.6)):
        for x, y, _ in _around(count, np.sin(polar), start):
            s.ellipsoid(
                (0.48 * x, 0.48 * y, 0.02 + 0.36 * np.cos(polar)), (size, size, size * 0.9), WHITE, mode=DECAL
            )


def cactus(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.62), (0, 0, -0.32), 0.19, 0.26, CLAY, rounding=0.02)
    s.cylinder((0, 0, -0.36), (0, 0, -0.27), 0.30, CLAY, rounding=0.02)
    s.cylinder((0, 0, -0.30), (0, 0, -0.262), 0.25, COCOA)
    top = v(0.50)
    s.capsule((0, 0, -0.30), (0, 0, top - 0.16), 0.14)
    for x, y, _ in _around(9, 0.125):
        s.capsule((x, y, -0.24), (x, y, top - 0.15), 0.034, blend=0.012)
    for side, low, high in ((-1, v(-0.02), 0.24), (1, v(0.10), 0.36)):
        s.tube(
            [(0, 0, low), (0, side * 0.24, low - 0.02), (0, side * 0.33, low + 0.08), (0, side * 0.34, high)],
            (0.08, 0.085, 0.085, 0.085),
            pieces=7,
            blend=0.02,
        )
    for x, y, turn in _around(6, 0.055):
        s.ellipsoid((x, y, top + 0.02), (0.065, 0.036, 0.03), PINK, turn=turn, tilt=-35)
    s.ellipsoid((0, 0, top + 0.02), 0.034, YELLOW)


def icecream(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.70), (0, 0, 0.0), 0.03, 0.27, WAFFLE)
    for k in range(-4, 5):
        for lean in (-1, 1):
            for turn in (0, 90):
                s.box(
                    (0, 0, -0.35 + 0.15 * k),
                    (0.5, 0.5, 0.011),
                    CARAMEL,
                    rounding=0.001,
                    roll=lean * 40,
                    turn=turn,
                    mode=DECAL,
                )
    s.ellipsoid((0, 0, 0.16), (0.31, 0.31, v(0.30)))
    for k, (x, y, _) in enumerate(_around(9, 0.25)):
        s.ellipsoid((x, y, 0.02 + 0.02 * np.sin(5.0 * k)), (0.085, 0.095, 0.075), blend=0.03)
    s.ellipsoid((0, 0, v(0.48)), 0.075, RED)
    s.tube([(0, 0, 0.53), (0.03, 0, 0.60), (0.09, 0, 0.65)], (0.013, 0.012, 0.012), GREEN, pieces=3)
    s.ellipsoid((0, 0, 0.42), (0.17, 0.17, 0.05), COCOA)


def strawberry(s: Solid, v: Vary) -> None:
    low, wide = 0.11, v(0.33)
    s.round_cone((0, 0, -0.36), (0, 0, 0.08), low, wide)
    slope = (wide - low) / 0.44
    for i in range(64):
        z = -0.40 + 0.60 * np.sqrt((i + 0.5) / 64)
        radius = (
            np.sqrt(max(wide**2 - (z - 0.08) ** 2, 0))
            if z > 0.08 - slope * wide
            else (low * np.sqrt(1 - slope**2) + (z + 0.36 + slope * low) * slope / np.sqrt(1 - slope**2))
        )
        x, y = radius * np.cos(i * GOLDEN_ANGLE), radius * np.sin(i * GOLDEN_ANGLE)
        s.ellipsoid((x, y, z), (0.022, 0.022, 0.032), YELLOW, mode=DECAL)
    for x, y, turn in _around(7, 0.17):
        s.ellipsoid((x, y, 0.385), (0.19, 0.085, 0.028), LEAF, turn=turn, tilt=24)
    s.tube([(0, 0, 0.38), (0.01, 0, 0.50), (0.06, 0, 0.58)], (0.035, 0.03, 0.035), LEAF, pieces=3)


def hamburger(s: Solid, v: Vary) -> None:
    s.cylinder((0, 0, -0.40), (0, 0, v(-0.24)), 0.47, rounding=0.07)
    s.cylinder((0, 0, -0.25), (0, 0, -0.10), 0.50, MEAT, rounding=0.06)
    s.box((0, 0, -0.085), (0.40, 0.40, 0.018), YELLOW, turn=22)
    for k in range(4):
        angle = np.radians(22 + 45 + 90 * k)
        s.ellipsoid(
            (0.49 * np.cos(angle), 0.49 * np.sin(angle), -0.125),
            (0.075, 0.13, 0.06),
            YELLOW,
            turn=22 + 45 + 90 * k,
        )
    s.cylinder((0, 0, -0.07), (0, 0, 0.0), 0.46, RED, rounding=0.03)
    for k, (x, y, turn) in enumerate(_around(14, 0.44)):
        s.ellipsoid(
            (x, y, 0.015 + 0.022 * (-1) ** k), (0.10, 0.125, 0.026), LEAF, turn=turn, roll=(-1) ** k * 10
        )
    s.cylinder((0, 0, 0.0), (0, 0, 0.05), 0.44, LEAF)
    s.ellipsoid((0, 0, 0.06), (0.51, 0.51, v(0.36)))
    for i in range(26):
        polar = 0.12 + 0.95 * np.sqrt(i / 26)
        x, y = np.sin(polar) * np.cos(i * GOLDEN_ANGLE), np.sin(polar) * np.sin(i * GOLDEN_ANGLE)
        s.ellipsoid(
            (0.51 * x, 0.51 * y, 0.06 + 0.36 * np.cos(polar)), (0.034, 0.02, 0.03), CREAM, turn=37.0 * i
        )


def pumpkin(s: Solid, v: Vary) -> None:
    high = v(0.36)
    for x, y, turn in _around(10, 0.24):
        s.ellipsoid((x, y, 0), (0.25, 0.165, high), turn=turn)
    s.ellipsoid((0, 0, 0), (0.30, 0.30, high * 0.86), SHADE)
    s.tube([(0, 0, 0.26), (0.02, 0, 0.40), (0.09, 0, 0.50)], (0.085, 0.05, 0.055), GREEN, pieces=4)
    s.ellipsoid((0.13, 0.12, 0.37), (0.15, 0.09, 0.025), LEAF, turn=45, tilt=12)


def apple(s: Solid, v: Vary) -> None:
    s.torus((0, 0, 0.08), 0.19, v(0.26))
    for x, y, _ in _around(5, 0.13, 0.3):  # the five bumps it stands on
        s.round_cone((x, y, -0.24), (1.2 * x, 1.2 * y, 0.04), 0.13, 0.25, blend=0.10)
    s.ellipsoid((0, 0, 0.36), (0.15, 0.15, 0.20), mode=SUBTRACT, blend=0.10)
    s.tube([(0, 0, 0.10), (0.01, 0, 0.34), (0.06, 0, 0.50)], (0.026, 0.024, 0.034), BARK, pieces=4)
    s.ellipsoid((0.02, 0.13, 0.42), (0.08, 0.15, 0.024), LEAF, roll=22)


def pineapple(s: Solid, v: Vary) -> None:
    wide, tall = v(0.27), v(0.36)
    s.ellipsoid((0, 0, -0.22), (wide, wide, tall), SHADE)
    for i in range(60):
        z = 1 - 2 * (i + 0.5) / 60
        r = np.sqrt(1 - z * z)
        x, y = r * np.cos(i * GOLDEN_ANGLE), r * np.sin(i * GOLDEN_ANGLE)
        s.ellipsoid((wide * x, wide * y, -0.22 + tall * z), (0.062, 0.062, 0.062))
    for ring, (count, lean, long) in enumerate(((7, 1.0, 0.24), (6, 0.6, 0.34), (4, 0.2, 0.42))):
        for x, y, _ in _around(count, 1.0, 0.5 * ring):
            s.tube(
                [
                    (0.05 * x, 0.05 * y, 0.08),
                    (0.16 * lean * x, 0.16 * lean * y, 0.08 + 0.6 * long),
                    (0.32 * lean * x, 0.32 * lean * y, 0.08 + long),
                ],
                (0.06, 0.05, 0.008),
                LEAF if ring % 2 else GREEN,
                pieces=3,
            )


def cupcake(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.52), (0, 0, -0.08), 0.25, 0.36, CREAM, rounding=0.02)
    for x, y, _ in _around(18, 1.0):
        s.capsule((0.25 * x, 0.25 * y, -0.50), (0.355 * x, 0.355 * y, -0.10), 0.030, COCOA)
    s.torus((0, 0, -0.03), 0.26, v(0.14))
    s.torus((0, 0, 0.13), 0.18, v(0.125))
    s.torus((0, 0, 0.27), 0.10, 0.105)
    s.round_cone((0, 0, 0.0), (0, 0, 0.36), 0.2, 0.06)
    s.ellipsoid((0, 0, 0.44), 0.085, RED)
    s.tube([(0, 0, 0.51), (0.02, 0, 0.57), (0.07, 0, 0.62)], (0.012, 0.012, 0.012), GREEN, pieces=3)
    for i in range(16):
        x, y = np.cos(2.4 * i), np.sin(2.4 * i)
        r, z = (0.34, 0.05) if i % 2 else (0.26, 0.19)
        s.ellipsoid(
            (r * x, r * y, z + 0.02 * (i % 3)),
            (0.03, 0.014, 0.014),
            (WHITE, YELLOW, GREEN, RED)[i % 4],
            turn=50.0 * i,
        )


def cookies(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.30), (0, 0, -0.20), 0.34, 0.60, WHITE, rounding=0.02)
    s.cylinder((0, 0, -0.225), (0, 0, -0.15), 0.50, WHITE, mode=SUBTRACT, blend=0.02)
    places = [(*p[:2], -0.17, 12.0, p[2]) for p in _around(6, 0.30)]
    places += [(*p[:2], -0.05, 16.0, p[2]) for p in _around(4, 0.22, 0.4)]
    places += [
        (0.0, 0.0, -0.12, 0.0, 0.0),
        (0.10, 0.05, 0.05, 10.0, 30.0),
        (-0.10, -0.06, 0.06, 8.0, 200.0),
        (0.02, 0.0, 0.15, 18.0, 70.0),
    ]
    for k, (x, y, z, tilt, turn) in enumerate(places):
        s.ellipsoid((x, y, z), (v(0.20), 0.20, 0.062), MAIN, tilt=tilt, turn=turn)
        for i in range(6):
            a, r = 2.4 * i + k, 0.055 * np.sqrt(i + 0.4) * 1.15
            lift = 0.052 * np.sqrt(max(1 - (r / 0.2) ** 2, 0))
            c, h = np.cos(np.radians(turn)), np.sin(np.radians(turn))
            lx, ly = r * np.cos(a), r * np.sin(a)
            lz = z + lift - lx * np.tan(np.radians(tilt))
            s.ellipsoid((x + c * lx - h * ly, y + h * lx + c * ly, lz), (0.034, 0.034, 0.03), COCOA)
