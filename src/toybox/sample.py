"""Pictures straight from the bundled prior, by DDIM: `python -m src.toybox.sample prompt="a red car" n=16`.

Writes one grid (PNG). Several prompts, separated by "|", make one row each, as in
docs/prior-views.webp.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from src.arguments import in_range, parse, to_write
from src.door import one_sentence
from src.errors import UserError
from src.export.picture import write_picture
from src.guidance.load import load_prior
from src.guidance.prior import PriorConfig
from src.guidance.sampling import ddim
from src.guidance.words import sentences, unknown_words
from src.streams import Streams


@dataclass
class Settings:
    """What the command line can change."""

    prompt: str = "a ceramic lion, front view"
    n: int = 16  # pictures a prompt
    guidance_scale: float = 7.5
    steps: int = 50
    seed: int = 0
    path: str = "src/toybox/weights"
    out: str = ""  # default: outputs/samples/<prompt>.png

    def __post_init__(self) -> None:
        if not self.prompt.strip(" |"):
            raise UserError(
                'prompt is empty: write what you want to see, as in prompt="a red car, side view"'
            )
        in_range(self, ["n"], 1, 1024)
        in_range(self, ["steps"], 1, 1000)
        in_range(self, ["guidance_scale"], 0, 1000)
        if self.seed < 0:
            raise UserError(f"seed={self.seed} is negative: seeds count from 0")
        if self.out and Path(self.out).suffix.lower() != ".png":
            raise UserError(f"out={self.out} is no PNG: choose a name that ends in .png")


def grid(images: Float[Tensor, "N 3 H W"], columns: int, enlarge: int = 2) -> Image.Image:
    """Lay images out row by row."""
    n, _, height, width = images.shape
    rows = -(-n // columns)
    padded = torch.cat([images, images.new_ones(rows * columns - n, 3, height, width)])
    sheet = (
        padded.view(rows, columns, 3, height, width)
        .permute(0, 3, 1, 4, 2)
        .reshape(rows * height, columns * width, 3)
    )
    picture = Image.fromarray((sheet.cpu().numpy() * 255 + 0.5).astype(np.uint8))
    return picture.resize((picture.width * enlarge, picture.height * enlarge), Image.Resampling.BICUBIC)


def sample(cfg: Settings) -> Path:
    """Draw cfg.n pictures of each prompt and write the grid; returns its path."""
    prompts = [prompt.strip() for prompt in cfg.prompt.split("|") if prompt.strip()]
    slug = re.sub(r"[\W_]+", "-", prompts[0].lower()).strip("-")[:60] or "prompt"
    out = to_write(cfg.out or f"outputs/samples/{slug}.png")
    prior = load_prior(PriorConfig(path=cfg.path), "cpu")
    for prompt in prompts:
        for sentence in sentences(unknown_words(prompt, prior.known_words or [])):
            print(sentence)
    every = [prompt for prompt in prompts for _ in range(cfg.n)]
    draw = Streams(cfg.seed, 0)("sample/noise")
    latents = ddim(prior, every, cfg.guidance_scale, cfg.steps, draw)
    columns = cfg.n if len(prompts) > 1 else min(cfg.n, 8)
    write_picture(out, grid(prior.decode(latents), columns))
    return out


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    print(sample(parse(Settings, arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
