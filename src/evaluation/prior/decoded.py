"""What the autoencoder gives back of front views: `python -m src.evaluation.prior.decoded`.

A face that decoding loses cannot be drawn, however well latents are denoised.  Decibel over the subject's
pixels and over the square around its face, kind by kind; the whole picture's is mostly background.  Writes a
table and a sheet: an instance of each kind, and what is left of it below.
"""

import math
import sys
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from src.arguments import in_range, parse, to_write
from src.door import one_sentence
from src.evaluation.faces import place_of, squares
from src.evaluation.solids import FIRST_SEED, of_solid
from src.export.picture import write_picture
from src.guidance.load import load_prior
from src.guidance.prior import Prior, PriorConfig
from src.run.checkpoint import write_atomically
from src.run.folder import check_own
from src.scene.cameras import orbit
from src.streams import Streams
from src.toybox.sample import grid
from src.toybox.world.captions import Subject
from src.toybox.world.shapes import KINDS

MARK = "| kind | subject (dB) | face (dB) | whole picture (dB) |"  # by which a table of ours is known
GREY = 0.93
CAMERA = orbit(12, 18.0, 1.42, 45.0, 128).one(0)  # of src.toybox.sheet, but from the front


@dataclass
class Settings:
    """What the command line can change."""

    path: str = "src/toybox/weights"
    instances: int = 4  # of each kind
    out: str = "outputs/prior-decoded"  # .md and .png

    def __post_init__(self) -> None:
        in_range(self, ["instances"], 1, 1000)


class Restored(NamedTuple):
    """Decibel of a kind's front views after the autoencoder."""

    subject: float  # over pixels more than half covered
    face: float | None  # over the square around the face
    whole: float


def decibel(wrong: Float[Tensor, "N 3 H W"], where: Float[Tensor, "N 1 H W"]) -> float:
    """Peak signal-to-noise ratio of errors in [0, 1] where `where` is above a half."""
    squared = wrong.square().mean(1, keepdim=True)
    return -10 * math.log10(float(squared[where > 0.5].mean()))


def restored(
    kind: str, prior: Prior, instances: int
) -> tuple[Restored, Float[Tensor, "N 3 H W"], Float[Tensor, "N 3 H W"]]:
    """Figures, true views and decoded ones, in [0, 1]."""
    seen = [of_solid(Subject(kind), FIRST_SEED + i, CAMERA) for i in range(instances)]
    true = torch.cat([view.over(torch.full((3,), GREY)) for view in seen]).clamp(0, 1)
    opacity = torch.cat([view.opacity for view in seen])
    with torch.no_grad():
        latents = prior.encode(true, Streams(0, 0)("prior-decoded/vae"))
        drawn = prior.decode(latents).clamp(0, 1)
    wrong, everywhere, place = drawn - true, torch.ones_like(opacity), place_of(kind)
    face = None
    if place is not None:
        square = squares(wrong, CAMERA, place)
        face = decibel(square, torch.ones_like(square[:, :1]))
    return Restored(decibel(wrong, opacity), face, decibel(wrong, everywhere)), true, drawn


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    out, sheet = to_write(f"{cfg.out}.md"), to_write(f"{cfg.out}.png")
    check_own(out.parent, "out", {out.name: MARK}, [sheet.name])
    prior = load_prior(PriorConfig(path=cfg.path), "cpu")
    lines, tiles = [MARK, "|---|---:|---:|---:|"], []
    found = {kind: restored(kind, prior, cfg.instances) for kind in tqdm(KINDS, desc="kinds")}
    for kind, (figures, true, drawn) in found.items():
        face = "-" if figures.face is None else f"{figures.face:.1f}"
        lines.append(f"| {kind} | {figures.subject:.1f} | {face} | {figures.whole:.1f} |")
        tiles += [torch.cat([true[0], drawn[0]], 1)]
    write_atomically(out, "\n".join([*lines, ""]).encode())
    write_picture(sheet, grid(torch.stack(tiles), 12, enlarge=1))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
