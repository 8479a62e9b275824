"""What the materials of the toy world look like: a studio to reflect, procedural textures, and shading.

The studio is a dark floor, a pale sky, a large soft box in the key light's direction and a strip on
either side of it.
"""

import math

import numpy as np

from src.toybox.world.distance import compiled
from src.toybox.world.paint import (
    BRASS,
    CERAMIC,
    CHOCOLATE,
    CLAY_FINISH,
    GLOSSY,
    GOLD,
    ICE,
    LEAVES,
    MARBLE,
    METAL,
    PLUSH,
    SILVER,
    STONE,
    STRAW,
    WOODEN,
)


@compiled
def normalize(v: np.ndarray) -> None:
    """Scale a vector [3] in place to length 1; one of length 0 stays."""
    scale = 1 / (math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) + 1e-12)
    v[0] *= scale
    v[1] *= scale
    v[2] *= scale


@compiled
def _smoothstep(low: float, high: float, x: float) -> float:
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@compiled
def _hash(i: int, j: int, k: int) -> float:
    """A number in [0, 1) for each cell of space."""
    n = i * 73856093 ^ j * 19349663 ^ k * 83492791
    n = (n ^ (n >> 13)) * 1274126177 & 0x7FFFFFFF
    n = (n ^ (n >> 15)) * 668265263 & 0x7FFFFFFF
    return ((n >> 8) & 0xFFFF) / 65536.0


@compiled
def _value_noise(x: float, y: float, z: float) -> float:
    """Smooth noise in [-1, 1] from random values on a lattice, features one unit wide."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - i, y - j, z - k
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    a, b, c = int(i), int(j), int(k)
    low = (_hash(a, b, c) * (1 - w) + _hash(a, b, c + 1) * w) * (1 - v) + (
        _hash(a, b + 1, c) * (1 - w) + _hash(a, b + 1, c + 1) * w
    ) * v
    high = (_hash(a + 1, b, c) * (1 - w) + _hash(a + 1, b, c + 1) * w) * (1 - v) + (
        _hash(a + 1, b + 1, c) * (1 - w) + _hash(a + 1, b + 1, c + 1) * w
    ) * v
    return 2 * (low * (1 - u) + high * u) - 1


@compiled
def fur(x: float, y: float, z: float) -> float:
    """What plush adds to its distance at a place, in world units: its outline is as rough as its surface."""
    return 0.011 * _value_noise(52 * x, 52 * y, 52 * z)


@compiled
def _worley(x: float, y: float, z: float) -> tuple[float, float]:
    """Nearest of one random point a cell (Worley 1996): how far it is, and its own number in [0, 1)."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    nearest, name = 9.0, 0.0
    for a in range(i - 1, i + 2):
        for b in range(j - 1, j + 2):
            for c in range(k - 1, k + 2):
                dx = a + 0.15 + 0.7 * _hash(a, b, c) - x
                dy = b + 0.15 + 0.7 * _hash(b, c + 31, a) - y
                dz = c + 0.15 + 0.7 * _hash(c + 57, a, b) - z
                far = dx * dx + dy * dy + dz * dz
                if far < nearest:
                    nearest, name = far, _hash(a + 11, b + 5, c + 3)
    return math.sqrt(nearest), name


@compiled
def _environment(rx: float, ry: float, rz: float, light: np.ndarray, rough: float) -> float:
    """What comes from direction r, blurred by roughness in [0, 1]."""
    width = 0.08 + 0.6 * rough
    up = _smoothstep(-width, width, rz + 0.08)
    value = 0.16 + 0.10 * max(-rz, 0.0) + up * (0.44 + 0.20 * rz)
    facing = rx * light[0] + ry * light[1] + rz * light[2]
    value += (1.25 - 0.85 * rough) * _smoothstep(0.86 - 0.75 * rough, 0.96 + 0.04 * rough, facing)
    side = (ry * light[0] - rx * light[1]) / math.sqrt(light[0] ** 2 + light[1] ** 2 + 1e-9)
    return value + (0.5 - 0.3 * rough) * _smoothstep(0.78 - 0.5 * rough, 0.93, abs(side)) * (0.4 + 0.6 * up)


