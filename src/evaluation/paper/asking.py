"""What the prior predicts for noised pictures, at one t for all of them."""

import torch
from jaxtyping import Float
from torch import Tensor

from src.guidance.prior import Prior
from src.guidance.prompts import Text
from src.guidance.terms import Question, ScoreTerms, score_terms
from src.streams import Streams

AT_ONCE = 32


def noise_like(latents: Float[Tensor, "N C h w"], seed: int, draw: int) -> Float[Tensor, "N C h w"]:
    """The `draw`-th noise of every picture: the same at every t, as in the paper's figures."""
    return Streams(seed, draw, device=latents.device)("paper/noise").normal(*latents.shape).to(latents)


def ask(
    prior: Prior,
    latents: Float[Tensor, "N C h w"],
    noise: Float[Tensor, "N C h w"],
    t: int,
    captions: list[str] | None = None,
) -> tuple[Float[Tensor, "N C h w"], Float[Tensor, "N C h w"]]:
    """Return eps(z_t; y, t) and eps(z_t; "", t); the first is all nan where there are no captions."""
    uncond = prior.embed([""])
    found: list[ScoreTerms] = []
    for first in range(0, len(latents), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        count = len(latents[some])
        everywhere = torch.ones(count, dtype=torch.bool)
        nothing = uncond.expand(count, -1, -1)
        needs = {"uncond": everywhere}
        cond = nothing
        if captions is not None:
            needs["cond"], cond = everywhere, prior.embed(captions[some])
        t_each = torch.full((count,), t)
        text = Text(cond, nothing, nothing)
        found.append(score_terms(prior, Question(latents[some], noise[some], t_each, text), needs))
    return torch.cat([terms.cond for terms in found]), torch.cat([terms.uncond for terms in found])


def noise_ratio(prior: Prior, t: int) -> float:
    """sigma / alpha of a t: how a difference of noises is written as a difference of latents."""
    squared = prior.alphas_cumprod[t].item()
    return float(((1 - squared) / squared) ** 0.5)
