"""Pictures straight from a prior: DDIM and ancestral sampling with classifier-free guidance."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from src.guidance.prior import Prior
from src.streams import Stream


def ddim(
    prior: Prior, prompts: list[str], scale: float, steps: int, noise: Stream, eta: float = 0.0
) -> Float[Tensor, "B C h w"]:
    """Sample latents by DDIM with classifier-free guidance, from nothing but noise.

    eta = 0 is deterministic, eta = 1 ancestral. View i of `noise` starts sample i, so a sample does not
    depend on how many others are drawn.
    """
    z = noise.normal(len(prompts), *prior.latent_shape).to(prior.device)
    return denoised(prior, z, 999, prompts, scale, steps, noise, eta)


def denoised(
    prior: Prior,
    z: Float[Tensor, "B C h w"],
    start: int,
    prompts: list[str],
    scale: float,
    steps: int,
    noise: Stream,
    eta: float = 0.0,
) -> Float[Tensor, "B C h w"]:
    """Take latents `z` at timestep `start` to 0 in `steps` of DDIM (Song et al. 2021, eq. 12 and 16)."""
    text = prior.embed([*prompts, ""])
    cond, uncond = text[:-1], text[-1:].expand(len(prompts), -1, -1)
    times = np.linspace(start, 0, steps + 1).round().astype(int)
    for now, then in pairwise(times):
        t = torch.full((2 * len(prompts),), int(now), device=prior.device)
        eps_cond, eps_uncond = prior.predict_noise(torch.cat([z, z]), t, torch.cat([cond, uncond])).chunk(2)
        eps = eps_uncond + scale * (eps_cond - eps_uncond)
        bar, next_bar = prior.alphas_cumprod[now].item(), prior.alphas_cumprod[then].item()
        clean = (z - (1 - bar) ** 0.5 * eps) / bar**0.5
        fresh = eta**2 * (1 - next_bar) / (1 - bar) * (1 - bar / next_bar)  # variance of this step's noise
        z = next_bar**0.5 * clean + (1 - next_bar - fresh) ** 0.5 * eps
        if eta:
            z = z + fresh**0.5 * noise.normal(*z.shape).to(z)
    return clean