@compiled
def shade(
    paint: np.ndarray,
    part: int,
    light: np.ndarray,
    offset: np.ndarray,
    p: np.ndarray,
    n: np.ndarray,
    d: np.ndarray,
    ao: float,
    shadow: float,
    out: np.ndarray,
) -> None:
    """Colour `out` [3] in [0, 1] of a surface at p with normal n (changed by bumps), seen along d.

    `paint` [parts, 4] is every part's colour and finish; `offset` [3] moves the textures; `ao` and `shadow`
    are the shares of the sky and of the key light that reach it.
    """
    finish = int(paint[part, 3])
    x, y, z = p[0] + offset[0], p[1] + offset[1], p[2] + offset[2]
    tone, bump, edge = 1.0, 0.0, 0.0
    warm = 0.0  # shifts the colour towards red
    if finish == WOODEN:
        wobble = 0.05 * _value_noise(3 * x, 3 * y, 1.5 * z)
        ring = math.sqrt((p[0] + 0.25 + wobble) ** 2 + (p[1] - 0.4) ** 2) + 0.04 * z + wobble
        saw = ring * 15 - math.floor(ring * 15)
        tone = 0.72 + 0.42 * _smoothstep(0.0, 0.75, saw) * (1 - _smoothstep(0.85, 1.0, saw))
        tone += 0.09 * _value_noise(70 * x, 70 * y, 6 * z)
    elif finish == STONE:
        grain = _value_noise(46 * x, 46 * y, 46 * z)
        tone = 0.84 + 0.14 * _value_noise(9 * x, 9 * y, 9 * z) + 0.26 * min(grain, 0.0)
        edge = 0.20 * _smoothstep(0.05, 0.5, grain)  # pale grains whatever the colour
        bump = 0.3
    elif finish == MARBLE:
        turbulence = _value_noise(4 * x, 4 * y, 4 * z) + 0.5 * _value_noise(9 * x, 9 * y, 9 * z)
        vein = abs(math.sin(9.0 * (x + 0.7 * y + 0.9 * z) + 2.2 * turbulence))
        fine = abs(math.sin(13.0 * (y - 0.6 * x + 0.5 * z) - 2.4 * turbulence))
        tone = (
            0.50
            + 0.38 * _smoothstep(0.0, 0.42, vein)
            + 0.12 * _smoothstep(0.0, 0.25, fine)
            - 0.05 * turbulence
        )
    elif finish == CLAY_FINISH:
        tone = 0.97 + 0.05 * _value_noise(26 * x, 26 * y, 26 * z) + 0.09 * _value_noise(2 * x, 2 * y, 40 * z)
    elif finish == BRASS:
        spots = _value_noise(5 * x, 5 * y, 5 * z) + 0.5 * _value_noise(12 * x, 12 * y, 12 * z)
        tone = (0.80 + 0.22 * spots) * (0.45 + 0.55 * ao)
    elif finish == METAL:
        tone = 0.92 + 0.10 * _value_noise(4 * x, 4 * y, 90 * z)
    elif finish == ICE:
        cracks = abs(_value_noise(6 * x, 6 * y, 6 * z) + 0.4 * _value_noise(15 * x, 15 * y, 15 * z))
        tone = 0.90 + 0.35 * (1 - _smoothstep(0.0, 0.10, cracks))
        bump = 0.18
    elif finish == PLUSH:
        tone = 0.96 + 0.22 * _value_noise(70 * x, 70 * y, 70 * z)
        bump = 0.16
    elif finish == LEAVES:
        far, name = _worley(14 * x, 14 * y, 9 * z)
        tone = (0.55 + 0.85 * name) * (1.10 - 0.75 * _smoothstep(0.34, 0.80, far))
        warm = 0.45 * (_hash(int(name * 4096), 3, 7) - 0.4)
        bump = 0.4
    elif finish == STRAW:
        tone = 0.80 + 0.34 * _value_noise(75 * x, 9 * y, 9 * z) + 0.12 * math.sin(45 * z)
    if bump > 0:
        f = 13.0 if finish == LEAVES else 30.0
        n[0] += bump * _value_noise(f * x + 7, f * y, f * z)
        n[1] += bump * _value_noise(f * x, f * y + 19, f * z)
        n[2] += bump * _value_noise(f * x, f * y, f * z + 31)
        normalize(n)
    facing = n[0] * light[0] + n[1] * light[1] + n[2] * light[2]
    cosine = min(n[0] * d[0] + n[1] * d[1] + n[2] * d[2], 0.0)
    rim = (1 + cosine) ** 3
    rx, ry, rz = d[0] - 2 * cosine * n[0], d[1] - 2 * cosine * n[1], d[2] - 2 * cosine * n[2]
    key = max(facing + 0.2, 0.0) / 1.2 * shadow
    lit = (0.42 + 0.16 * n[2]) * ao + 0.56 * key - 0.08 * cosine * ao
    seen = (0.45 + 0.55 * ao) * (0.6 + 0.4 * shadow)  # how much of the studio a crevice mirrors
    glare = 0.0
    if finish == CERAMIC:
        glare = (0.10 + 0.75 * rim) * _environment(rx, ry, rz, light, 0.0) * seen
        glare += 0.55 * _smoothstep(0.90, 0.95, rx * light[0] + ry * light[1] + rz * light[2]) * shadow
        lit *= 0.95
    elif finish == GLOSSY:
        glare = (0.05 + 0.4 * rim) * _environment(rx, ry, rz, light, 0.0) * seen
        glare += 0.6 * _smoothstep(0.90, 0.97, rx * light[0] + ry * light[1] + rz * light[2]) * shadow
    elif finish in (GOLD, SILVER):
        lit = 0.10 * lit + 1.02 * _environment(rx, ry, rz, light, 0.02) * seen
        edge = 0.25 * rim
    elif finish == METAL:
        lit = 0.30 * lit + 0.80 * _environment(rx, ry, rz, light, 0.35) * seen
        edge = 0.20 * rim
    elif finish == BRASS:
        lit = 0.30 * lit + 0.95 * _environment(rx, ry, rz, light, 0.30) * seen
    elif finish == MARBLE:
        glare = (0.04 + 0.35 * rim) * _environment(rx, ry, rz, light, 0.15) * seen
        lit = 0.12 + 0.90 * lit
    elif finish == CHOCOLATE:
        glare = (0.07 + 0.30 * rim) * _environment(rx, ry, rz, light, 0.30) * seen
        glare += 0.26 * _smoothstep(0.72, 0.97, rx * light[0] + ry * light[1] + rz * light[2]) * shadow
        warm = 0.25
    elif finish == ICE:
        lit = (
            0.34
            + 0.42 * lit
            + 0.30 * _environment(d[0] + 0.5 * rx, d[1] + 0.5 * ry, d[2] + 0.5 * rz, light, 0.2)
        )
        glare = (0.06 + 0.65 * rim) * _environment(rx, ry, rz, light, 0.0) * seen + 0.10 * rim
        glare += 0.5 * _smoothstep(0.92, 0.96, rx * light[0] + ry * light[1] + rz * light[2]) * shadow
    elif finish == PLUSH:
        lit = 0.14 + 0.76 * lit + 0.60 * rim * (0.4 + 0.6 * ao)
    elif finish in (WOODEN, LEAVES):
        glare = 0.03 * _environment(rx, ry, rz, light, 0.5) * seen
    elif finish not in (STONE, CLAY_FINISH, STRAW):  # MATTE: soft vinyl
        lit *= 0.96
        glare = (0.02 + 0.10 * rim) * _environment(rx, ry, rz, light, 0.5) * seen
        glare += 0.10 * _smoothstep(0.60, 1.0, rx * light[0] + ry * light[1] + rz * light[2]) * shadow
    for c in range(3):
        base = paint[part, c] * (1 + warm * (1 - c) * (1.0 if finish == LEAVES else 2.0))
        if finish == ICE:  # what is thick swallows red first
            base = base + (1 - base) * 0.5 * rim
        value = (base * tone + edge) * lit + glare
        out[c] = min(max(value, 0.0), 1.0)
