"""What noise of each t hides: `python -m src.evaluation.prior.noise`.

A t means different things to different models: averaging 64x64 latents down to 16x16 multiplies the
signal-to-noise ratio by 16.  So fresh pictures of the world are noised to t and denoised again without a
prompt, and the judge says whether the kind, the colour and the side that it sees are those of before.
Distillation can decide only what noise of its t hides.
"""

import sys
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from src.arguments import in_range, parse, timesteps, to_write
from src.door import one_sentence
from src.evaluation.judge.judge import BUNDLED, Judge, load_judge
from src.evaluation.judge.wording import Saying
from src.evaluation.prior.score import Answer, ask
from src.guidance.load import load_prior
from src.guidance.prior import Prior, PriorConfig
from src.guidance.sampling import denoised
from src.run.checkpoint import write_atomically
from src.streams import Streams
from src.toybox.world.pictures import shard
from src.toybox.world.portraits import FRESH

ASKED = ("kind", "color", "view")
BATCH = 24


@dataclass
class Settings:
    """What the command line can change."""

    path: str = "src/toybox/weights"
    pictures: int = 96
    times: str = "100,200,300,400,500,600,700,800,900,980"
    steps: int = 25  # of DDIM from t = 999; from lower t in proportion
    seed: int = 0
    judge: str = BUNDLED
    out: str = "outputs/prior-noise.md"

    def __post_init__(self) -> None:
        in_range(self, ["pictures"], 1, 1500)
        in_range(self, ["steps"], 1, 1000)
        in_range(self, ["seed"], 0, 2**31)
        timesteps(self.times)


def fresh(count: int, seed: int) -> tuple[Float[Tensor, "N 3 H W"], list[Saying]]:
    """Clean pictures in [0, 1] that no prior was taught, and what is true of them."""
    taken = [p for p in shard(FRESH + seed, 0, count + count // 4 + 20) if not p.bad_words][:count]
    images = torch.stack([torch.from_numpy(p.pixels[..., :3]).permute(2, 0, 1) / 255 for p in taken])
    return images, [Saying(p.subject, p.views[0].removeprefix(", ")) for p in taken]


@torch.no_grad()
def survivors(
    prior: Prior, images: Float[Tensor, "N 3 H W"], t: int, steps: int, seed: int
) -> Float[Tensor, "N 3 H W"]:
    """The pictures, noised to `t` and denoised without a prompt in `steps` steps of DDIM."""
    found, bar = [], prior.alphas_cumprod[t].item()
    for start, part in enumerate(images.split(BATCH)):
        draw = Streams(seed, start)("prior-noise/noise")
        z = prior.encode(part, draw)
        z = bar**0.5 * z + (1 - bar) ** 0.5 * draw.normal(*z.shape).to(z)
        found.append(prior.decode(denoised(prior, z, t, [""] * len(part), 1.0, steps, draw)))
    return torch.cat(found)


def row(name: str, found: list[Answer]) -> str:
    """A line of the table."""
    cells = []
    for attribute in ASKED:
        right = [one.right for one in found if one.attribute == attribute]
        cells.append(f"{sum(right) / len(right):.0%} of {len(right)}" if right else "-")
    return f"| {name} | {' | '.join(cells)} |"


def measure(cfg: Settings, judge: Judge, prior: Prior) -> str:
    """Noise, denoise, ask; returns a table in Markdown."""
    images, said = fresh(cfg.pictures, cfg.seed)
    lines = [f"| t | {' | '.join(ASKED)} |", "|---|" + "---|" * len(ASKED)]
    lines.append(row("the picture itself", ask(judge, images, said)))
    for t in tqdm(timesteps(cfg.times), desc="t"):
        steps = max(1, round(cfg.steps * t / 999))
        lines.append(row(str(t), ask(judge, survivors(prior, images, t, steps, cfg.seed), said)))
    return "\n".join(lines) + "\n"


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    out = to_write(cfg.out)
    text = measure(cfg, load_judge(cfg.judge), load_prior(PriorConfig(path=cfg.path), "cpu"))
    write_atomically(out, text.encode())
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
