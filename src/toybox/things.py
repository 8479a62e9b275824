"""What people build in the toy world; what has a front turns it along +x."""

import numpy as np

from src.toybox.paint import (
    BARK,
    BLACK,
    BLUE,
    CHROME,
    COCOA,
    CREAM,
    DARK,
    GLASS,
    GREEN,
    MAIN,
    ORANGE,
    RED,
    SHADE,
    THATCH,
    TYRE,
    WHITE,
    WOOD,
    YELLOW,
)
from src.toybox.solid import DECAL, SUBTRACT, Solid, Vary

SIDES = (-1, 1)


def car(s: Solid, v: Vary) -> None:
    roof = v(0.20)
    s.box((-0.16, 0, 0.06), (v(0.34), 0.235, roof), rounding=0.09)
    s.box((0.235, 0, 0.26), (0.10, 0.4, 0.30), tilt=-34, rounding=0.02, mode=SUBTRACT)
    s.box((-0.545, 0, 0.26), (0.10, 0.4, 0.30), tilt=14, rounding=0.02, mode=SUBTRACT)
    for x, half in ((-0.31, 0.105), (-0.05, 0.115)):
        s.box((x, 0, 0.10), (half, 0.5, 0.085), GLASS, rounding=0.04, mode=DECAL)
    s.box((0.14, 0, 0.11), (0.12, 0.185, 0.095), GLASS, rounding=0.04, mode=DECAL)
    s.box((-0.48, 0, 0.13), (0.12, 0.13, 0.06), GLASS, rounding=0.03, mode=DECAL)
    s.box((0, 0, -0.13), (0.60, 0.25, 0.10), rounding=0.06)
    s.round_cone((0.10, 0, -0.04), (0.47, 0, -0.07), 0.16, 0.125, blend=0.05)
    s.round_cone((-0.30, 0, -0.06), (-0.48, 0, -0.10), 0.16, 0.12, blend=0.05)
    for side in SIDES:
        for x in (-0.36, 0.34):
            s.ellipsoid((x, side * 0.245, -0.12), (0.23, 0.085, 0.16), SHADE)
            s.cylinder((x, side * 0.17, -0.22), (x, side * 0.335, -0.22), 0.135, TYRE, rounding=0.03)
            s.cylinder((x, side * 0.30, -0.22), (x, side * 0.35, -0.22), 0.075, CHROME, rounding=0.02)
        s.box((0, side * 0.27, -0.215), (0.30, 0.06, 0.018), SHADE)
        s.ellipsoid((0.53, side * 0.205, 0.0), (0.075, 0.075, 0.075), CHROME)
        s.ellipsoid((0.575, side * 0.205, 0.0), (0.05, 0.062, 0.062), CREAM)
        s.ellipsoid((-0.575, side * 0.185, -0.08), (0.05, 0.05, 0.065), RED)
    s.box((0.585, 0, -0.085), (0.03, 0.10, 0.115), CHROME, rounding=0.03)
    for y in (-0.06, -0.02, 0.02, 0.06):
        s.box((0.61, y, -0.085), (0.03, 0.009, 0.095), BLACK, mode=DECAL)
    s.capsule((0.60, -0.25, -0.205), (0.60, 0.25, -0.205), 0.03, CHROME)
    s.capsule((-0.60, -0.25, -0.205), (-0.60, 0.25, -0.205), 0.03, CHROME)
    s.cylinder((-0.58, 0, -0.07), (-0.66, 0, -0.07), 0.125, TYRE, rounding=0.03)
    s.cylinder((-0.64, 0, -0.07), (-0.675, 0, -0.07), 0.065, CHROME, rounding=0.015)


