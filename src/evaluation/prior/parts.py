"""What each part of NFSD's gradient does to a half-formed picture: `python -m src.evaluation.prior.parts`.

The same solids from the same cameras, clean and as half-formed radiance fields: z and z' in latents.  At z'
the prior is asked for NFSD's three parts, and each is compared with the way to go, z - z' (Katzir et al.
2023, section 4: the domain correction is meant to point from rendered pictures to real ones).
"""

import sys
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from src.arguments import in_range, parse, timesteps, to_write
from src.door import one_sentence
from src.guidance.load import load_prior
from src.guidance.prior import Prior, PriorConfig
from src.guidance.prompts import NEGATIVE_PROMPT, Text
from src.guidance.terms import Question, score_terms
from src.run.checkpoint import write_atomically
from src.streams import Streams
from src.toybox.world.pairs import pairs

PARTS = ("condition", "domain", "restoring")


@dataclass
class Settings:
    """What the command line can change."""

    path: str = "src/toybox/weights"
    pairs: int = 64
    times: str = "100,200,300,400,500,600,700,800,900,980"
    draws: int = 4  # noises that a part is averaged over
    negative: str = NEGATIVE_PROMPT
    seed: int = 0
    out: str = "outputs/prior-parts.md"

    def __post_init__(self) -> None:
        in_range(self, ["pairs"], 2, 1500)
        in_range(self, ["draws"], 1, 1000)
        in_range(self, ["seed"], 0, 2**31)
        timesteps(self.times)


def parts(
    prior: Prior, latents: Float[Tensor, "N C h w"], text: Text, t: int, draws: int, seed: int
) -> dict[str, Float[Tensor, "N C h w"]]:
    """NFSD's parts at these latents, at one t, each the mean over `draws` noises.

    condition: cond - uncond; domain: uncond - negative; restoring: uncond - noise, the part of NFSD's
    domain correction below its cut that does not average out.
    """
    count = len(latents)
    times, everywhere = torch.full((count,), t), torch.ones(count, dtype=torch.bool)
    found = {name: torch.zeros_like(latents) for name in PARTS}
    for draw in range(draws):
        noise = Streams(seed, draw)(f"prior-parts/noise{t}").normal(*latents.shape).to(latents)
        needs = dict.fromkeys(("cond", "uncond", "negative"), everywhere)
        terms = score_terms(prior, Question(latents, noise, times, text), needs)
        found["condition"] += (terms.cond - terms.uncond) / draws
        found["domain"] += (terms.uncond - terms.negative) / draws
        found["restoring"] += (terms.uncond - noise) / draws
    return found


def row(t: int, found: dict[str, Float[Tensor, "N C h w"]], way: Float[Tensor, "N C h w"]) -> str:
    """A line of the table: each part's cosine with `way` under descent, and its root mean square."""
    cells = []
    for part in found.values():
        cosine = torch.cosine_similarity(-part.flatten(1), way.flatten(1))
        error = 1.96 * cosine.std() / len(cosine) ** 0.5
        cells.append(f"{cosine.mean():+.2f} ± {error:.2f} | {part.square().mean().sqrt():.3f}")
    return f"| {t} | {' | '.join(cells)} |"


def measure(cfg: Settings, prior: Prior) -> str:
    """Render pairs, ask the prior; returns a table in Markdown."""
    shown = pairs(cfg.pairs, cfg.seed)
    draw = Streams(cfg.seed, 0)("prior-parts/vae")
    clean, bad = (prior.encode(pictures, draw).detach() for pictures in shown[:2])
    embedded = prior.embed([*shown.captions, "", cfg.negative])
    text = Text(
        embedded[:-2],
        embedded[-2].expand(len(clean), -1, -1),
        embedded[-1].expand(len(clean), -1, -1),
    )
    lines = ["| t | " + " | ".join(f"{name}: cosine | size" for name in PARTS) + " |"]
    lines.append("|---|" + "---:|" * 2 * len(PARTS))
    for t in tqdm(timesteps(cfg.times), desc="t"):
        lines.append(row(t, parts(prior, bad, text, t, cfg.draws, cfg.seed), clean - bad))
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
