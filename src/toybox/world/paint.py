"""Colours and materials of the toy world, and what stays painted as it is whatever a caption asks for.

A *part* is the index of a primitive's paint. MAIN takes the caption's colour and material, SHADE a darker
tone of the same; every other part keeps its own colour and finish, so that a golden cat still has black eyes.
"""

import numpy as np

RGB = tuple[float, float, float]

COLORS: dict[str, RGB] = {
    "red": (0.86, 0.09, 0.08),
    "orange": (0.96, 0.48, 0.05),
    "yellow": (0.97, 0.84, 0.10),
    "green": (0.10, 0.58, 0.16),
    "turquoise": (0.10, 0.76, 0.74),
    "blue": (0.10, 0.22, 0.85),
    "purple": (0.50, 0.13, 0.70),
    "pink": (0.97, 0.48, 0.70),
    "brown": (0.44, 0.25, 0.12),
    "white": (0.94, 0.94, 0.94),
    "grey": (0.48, 0.48, 0.49),
    "black": (0.09, 0.09, 0.10),
}
# What a kind may look like by nature, beside the colours that captions name.
NATURAL: dict[str, RGB] = {
    "tawny": (0.86, 0.58, 0.24),
    "bun": (0.86, 0.55, 0.22),
    "elephant": (0.52, 0.54, 0.60),
    "leaf": (0.36, 0.62, 0.16),
    "sand": (0.86, 0.74, 0.50),
    "hazel": (0.62, 0.42, 0.24),
    "cream": (0.96, 0.90, 0.76),
    "dough": (0.80, 0.54, 0.26),
    "steel": (0.62, 0.66, 0.72),
    "slate": (0.16, 0.18, 0.26),
    "gold": (0.98, 0.76, 0.20),
}

(
    MATTE,
    GLOSSY,
    CERAMIC,
    METAL,
    WOODEN,
    STONE,
    MARBLE,
    PLUSH,
    GOLD,
    SILVER,
    BRASS,
    CLAY_FINISH,
    ICE,
    CHOCOLATE,
    LEAVES,
    STRAW,
) = range(16)
# A caption's material with a colour of its own choice, and what it looks like when none is named.
BARE_MATERIAL: dict[str, RGB] = {
    "ceramic": (0.93, 0.89, 0.82),
    "metal": (0.50, 0.53, 0.58),
    "wooden": (0.66, 0.43, 0.22),
    "stone": (0.56, 0.54, 0.50),
    "marble": (0.92, 0.91, 0.90),
    "plush": (0.80, 0.60, 0.42),
}
PRECIOUS: dict[str, RGB] = {  # materials whose name is their colour
    "golden": (1.00, 0.74, 0.20),
    "silver": (0.90, 0.92, 0.95),
    "brass": (0.66, 0.47, 0.17),
    "clay": (0.80, 0.42, 0.27),
    "ice": (0.66, 0.87, 0.97),
    "chocolate": (0.27, 0.13, 0.065),
    "leafy": (0.30, 0.56, 0.13),
}
FINISH: dict[str, int] = {
    "": MATTE,
    "ceramic": CERAMIC,
    "metal": METAL,
    "wooden": WOODEN,
    "stone": STONE,
    "marble": MARBLE,
    "plush": PLUSH,
    "golden": GOLD,
    "silver": SILVER,
    "brass": BRASS,
    "clay": CLAY_FINISH,
    "ice": ICE,
    "chocolate": CHOCOLATE,
    "leafy": LEAVES,
}

(
    MAIN,
    SHADE,
    BLACK,
    WHITE,
    WOOD,
    ORANGE,
    GLASS,
    CLAY,
    BLUE,
    WAFFLE,
    RED,
    YELLOW,
    GREEN,
    PINK,
    CREAM,
    TYRE,
    CHROME,
    THATCH,
    DARK,
    CARAMEL,
    MEAT,
    LEAF,
    COCOA,
    GILT,
    BARK,
    MARBLED,
    FROST,
) = range(27)
FIXED: dict[int, tuple[RGB, int]] = {
    BLACK: ((0.03, 0.03, 0.04), GLOSSY),
    WHITE: ((0.95, 0.95, 0.94), MATTE),
    WOOD: ((0.52, 0.33, 0.18), WOODEN),
    ORANGE: ((0.98, 0.52, 0.08), MATTE),
    GLASS: ((0.30, 0.48, 0.62), GLOSSY),
    CLAY: ((0.76, 0.38, 0.22), CLAY_FINISH),
    BLUE: ((0.12, 0.24, 0.80), GLOSSY),
    WAFFLE: ((0.84, 0.60, 0.30), MATTE),
    RED: ((0.84, 0.08, 0.08), GLOSSY),
    YELLOW: ((0.98, 0.82, 0.14), MATTE),
    GREEN: ((0.20, 0.55, 0.14), MATTE),
    PINK: ((0.96, 0.56, 0.64), MATTE),
    CREAM: ((0.97, 0.92, 0.80), MATTE),
    TYRE: ((0.10, 0.10, 0.11), MATTE),
    CHROME: ((0.80, 0.82, 0.85), SILVER),
    THATCH: ((0.80, 0.64, 0.32), STRAW),
    DARK: ((0.17, 0.12, 0.10), MATTE),
    CARAMEL: ((0.56, 0.34, 0.13), MATTE),
    MEAT: ((0.33, 0.16, 0.09), STONE),
    LEAF: ((0.30, 0.62, 0.16), MATTE),
    COCOA: ((0.28, 0.14, 0.07), CHOCOLATE),
    GILT: ((1.0, 0.74, 0.22), GOLD),
    BARK: ((0.40, 0.31, 0.24), WOODEN),
    MARBLED: ((0.90, 0.89, 0.87), MARBLE),
    FROST: ((0.66, 0.87, 0.97), ICE),
}


def paint_table(color: RGB, material: str = "") -> np.ndarray:
    """Colour and finish of every part, [parts, 4] float64, for a main colour and a caption's material."""
    table = np.zeros((max(FIXED) + 1, 4))
    table[MAIN] = (*color, FINISH[material])
    table[SHADE] = (*(0.56 * np.array(color)), FINISH[material])
    for part, (rgb, finish) in FIXED.items():
        table[part] = (*rgb, finish)
    return table