def _windows(s: Solid, y: float, z: float, half: float, face: float, along_x: bool) -> None:
    """A framed window on a wall at +-`face`."""
    thin = (0.03, half, half) if along_x else (half, 0.03, half)
    place = (face, y, z) if along_x else (y, face, z)
    frame = (0.024, half * 1.25, half * 1.25) if along_x else (half * 1.25, 0.024, half * 1.25)
    s.box(place, frame, WHITE)
    s.box(place, thin, GLASS)
    outward = np.sign(face)
    bar = (
        (place[0] + 0.01 * outward, place[1], place[2])
        if along_x
        else (place[0], place[1] + 0.01 * outward, place[2])
    )
    for size in ((half * 0.13, half), (half, half * 0.13)):
        s.box(bar, (0.025, *size) if along_x else (size[0], 0.025, size[1]), WHITE, rounding=0.002)


def house(s: Solid, v: Vary) -> None:
    wide, tall = v(0.38), v(0.245)
    top = -0.42 + 2 * tall
    s.box((0, 0, -0.42 + tall), (wide, 0.38, tall), CREAM)
    s.box((0, 0, -0.43), (wide + 0.03, 0.41, 0.035), DARK)
    s.pyramid((0, 0, top - 0.01), 0.475, v(0.46))
    s.box((0, 0, top - 0.01), (0.48, 0.48, 0.022), SHADE)
    s.box((-0.05, 0.24, top + 0.22), (0.065, 0.065, 0.17), MAIN)
    s.box((-0.05, 0.24, top + 0.39), (0.08, 0.08, 0.025), SHADE)
    s.box((wide, 0, -0.27), (0.028, 0.115, 0.17), WHITE)
    s.box((wide + 0.005, 0, -0.275), (0.03, 0.09, 0.15), WOOD)
    s.ellipsoid((wide + 0.04, -0.055, -0.28), 0.018, YELLOW)
    s.box((wide + 0.07, 0, -0.425), (0.07, 0.13, 0.03), DARK)
    for side in SIDES:
        _windows(s, side * 0.25, -0.19, 0.068, wide, True)
        for x in (-0.17, 0.17):
            _windows(s, x, -0.19, 0.075, side * 0.38, False)
    _windows(s, 0.0, -0.19, 0.12, -wide, True)


def cottage(s: Solid, v: Vary) -> None:
    wide, tall, long = v(0.34), v(0.21), 0.40
    z0, top = -0.46, -0.46 + 2 * tall
    slope = 47
    s.box((0, 0, z0 + tall), (long, wide, tall), rounding=0.04)
    s.box((0, 0, z0), (long + 0.03, wide + 0.03, 0.04), DARK, rounding=0.03)
    for x in (-1, 1):  # a gable at each end, under a steep and heavy roof
        s.box((x * (long - 0.05), 0, top), (0.05, wide * 0.707, wide * 0.707), rounding=0.0, roll=45)
    ridge = top + wide + 0.05
    for side in SIDES:
        # from the ridge down to the eaves
        reach = 0.30
        y, z = side * reach * np.cos(np.radians(slope)), ridge - reach * np.sin(np.radians(slope))
        s.box((0, y, z), (long + 0.09, 0.31, 0.065), THATCH, rounding=0.06, roll=-side * slope)
        for x in np.linspace(-long, long, 6):
            s.ellipsoid((x, side * 0.415, ridge - 0.43), (0.085, 0.07, 0.075), THATCH)
    s.capsule((-long - 0.04, 0, ridge + 0.03), (long + 0.04, 0, ridge + 0.03), 0.08, THATCH)
    s.box((-0.14, 0.20, ridge - 0.02), (0.07, 0.07, 0.20), DARK, rounding=0.02)
    s.box((-0.14, 0.20, ridge + 0.18), (0.088, 0.088, 0.028), DARK, rounding=0.02)
    front = long + 0.005
    s.box((front, 0, z0 + 0.13), (0.035, 0.10, 0.13), BARK)
    s.cylinder((front - 0.035, 0, z0 + 0.25), (front + 0.035, 0, z0 + 0.25), 0.10, BARK)
    s.box((front + 0.015, 0, z0 + 0.13), (0.035, 0.075, 0.125), GREEN)
    s.cylinder((front - 0.02, 0, z0 + 0.25), (front + 0.05, 0, z0 + 0.25), 0.075, GREEN)
    s.ellipsoid((front + 0.055, -0.045, z0 + 0.16), 0.018, YELLOW)
    _windows(s, 0.0, top + 0.05, 0.062, front - 0.01, True)
    for side in SIDES:
        _windows(s, side * 0.215, z0 + 0.24, 0.058, front - 0.01, True)
        for x in (-0.2, 0.2):
            _windows(s, x, z0 + 0.22, 0.06, side * wide, False)
        s.box((front + 0.035, side * 0.215, z0 + 0.12), (0.04, 0.085, 0.025), WOOD)
        for k in range(3):
            s.ellipsoid(
                (front + 0.04, side * 0.215 + 0.06 * (k - 1), z0 + 0.155), 0.038, (RED, YELLOW)[k % 2]
            )
        s.ellipsoid((0.0, side * (wide + 0.06), z0 + 0.02), (0.15, 0.09, 0.08), GREEN)
    s.cylinder((0.1 - front, 0, top), (-front - 0.02, 0, top), 0.10, WHITE)
    s.cylinder((0.1 - front, 0, top), (-front - 0.03, 0, top), 0.078, GLASS)
    for side in SIDES:
        s.ellipsoid((-front - 0.04, side * 0.18, z0 + 0.03), (0.09, 0.15, 0.10), GREEN)


