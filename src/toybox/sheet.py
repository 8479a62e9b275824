"""The whole toy world on one sheet: `python -m src.toybox.sheet [out=docs/world.webp]`.

Every kind and everything that stands on something, then the materials on two of them. Wants the extra
`toybox` (numba).
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from src.arguments import parse, to_write
from src.door import one_sentence
from src.errors import UserError
from src.export.picture import write_picture
from src.scene.cameras import orbit
from src.toybox.sample import grid
from src.toybox.world.captions import MATERIALS, Subject
from src.toybox.world.pictures import SIZE, key_light, photograph
from src.toybox.world.shapes import KINDS, PAIRS, build

COLUMNS = 15
SHOWN = ("lion", "teapot")  # the materials' models


@dataclass
class Settings:
    """What the command line can change."""

    out: str = "docs/world.webp"


def tile(subject: Subject) -> np.ndarray:
    """A subject from its left front, on pale grey; [SIZE, SIZE, 3] in [0, 1]."""
    camera = orbit(12, 18.0, 1.42, 45.0, SIZE).one(1)
    table = build(subject.kind, np.random.default_rng(1), base=subject.base)
    image = photograph(table, subject, key_light(float(camera.azimuth[0]), 30.0, 55.0), camera)
    return image[..., :3] + 0.93 * (1 - image[..., 3:])


def sheet() -> Image.Image:
    """One tile a subject, COLUMNS to a row."""
    subjects = [Subject(kind) for kind in KINDS] + [Subject(kind, base=base) for kind, base in PAIRS]
    for kind in SHOWN:
        subjects += [Subject(kind, "blue"), Subject(kind, "blue", "ceramic")]
        subjects += [Subject(kind, "", material) for material in MATERIALS]
    tiles = np.stack([tile(subject) for subject in subjects]).clip(0, 1)
    return grid(torch.from_numpy(tiles).permute(0, 3, 1, 2), COLUMNS, enlarge=1)


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    out = Path(parse(Settings, arguments).out)
    if out.suffix not in (".webp", ".png"):
        raise UserError(f"out={out} is no picture: choose a name that ends in .webp or .png")
    to_write(out)
    write_picture(out, sheet(), quality=90)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
