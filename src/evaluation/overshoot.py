"""How far past the guided mean a loss should drive latents, and how far they are.

Only t < cut pulls NFSD's latents back, so for Gaussians they rest at mu_g + R (mu_g - mu_neg), mu_g being the
guided mean, mu_neg that of the negative prompt.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from src.config import RunConfig
from src.guidance.losses import CSD, NFSD
from src.guidance.prior import Prior


def overshoot(cfg: RunConfig, prior: Prior, deviation: float) -> float:
    """R = sum of w k over t >= cut / sum of w k over t < cut, k = sigma alpha / (alpha^2 d^2 + sigma^2).

    `deviation` is d, that of a prompt's latents; the t are those of the end of the run.  Losses that pull
    back at every t do not overshoot: 0; CSD, which is the condition alone, pulls back at none: infinite.
    """
    if isinstance(cfg.loss, CSD):
        return float("inf")
    if not isinstance(cfg.loss, NFSD):
        return 0.0
    stage, cut = cfg.schedule.at(cfg.steps - 1), cfg.loss.cut
    t = torch.arange(stage.t_min, stage.t_max + 1)
    squared = prior.alphas_cumprod[t].cpu()
    alpha, sigma = squared.sqrt(), (1 - squared).sqrt()
    pull = alpha**cfg.loss.alpha_power * sigma**cfg.loss.sigma_power * sigma * alpha
    pull = pull / (squared * deviation**2 + 1 - squared)
    below = float(pull[t < cut].sum()) * cfg.loss.weight_below_cut
    return float(pull[t >= cut].sum()) / below if below else float("inf")


def past(
    latents: Float[Tensor, "N C h w"], own: Float[Tensor, "M C h w"], bad: Float[Tensor, "M C h w"]
) -> float | None:
    """How far past the samples' mean the latents' mean lies: x of z* = mu_g + x (mu_g - mu_neg).

    `own` are samples at the loss's own scale, `bad` of the negative prompt, unguided.  For Gaussians NFSD's x
    is R (`overshoot`); across that line latents may be anywhere.  A product takes its two means from
    different halves of the samples: from the same ones it would hold the square of their error, which
    draws x below what it is.  None where the halves do not agree on the way there.
    """
    goals, bads = ([half.mean(0) for half in each.chunk(2)] for each in (own, bad))
    ways = [goal - other for goal, other in zip(goals, bads, strict=True)]
    gone = [latents.mean(0) - goal for goal in goals]
    length = (ways[0] * ways[1]).sum()
    crossed = 0.5 * ((gone[0] * ways[1]).sum() + (gone[1] * ways[0]).sum())
    return float(crossed / length) if length > 0 else None


def spread(latents: Float[Tensor, "N C h w"], of_prompt: int) -> float:
    """Root mean square deviation of a prompt's latents from their own mean; `of_prompt` in a row each."""
    groups = latents.unflatten(0, (-1, of_prompt))
    return float(groups.var(1).mean().sqrt())
