"""Where a prior's loss is, by t, on pictures like those it was taught and on fresh ones.

    python -m src.evaluation.prior.losses path=src/toybox/weights pictures=400

A gap between the two says too few pictures; none says too few steps or too small a network.  The pictures
are the world's own (`src.toybox.train` renders shard 0 of seed 0 first), with one of their captions each, and
the same noise; the degraded ones are left out.  The error is of eps, unweighted.
"""

import sys
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from src.arguments import in_range, parse, to_write
from src.door import one_sentence
from src.guidance.load import load_prior
from src.guidance.prior import Prior, PriorConfig
from src.run.checkpoint import write_atomically
from src.streams import Streams
from src.toybox.world.captions import caption
from src.toybox.world.pictures import SHARD, Picture, generator, shard
from src.toybox.world.portraits import FRESH

BATCH = 50
FIFTHS = tuple((low, low + 200) for low in range(0, 1000, 200))


@dataclass
class Settings:
    """What the command line can change."""

    path: str = "src/toybox/weights"
    pictures: int = 400  # of each sort
    seed: int = 0
    out: str = "outputs/prior-losses.md"

    def __post_init__(self) -> None:
        in_range(self, ["pictures"], 2, SHARD)  # no more were taught of it
        in_range(self, ["seed"], 0, 2**31)


def errors(prior: Prior, pictures: list[Picture], cfg: Settings) -> Float[Tensor, "fifths N"]:
    """Mean squared error of eps of every picture, at one t of each fifth; each has noise and t of its own."""
    draw = Streams(cfg.seed, 0)
    images = torch.stack([torch.from_numpy(p.pixels[..., :3]).permute(2, 0, 1) / 255 for p in pictures])
    rng = generator(cfg.seed)
    captions = [caption(p.subject, p.views, p.bad_words, rng) for p in pictures]
    found = torch.empty(len(FIFTHS), len(pictures))
    u = draw("prior-losses/t").uniform(len(pictures), len(FIFTHS))
    for start in tqdm(range(0, len(pictures), BATCH)):
        part = slice(start, start + BATCH)
        z = prior.encode(images[part], Streams(cfg.seed, start)("prior-losses/vae")).detach()
        text = prior.embed(captions[part])
        for row, (low, high) in enumerate(FIFTHS):
            t = (low + (high - low) * u[part, row]).long()
            eps = Streams(cfg.seed, start)(f"prior-losses/{row}").normal(*z.shape)
            bar = prior.alphas_cumprod[t][:, None, None, None]
            said = prior.predict_noise(bar.sqrt() * z + (1 - bar).sqrt() * eps, t, text)
            found[row, part] = (said - eps).square().mean((1, 2, 3))
    return found


def measure(cfg: Settings, prior: Prior) -> str:
    """Render, noise, ask; returns a table in Markdown."""
    sorts = []
    for seed in (0, FRESH):
        taken = [p for p in shard(seed, 0, round(1.3 * cfg.pictures) + 4) if not p.bad_words]
        sorts.append(errors(prior, taken[: cfg.pictures], cfg))
    lines = ["| t | pictures it was taught | fresh ones | gap |", "|---|---:|---:|---:|"]
    for (low, high), seen, fresh in zip(FIFTHS, *sorts, strict=True):
        spread = 1.96 * (seen.var() / len(seen) + fresh.var() / len(fresh)).sqrt()
        gap = f"{fresh.mean() - seen.mean():+.4f} ± {spread:.4f}"
        lines.append(f"| {low} to {high} | {seen.mean():.4f} | {fresh.mean():.4f} | {gap} |")
    return "\n".join(lines) + "\n"


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    out = to_write(cfg.out)
    text = measure(cfg, load_prior(PriorConfig(path=cfg.path), "cpu"))
    write_atomically(out, text.encode())
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
