"""Numbers for what the paper's captions say of the parts of a score: where they are, what they go with.

Each gives one number a picture.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def size(part: Float[Tensor, "N C h w"]) -> Float[Tensor, "N"]:
    """Root mean square; a drawn noise has 1."""
    return part.square().mean((1, 2, 3)).sqrt()


def cosine(one: Float[Tensor, "N C h w"], other: Float[Tensor, "N C h w"]) -> Float[Tensor, "N"]:
    """Cosine of the angle between two parts, as long vectors."""
    return torch.cosine_similarity(one.flatten(1), other.flatten(1))


def content(latents: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C h w"]:
    """What is in a picture beside its mean colour: its latents less each channel's mean."""
    return latents - latents.mean((2, 3), keepdim=True)


def strength(part: Float[Tensor, "N C h w"]) -> Float[Tensor, "N h w"]:
    """Root mean square over channels: how much of a part there is in each cell."""
    return part.square().mean(1).sqrt()


def inside(part: Float[Tensor, "N C h w"], silhouettes: Float[Tensor, "N h w"]) -> Float[Tensor, "N"]:
    """Share of a part's energy inside the silhouette; of white noise it is the silhouette's area."""
    energy = part.square().mean(1)
    return (energy * silhouettes).sum((1, 2)) / energy.sum((1, 2))


def fine_share(part: Float[Tensor, "N C h w"]) -> Float[Tensor, "N"]:
    """Share of a part's power at more than half of the highest frequency (radially); means left out."""
    side = part.shape[-1]
    power = torch.fft.fft2(part - part.mean((2, 3), keepdim=True)).abs().square().mean(1)
    cycles = torch.fft.fftfreq(side, device=part.device) * side
    fine = (cycles[:, None].square() + cycles.square()).sqrt() > side / 4
    return (power * fine).sum((1, 2)) / power.sum((1, 2))


def common_share(draws: Float[Tensor, "K N C h w"]) -> Float[Tensor, "N"]:
    """Share of a part's energy that K noises have in common: 0 of independent draws, 1 of equal ones.

    It is the unbiased estimate of |E part|^2 / E |part|^2 from pairs of draws; K is at least 2.
    """
    count = len(draws)
    each = draws.square().sum((2, 3, 4))  # [K, N]
    pairs = draws.sum(0).square().sum((1, 2, 3)) - each.sum(0)  # sum over i != j of <part_i, part_j>
    return pairs / (count - 1) / each.sum(0)
