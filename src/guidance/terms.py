"""Everything a prior tells a loss about one batch of latents.

A branch is one way of asking about the same noised latents: `cond` with the prompt, `uncond` with the empty
prompt, `negative` with p_neg, `critic` a network that was fitted to what is shown.  `source_cond` and
`source_uncond` ask about what an edit began from, under the same noise.  Every prediction is a noise eps(z_t;
text, t), where z_t = alpha z + sigma noise.  Where the prompt's front view is held against the others
(prompts.perp_neg), `cond` has it subtracted, so that every loss has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from src.guidance.critic import Critic
from src.guidance.prior import Prior
from src.guidance.prompts import Text
from src.streams import upload

BRANCHES = ("cond", "uncond", "negative")
SOURCE = "source_"  # begins the names of branches that ask about what an edit began from


class Question(NamedTuple):
    """What a step asks about: latents, how they are noised, what they should show, from where they are seen.

    With a source, also what was there before the edit, and what that shows.
    """

    latents: Float[Tensor, "B C h w"]
    noise: Float[Tensor, "B C h w"]
    t: Int[Tensor, "B"]
    text: Text
    pose: Float[Tensor, "B 16"] | None = None  # camera to world, for a critic; zeros: from nowhere
    source_latents: Float[Tensor, "B C h w"] | None = None
    source_text: Text | None = None


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
    critic: Float[Tensor, "B C h w"]
    unet_rows: int  # how many rows the UNet evaluated for this batch
    reference: "ScoreTerms | None" = None  # of the source, under the same noise

    def guided(self, scale: float) -> Float[Tensor, "B C h w"]:
        """Return uncond + scale (cond - uncond): classifier-free guidance, eq. 1 of NFSD; scale 1 is cond."""
        return self.uncond + scale * (self.cond - self.uncond)


def score_terms(
    prior: Prior, asked: Question, needs: Mapping[str, Bool[Tensor, "B"]], critic: Critic | None = None
) -> ScoreTerms:
    """Noise the latents to time t and ask the prior, in one UNet call, for exactly the rows that are needed.

    `needs` maps a branch to the samples that want it; it and `asked.t` are on the processor, which counts
    rows.  The critic is asked in a call of its own.
    """
    noise, text = asked.noise, asked.text
    latents = asked.latents.detach()
    if text.front is not None:
        needs = {**needs, "front": needs["cond"]}
    picked = [mask.nonzero().squeeze(1) for mask in needs.values()]
    t, *every = upload(torch.cat([asked.t, *picked]), latents.device).split([len(noise), *map(len, picked)])
    rows = dict(zip(needs, every, strict=True))
    alpha_bar = prior.alphas_cumprod[t].view(-1, 1, 1, 1)
    alpha, sigma = alpha_bar.sqrt().to(latents), (1 - alpha_bar).sqrt().to(latents)
    noised = alpha * latents + sigma * noise
    found = {branch: torch.full_like(latents, torch.nan) for branch in (*BRANCHES, "critic", "front")}

    if critic is not None:
        own = rows.pop("critic")
        with torch.no_grad():
            assert asked.pose is not None
            found["critic"][own] = critic.predict(noised[own], t[own], asked.pose[own])
    every_noised = noised
    if asked.source_latents is not None:
        every_noised = torch.cat([noised, alpha * asked.source_latents.detach() + sigma * noise])
        found |= {f"{SOURCE}{branch}": torch.full_like(latents, torch.nan) for branch in ("cond", "uncond")}

    def words(branch: str) -> Float[Tensor, "B L D"]:
        said = asked.source_text if branch.startswith(SOURCE) else text
        return getattr(said, branch.removeprefix(SOURCE))

    every_row = torch.cat([row + len(t) * branch.startswith(SOURCE) for branch, row in rows.items()])
    every_text = torch.cat([words(branch)[row] for branch, row in rows.items()])
    predicted = prior.predict_noise(every_noised[every_row], t[every_row % len(t)], every_text)
    parts = predicted.split([len(row) for row in rows.values()])
    for (branch, row), part in zip(rows.items(), parts, strict=True):
        found[branch][row] = part

    front = found.pop("front")
    if text.front_weight is not None:
        weight = text.front_weight.to(latents).view(-1, 1, 1, 1)
        cond, uncond = found["cond"], found["uncond"]
        found["cond"] = cond - weight * perpendicular(front - uncond, cond - uncond)
    reference = None
    if asked.source_latents is not None:
        cond, uncond = (found.pop(f"{SOURCE}{branch}") for branch in ("cond", "uncond"))
        nothing = torch.full_like(latents, torch.nan)
        reference = ScoreTerms(t, alpha, sigma, noise, cond, uncond, nothing, nothing, unet_rows=0)
    unet_rows = sum(map(len, picked))
    cond, uncond, negative, by_critic = (found[branch] for branch in (*BRANCHES, "critic"))
    return ScoreTerms(
        t, alpha, sigma, noise, cond, uncond, negative, by_critic, unet_rows=unet_rows, reference=reference
    )


def perpendicular(
    other: Float[Tensor, "B C h w"], wanted: Float[Tensor, "B C h w"]
) -> Float[Tensor, "B C h w"]:
    """Return the part of `other` at right angles to `wanted`, sample by sample.

    Subtracting that part takes nothing from what is wanted: Perp-Neg, Armandpour et al. 2023.
    """
    a, b = other.flatten(1), wanted.flatten(1)
    share = (a * b).sum(1) / (b * b).sum(1).clamp(min=torch.finfo(b.dtype).tiny)
    return other - share.view(-1, 1, 1, 1) * wanted
