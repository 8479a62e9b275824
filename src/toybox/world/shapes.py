"""Every kind of object in the toy world, and what stands on what; what has a face looks along +x."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from src.toybox.world import buildings, creatures, food, mammals, things, vehicles
from src.toybox.world.paint import (
    BARK,
    BLUE,
    COCOA,
    CREAM,
    FROST,
    GILT,
    GREEN,
    LEAF,
    MARBLED,
    PINK,
    RED,
    WAFFLE,
    WHITE,
    WOOD,
    YELLOW,
)
from src.toybox.world.solid import SUBTRACT, Solid, Vary


def torus(s: Solid, v: Vary) -> None:
    s.torus((0, 0, 0), 0.37, v(0.14))


def sphere(s: Solid, v: Vary) -> None:
    s.ellipsoid((0, 0, 0), 0.5)


def cube(s: Solid, v: Vary) -> None:
    s.box((0, 0, 0), (0.4, 0.4, 0.4), rounding=v(0.02))


def cone(s: Solid, v: Vary) -> None:
    s.cone((0, 0, -0.4), (0, 0, 0.4), v(0.36), 0.008)


def cylinder(s: Solid, v: Vary) -> None:
    s.cylinder((0, 0, -v(0.42)), (0, 0, 0.42), 0.27)


def capsule(s: Solid, v: Vary) -> None:
    s.capsule((0, 0, -0.26), (0, 0, 0.26), v(0.22))


def pyramid(s: Solid, v: Vary) -> None:
    s.pyramid((0, 0, -0.3), 0.42, v(0.64))


@dataclass(frozen=True)
class Kind:
    """One kind of object: how it is built, its noun in a caption, its colour when the caption names none."""

    build: Callable[[Solid, Vary], None]
    noun: str
    natural_color: str  # in paint.COLORS or paint.NATURAL
    has_front: bool = False


KINDS: dict[str, Kind] = {
    "lion": Kind(mammals.lion, "lion", "tawny", True),
    "cat": Kind(mammals.cat, "cat", "grey", True),
    "rabbit": Kind(mammals.rabbit, "rabbit", "hazel", True),
    "duck": Kind(creatures.duck, "duck", "yellow", True),
    "hedgehog": Kind(mammals.hedgehog, "hedgehog", "hazel", True),
    "elephant": Kind(mammals.elephant, "elephant", "elephant", True),
    "owl": Kind(creatures.owl, "owl", "hazel", True),
    "frog": Kind(creatures.frog, "frog", "leaf", True),
    "pig": Kind(mammals.pig, "pig", "pink", True),
    "bear": Kind(mammals.bear, "teddy bear", "hazel", True),
    "penguin": Kind(creatures.penguin, "penguin", "slate", True),
    "dinosaur": Kind(creatures.dinosaur, "dinosaur", "green", True),
    "snail": Kind(creatures.snail, "snail", "orange", True),
    "tree": Kind(food.tree, "tree", "green"),
    "mushroom": Kind(food.mushroom, "mushroom", "red"),
    "cactus": Kind(food.cactus, "cactus in a clay pot", "green"),
    "icecream": Kind(food.icecream, "ice cream cone", "pink"),
    "strawberry": Kind(food.strawberry, "strawberry", "red"),
    "hamburger": Kind(food.hamburger, "hamburger", "bun"),
    "pumpkin": Kind(food.pumpkin, "pumpkin", "orange"),
    "apple": Kind(food.apple, "apple", "red"),
    "pineapple": Kind(food.pineapple, "pineapple", "yellow"),
    "cupcake": Kind(food.cupcake, "cupcake", "pink"),
    "cookies": Kind(food.cookies, "plate of chocolate chip cookies", "dough"),
    "car": Kind(vehicles.car, "car", "red", True),
    "house": Kind(buildings.house, "house", "red", True),
    "cottage": Kind(buildings.cottage, "cottage with a thatched roof", "cream", True),
    "castle": Kind(buildings.castle, "castle", "sand", True),
    "rocket": Kind(vehicles.rocket, "rocket", "white", True),
    "boat": Kind(vehicles.boat, "boat", "blue", True),
    "airplane": Kind(vehicles.airplane, "airplane", "yellow", True),
    "robot": Kind(things.robot, "robot", "steel", True),
    "snowman": Kind(things.snowman, "snowman", "white", True),
    "chair": Kind(things.chair, "chair", "brown", True),
    "table": Kind(things.table, "table", "brown"),
    "mug": Kind(things.mug, "mug", "white"),
    "bowl": Kind(things.bowl, "bowl", "turquoise"),
    "vase": Kind(things.vase, "vase", "blue"),
    "teapot": Kind(things.teapot, "teapot", "green"),
    "crown": Kind(things.crown, "crown", "gold"),
    "torus": Kind(torus, "torus", "purple"),
    "sphere": Kind(sphere, "sphere", "blue"),
    "cube": Kind(cube, "cube", "green"),
    "cone": Kind(cone, "cone", "orange"),
    "cylinder": Kind(cylinder, "cylinder", "turquoise"),
    "capsule": Kind(capsule, "capsule", "pink"),
    "pyramid": Kind(pyramid, "pyramid", "yellow"),
}


def pancakes(s: Solid) -> None:
    for k in range(5):
        x, y, z, wide = 0.04 * np.sin(2.1 * k), 0.03 * np.cos(3 * k), -0.105 * k, 0.5 - 0.012 * k
        s.cylinder((x, y, z - 0.11), (x, y, z), wide, WAFFLE, rounding=0.05)
        s.cylinder((x, y, z - 0.075), (x, y, z - 0.04), wide + 0.006, CREAM, rounding=0.017)
    for k, long in enumerate((0.30, 0.14, 0.38, 0.2, 0.26)):  # syrup
        a = 1.2566 * k + 0.5
        x, y = 0.49 * np.cos(a), 0.49 * np.sin(a)
        s.capsule((x, y, -0.03), (1.03 * x, 1.03 * y, -long), 0.045, COCOA)


def cushion(s: Solid) -> None:
    s.ellipsoid((0, 0, -0.13), (0.50, 0.50, 0.135), RED)
    s.box((0, 0, -0.13), (0.46, 0.46, 0.09), RED, rounding=0.09, blend=0.05)
    for x in (-1, 1):
        for y in (-1, 1):
            s.ellipsoid((0.45 * x, 0.45 * y, -0.13), 0.065, GILT)
            s.cone((0.45 * x, 0.45 * y, -0.13), (0.52 * x, 0.52 * y, -0.22), 0.03, 0.05, YELLOW)


def lily_pad(s: Solid) -> None:
    s.torus((0, 0, -0.02), 0.49, 0.035, part=GREEN)
    s.cylinder((0, 0, -0.06), (0, 0, 0.0), 0.49, LEAF, rounding=0.025)
    # Cut where nothing stands, for it would be cut as well.
    s.box((0.514, -0.344, -0.06), (0.20, 0.05, 0.08), GREEN, turn=-34, mode=SUBTRACT)
    for ring, count in ((0.10, 7), (0.05, 5)):
        for k in range(count):
            a = 2 * np.pi * k / count
            s.ellipsoid(
                (-0.36 + ring * np.cos(a), 0.36 + ring * np.sin(a), 0.06 + 0.3 * (0.1 - ring)),
                (0.095, 0.04, 0.025),
                PINK if ring > 0.07 else WHITE,
                turn=float(np.degrees(a)),
                tilt=-35,
            )
    s.ellipsoid((-0.36, 0.36, 0.07), 0.045, YELLOW)


def stump(s: Solid) -> None:
    s.cone((0, 0, -0.42), (0, 0, 0.0), 0.50, 0.44, BARK)
    s.cylinder((0, 0, -0.03), (0, 0, 0.012), 0.39, WOOD)
    for k in range(6):
        a = k * np.pi / 3 + 0.3
        s.ellipsoid(
            (0.44 * np.cos(a), 0.44 * np.sin(a), -0.36), (0.17, 0.085, 0.085), BARK, turn=float(np.degrees(a))
        )


def plate(s: Solid) -> None:
    s.cone((0, 0, -0.12), (0, 0, -0.04), 0.30, 0.52, WHITE, rounding=0.02)
    s.torus((0, 0, -0.03), 0.53, 0.03, part=WHITE)
    s.torus((0, 0, -0.045), 0.43, 0.018, part=BLUE)
    s.cylinder((0, 0, -0.10), (0, 0, 0.0), 0.34, WHITE)


def pedestal(s: Solid) -> None:
    s.box((0, 0, -0.05), (0.46, 0.46, 0.05), MARBLED)
    s.cylinder((0, 0, -0.14), (0, 0, -0.08), 0.40, MARBLED, rounding=0.025)
    s.cylinder((0, 0, -0.44), (0, 0, -0.10), 0.33, MARBLED)
    s.cylinder((0, 0, -0.50), (0, 0, -0.42), 0.42, MARBLED, rounding=0.03)
    s.box((0, 0, -0.54), (0.48, 0.48, 0.05), MARBLED)


def ice_block(s: Solid) -> None:
    s.box((0, 0, -0.13), (0.50, 0.44, 0.13), FROST, rounding=0.05, turn=12)
    s.box((0.08, 0.10, -0.20), (0.40, 0.46, 0.11), FROST, rounding=0.05, turn=48)


@dataclass(frozen=True)
class Base:
    """What something else stands on: built with its top at z = 0, half a unit wide to each side."""

    build: Callable[[Solid], None]
    phrase: str
    width: float  # of its half width to the half width of what stands on it
    sink: float = 0.01  # how deep that sinks in, if its half width were 0.35


BASES: dict[str, Base] = {
    "pancakes": Base(pancakes, "a stack of pancakes", 1.25, 0.02),
    "cushion": Base(cushion, "a red cushion", 1.0, 0.04),
    "lily pad": Base(lily_pad, "a lily pad", 1.45),
    "stump": Base(stump, "a tree stump", 1.1),
    "plate": Base(plate, "a plate", 1.35),
    "pedestal": Base(pedestal, "a marble pedestal", 0.8),
    "ice": Base(ice_block, "a block of ice", 1.35),
}
PAIRS = (
    ("rabbit", "pancakes"),
    ("bear", "pancakes"),
    ("cat", "cushion"),
    ("crown", "cushion"),
    ("frog", "lily pad"),
    ("duck", "lily pad"),
    ("owl", "stump"),
    ("hedgehog", "stump"),
    ("hamburger", "plate"),
    ("strawberry", "plate"),
    ("lion", "pedestal"),
    ("vase", "pedestal"),
    ("penguin", "ice"),
)


def build(kind: str, rng: np.random.Generator, variation: float = 0.08, base: str = "") -> np.ndarray:
    """One instance of `kind` as a table of primitives, its proportions varied by up to ±`variation`.

    With a base (a name in BASES), the table of both; bases do not vary.
    """
    return assembled(kind, rng, variation, base).table()


def assembled(kind: str, rng: np.random.Generator, variation: float = 0.08, base: str = "") -> Solid:
    """The same in one piece, with the place of its face if it has one."""

    def vary(length: float) -> float:
        return length * (1 + variation * float(rng.uniform(-1, 1)))

    solid = Solid()
    KINDS[kind].build(solid, vary)
    if not base:
        return solid.normalized()
    under, both = Solid(), Solid()
    BASES[base].build(under)
    low, high = solid.bounds()
    half = float(max(high[0] - low[0], high[1] - low[1])) / 2
    middle = (low + high) / 2
    sink = BASES[base].sink * half / 0.35
    both.place(solid, 1.0, np.zeros(3))  # comes first: what it carves out or repaints is never the base's
    both.place(under, 2 * BASES[base].width * half, np.array([middle[0], middle[1], low[2] + sink]))
    return both.normalized()