def castle(s: Solid, v: Vary) -> None:
    half, tower, tall = 0.34, v(0.135), v(0.30)
    s.box((0, 0, -0.28), (half, half, 0.18))
    for k in range(-2, 3):
        for side in SIDES:
            s.box((side * half, 0.12 * k, -0.07), (0.035, 0.035, 0.05))
            s.box((0.12 * k, side * half, -0.07), (0.035, 0.035, 0.05))
    for x in SIDES:
        for y in SIDES:
            s.cylinder((x * half, y * half, -0.46), (x * half, y * half, tall - 0.22), tower)
            s.cylinder((x * half, y * half, tall - 0.27), (x * half, y * half, tall - 0.20), tower + 0.025)
            s.cone(
                (x * half, y * half, tall - 0.21),
                (x * half, y * half, tall + 0.06),
                tower + 0.035,
                0.01,
                BLUE,
            )
            s.box(
                (x * (half + tower * 0.7), y * (half + tower * 0.7), tall - 0.36),
                (0.035, 0.035, 0.06),
                DARK,
                turn=45 * x * y,
                mode=DECAL,
            )
    s.cylinder((0, 0, -0.30), (0, 0, 0.22), 0.17)
    s.cylinder((0, 0, 0.16), (0, 0, 0.23), 0.195)
    s.cone((0, 0, 0.22), (0, 0, 0.54), 0.21, 0.01, BLUE)
    s.ellipsoid((0.15, 0, 0.07), (0.06, 0.045, 0.065), DARK, mode=DECAL)
    s.capsule((0, 0, 0.50), (0, 0, 0.70), 0.014, DARK)
    s.box((0, 0.075, 0.655), (0.012, 0.075, 0.045), RED)
    s.box((half + 0.03, 0, -0.23), (0.06, 0.185, 0.23))
    for y in (-0.14, 0.0, 0.14):
        s.box((half + 0.03, y, 0.02), (0.06, 0.04, 0.045))
    s.box((half + 0.09, 0, -0.34), (0.05, 0.135, 0.12), DARK, mode=DECAL)
    s.ellipsoid((half + 0.09, 0, -0.22), (0.05, 0.135, 0.135), DARK, mode=DECAL)
    s.box((half + 0.09, 0, -0.35), (0.05, 0.105, 0.11), WOOD, mode=DECAL)
    s.ellipsoid((half + 0.09, 0, -0.24), (0.05, 0.105, 0.105), WOOD, mode=DECAL)
    for side in SIDES:
        s.box((half + tower, side * half, -0.16), (0.03, 0.055, 0.13), RED)


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


