"""Everything a prior tells a loss about one batch of latents.

A branch is one way of asking the prior about the same noised latents: `cond` with the prompt, `uncond` with
the empty prompt, `negative` with p_neg.  Every prediction is a noise eps(z_t; text, t), where z_t = alpha z +
sigma noise.  Where the prompt's front view is held against the others (prompts.perp_neg), `cond` has it
subtracted, so that every loss has.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from src.guidance.prior import Prior
from src.guidance.prompts import Text
from src.streams import upload

BRANCHES = ("cond", "uncond", "negative")


@dataclass(frozen=True)
class ScoreTerms:
    """Predictions of one noised batch, without graph; rows of a branch that nobody asked for are NaN.

    alpha and sigma are [B, 1, 1, 1], so that nothing is spread along the wrong axis by accident.
    """

    t: Int[Tensor, "B"]
    alpha: Float[Tensor, "B 1 1 1"]
    sigma: Float[Tensor, "B 1 1 1"]
    noise: Float[Tensor, "B C h w"]
    cond: Float[Tensor, "B C h w"]
    uncond: Float[Tensor, "B C h w"]
    negative: Float[Tensor, "B C h w"]
    unet_rows: int  # how many rows the UNet evaluated for this batch

    def guided(self, scale: float) -> Float[Tensor, "B C h w"]:
        """Return uncond + scale (cond - uncond): classifier-free guidance, eq. 1 of NFSD; scale 1 is cond."""
        return self.uncond + scale * (self.cond - self.uncond)


def score_terms(
    prior: Prior,
    latents: Float[Tensor, "B C h w"],
    noise: Float[Tensor, "B C h w"],
    t: Int[Tensor, "B"],
    text: Text,
    needs: Mapping[str, Bool[Tensor, "B"]],
) -> ScoreTerms:
    """Noise the latents to time t and ask the prior, in one UNet call, for exactly the rows that are needed.

    `needs` maps a branch to the samples that want it; it and `t` are on the processor, which counts rows.
    """
    latents = latents.detach()
    if text.front is not None:
        needs = {**needs, "front": needs["cond"]}
    picked = [mask.nonzero().squeeze(1) for mask in needs.values()]
    t, every_row = upload(torch.cat([t, *picked]), latents.device).split([len(t), sum(map(len, picked))])
    rows = dict(zip(needs, every_row.split([len(row) for row in picked]), strict=True))

    alpha_bar = prior.alphas_cumprod[t].view(-1, 1, 1, 1)
    alpha, sigma = alpha_bar.sqrt().to(latents), (1 - alpha_bar).sqrt().to(latents)
    noised = alpha * latents + sigma * noise

    every_text = torch.cat([getattr(text, branch)[row] for branch, row in rows.items()])
    predicted = prior.predict_noise(noised[every_row], t[every_row], every_text)

    branches = {branch: torch.full_like(latents, torch.nan) for branch in (*BRANCHES, "front")}
    parts = predicted.split([len(row) for row in rows.values()])
    for (branch, row), part in zip(rows.items(), parts, strict=True):
        branches[branch][row] = part
    front = branches.pop("front")
    if text.front_weight is not None:
        weight = text.front_weight.to(latents).view(-1, 1, 1, 1)
        cond, uncond = branches["cond"], branches["uncond"]
        branches["cond"] = cond - weight * perpendicular(front - uncond, cond - uncond)
    return ScoreTerms(t=t, alpha=alpha, sigma=sigma, noise=noise, unet_rows=len(every_row), **branches)


def perpendicular(
    other: Float[Tensor, "B C h w"], wanted: Float[Tensor, "B C h w"]
) -> Float[Tensor, "B C h w"]:
    """Return the part of `other` at right angles to `wanted`, sample by sample.

    Subtracting that part takes nothing from what is wanted: Perp-Neg, Armandpour et al. 2023.
    """
    a, b = other.flatten(1), wanted.flatten(1)
    share = (a * b).sum(1) / (b * b).sum(1).clamp(min=torch.finfo(b.dtype).tiny)
    return other - share.view(-1, 1, 1, 1) * wanted
