"""The buildings of the toy world; their doors are on +x."""

import numpy as np

from src.toybox.world.paint import (
    BARK,
    BLUE,
    CREAM,
    DARK,
    GLASS,
    GREEN,
    MAIN,
    RED,
    SHADE,
    THATCH,
    WHITE,
    WOOD,
    YELLOW,
)
from src.toybox.world.solid import DECAL, SIDES, Solid, Vary


def _window(s: Solid, y: float, z: float, half: float, face: float, along_x: bool) -> None:
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
        _window(s, side * 0.25, -0.19, 0.068, wide, True)
        for x in (-0.17, 0.17):
            _window(s, x, -0.19, 0.075, side * 0.38, False)
    _window(s, 0.0, -0.19, 0.12, -wide, True)


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
    _window(s, 0.0, top + 0.05, 0.062, front - 0.01, True)
    for side in SIDES:
        _window(s, side * 0.215, z0 + 0.24, 0.058, front - 0.01, True)
        for place in (-0.2, 0.2):
            _window(s, place, z0 + 0.22, 0.06, side * wide, False)
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
    for along in (-0.14, 0.0, 0.14):
        s.box((half + 0.03, along, 0.02), (0.06, 0.04, 0.045))
    s.box((half + 0.09, 0, -0.34), (0.05, 0.135, 0.12), DARK, mode=DECAL)
    s.ellipsoid((half + 0.09, 0, -0.22), (0.05, 0.135, 0.135), DARK, mode=DECAL)
    s.box((half + 0.09, 0, -0.35), (0.05, 0.105, 0.11), WOOD, mode=DECAL)
    s.ellipsoid((half + 0.09, 0, -0.24), (0.05, 0.105, 0.105), WOOD, mode=DECAL)
    for side in SIDES:
        s.box((half + tower, side * half, -0.16), (0.03, 0.055, 0.13), RED)