def robot(s: Solid, v: Vary) -> None:
    s.box((0, 0, -0.12), (0.17, v(0.23), 0.21), rounding=0.05)
    s.box((0, 0, 0.31), (0.18, v(0.23), 0.165), rounding=0.06)
    s.cylinder((0, 0, 0.06), (0, 0, 0.18), 0.09, CHROME)
    s.box((0.18, 0, 0.32), (0.03, 0.18, 0.11), BLACK, rounding=0.03)
    for side in SIDES:
        s.ellipsoid((0.20, side * 0.085, 0.345), (0.03, 0.055, 0.055), YELLOW)
        s.cylinder((0, side * 0.21, 0.31), (0, side * 0.275, 0.31), 0.075, RED)
        s.ellipsoid((0, side * 0.26, -0.01), 0.085, CHROME)
        s.tube(
            [(0, side * 0.28, -0.02), (0.04, side * 0.36, -0.16), (0.14, side * 0.36, -0.24)],
            (0.06, 0.055, 0.055),
            MAIN,
            pieces=5,
        )
        s.ellipsoid((0.18, side * 0.36, -0.26), 0.085, CHROME)
        s.cylinder((0, side * 0.115, -0.30), (0, side * 0.115, -0.48), 0.07, CHROME)
        s.box((0.05, side * 0.125, -0.52), (0.15, 0.10, 0.065), SHADE, rounding=0.04)
    for k in range(5):
        s.box((0.20, (k - 2) * 0.035, 0.255), (0.03, 0.011, 0.02), WHITE)
    s.box((0.165, 0, -0.10), (0.025, 0.15, 0.13), WHITE, rounding=0.02)
    for k, part in enumerate((RED, YELLOW, GREEN)):
        s.ellipsoid((0.19, (k - 1) * 0.085, -0.045), 0.032, part)
    s.box((0.185, 0, -0.15), (0.02, 0.11, 0.035), BLUE)
    s.box((-0.185, 0, -0.10), (0.06, 0.14, 0.14), SHADE, rounding=0.03)
    s.capsule((0, 0, 0.46), (0, 0, 0.60), 0.018, CHROME)
    s.ellipsoid((0, 0, 0.63), 0.055, RED)


def snowman(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, -0.36), (v(0.33), 0.33, 0.30))
    s.ellipsoid((0, 0, 0.02), (v(0.25), 0.25, 0.23))
    s.ellipsoid((0, 0, 0.35), 0.205)
    s.cylinder((0, 0, 0.48), (0, 0, 0.515), 0.25, BLACK)
    s.cylinder((0, 0, 0.48), (0, 0, v(0.74)), 0.165, BLACK)
    s.cylinder((0, 0, 0.515), (0, 0, 0.575), 0.17, RED)
    s.cone((0.17, 0, 0.34), (0.44, 0, 0.32), 0.06, 0.012, ORANGE)
    for side in SIDES:
        s.ellipsoid((0.175, side * 0.085, 0.41), (0.035, 0.036, 0.042), BLACK)
        s.tube(
            [(0, side * 0.20, 0.06), (0.02, side * 0.38, 0.14), (0.02, side * 0.50, 0.26)],
            (0.028, 0.026, 0.02),
            BARK,
            pieces=4,
        )
        s.capsule((0.02, side * 0.42, 0.17), (0.03, side * 0.53, 0.16), 0.018, BARK)
    for k in range(5):
        a = (k - 2) * 0.38
        s.ellipsoid((0.185, 0.105 * np.sin(a) * 1.2, 0.285 - 0.05 * np.cos(a) + 0.03), 0.018, BLACK)
    for z in (-0.08, 0.03):
        s.ellipsoid((0.245, 0, z), (0.03, 0.036, 0.036), BLACK)
    s.ellipsoid((0.32, 0, -0.32), (0.03, 0.04, 0.04), BLACK)
    s.torus((0, 0, 0.185), 0.165, 0.055, part=GREEN)
    s.box((0.20, 0.10, 0.08), (0.035, 0.055, 0.12), GREEN, rounding=0.025, tilt=-14)


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
