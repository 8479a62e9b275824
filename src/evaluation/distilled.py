"""Latents distilled by the one step of training, in memory: what figures and tables in 2-D are made of."""

import hashlib
from contextlib import nullcontext
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from src.assemble import assemble, make_guide
from src.config import RunConfig
from src.generators.latents import Latents
from src.guidance.prior import Prior
from src.step import take_step
from src.streams import Streams


class Distilled(NamedTuple):
    """A run's latents, one a start, and the digest of every number that its steps drew."""

    latents: Float[Tensor, "B C h w"]
    digest: str


def distil(cfg: RunConfig, prior: Prior) -> Distilled:
    """Take cfg.steps steps on latents (generator=latents) and write nothing."""
    run = assemble(cfg, make_guide(cfg, prior), prior.device)
    assert isinstance(run.generator, Latents)
    drawn = hashlib.blake2b(digest_size=8)
    for step in tqdm(range(cfg.steps), desc=f"{cfg.prompt}, {cfg.loss_name}", leave=False):
        draw = Streams(cfg.seed, step, device=prior.device)
        take_step(run, step, draw, lambda _: nullcontext())
        drawn.update(draw.digest().encode())
    return Distilled(run.generator.latents.detach(), drawn.hexdigest())
