"""Distillation losses.  A loss is the direction in which it pushes the latents; everything else is shared.

The gradient with respect to the latents z is w(t) direction(terms), with w(t) = alpha^a sigma^b.  In the
letters of NFSD (Katzir et al. 2023, section 3), delta_C = eps(z_t; y) - eps(z_t; "") is the condition
direction and delta_D the domain correction.  Each class is the Hydra node of its own settings.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from src.errors import UserError
from src.guidance.terms import SOURCE, ScoreTerms

SCALE = {"range": (0.0, 1e6)}
POWER = {"range": (-4.0, 4.0)}


@dataclass
class DistillationLoss(ABC):
    """Gradient with respect to the latents: alpha^alpha_power sigma^sigma_power direction(terms)."""

    guidance_scale: float = field(metadata=SCALE)
    alpha_power: float = field(default=0.0, metadata=POWER)
    sigma_power: float = field(default=2.0, metadata=POWER)  # w = sigma^2 is DreamFusion's; NFSD states none

    def __post_init__(self) -> None:
        for setting in fields(self):
            value, (low, high) = getattr(self, setting.name), setting.metadata["range"]
            if not low <= value <= high:  # NaN lies in no range
                raise UserError(f"loss.{setting.name}={value} is out of range: choose {low:g} to {high:g}")

    def needs(self, t: Int[Tensor, "B"]) -> dict[str, Bool[Tensor, "B"]]:
        """Mark, for each branch that the loss reads, the samples for which it reads it: two, if no more."""
        everywhere = torch.ones_like(t, dtype=torch.bool)
        return {"cond": everywhere, "uncond": everywhere}

    @abstractmethod
    def direction(self, terms: ScoreTerms) -> Float[Tensor, "B C h w"]:
        """Return the gradient before its weight w(t)."""

    def weight(self, terms: ScoreTerms) -> Float[Tensor, "B 1 1 1"]:
        """Return w(t) = alpha^alpha_power sigma^sigma_power."""
        return terms.alpha**self.alpha_power * terms.sigma**self.sigma_power

    def __call__(self, terms: ScoreTerms) -> Float[Tensor, "B C h w"]:
        """Return the gradient of each sample with respect to its latents; descent subtracts it."""
        return self.weight(terms) * self.direction(terms)


@dataclass
class SDS(DistillationLoss):
    """Score distillation sampling: guided(s) - noise (DreamFusion, Poole et al. 2022, eq. 3; NFSD eq. 2)."""

    guidance_scale: float = field(default=100.0, metadata=SCALE)

    def direction(self, terms: ScoreTerms) -> Float[Tensor, "B C h w"]:
        return terms.guided(self.guidance_scale) - terms.noise


@dataclass
class SJC(SDS):
    """Score Jacobian chaining in its variance-reduced form (Wang et al. 2022): SDS with w = 1."""

    sigma_power: float = field(default=0.0, metadata=POWER)


@dataclass
class CSD(DistillationLoss):
    """Classifier score distillation: s delta_C alone (Yu et al. 2023).

    Its scale only matters against the regularisers; the default puts it beside NFSD's condition part.
    """

    guidance_scale: float = field(default=7.5, metadata=SCALE)

    def direction(self, terms: ScoreTerms) -> Float[Tensor, "B C h w"]:
        return self.guidance_scale * (terms.cond - terms.uncond)


@dataclass
class NFSD(DistillationLoss):
    """Noise-free score distillation: delta_D + s delta_C (Katzir et al. 2023, eq. 6 and 7).

    Only samples with t < cut pull the image back to the prior; the others push it, wherever it may be.  So
    the balance of the two is a setting: `weight_below_cut` multiplies w(t) where t < cut (the paper's is 1).
    """

    guidance_scale: float = field(default=7.5, metadata=SCALE)
    cut: int = field(default=200, metadata={"range": (0, 1000)})
    weight_below_cut: float = field(default=1.0, metadata=SCALE)

    def needs(self, t: Int[Tensor, "B"]) -> dict[str, Bool[Tensor, "B"]]:
        return {**super().needs(t), "negative": t >= self.cut}

    def direction(self, terms: ScoreTerms) -> Float[Tensor, "B C h w"]:
        below = (terms.t < self.cut).view(-1, 1, 1, 1)
        domain = torch.where(below, terms.uncond, terms.uncond - terms.negative)
        direction = domain + self.guidance_scale * (terms.cond - terms.uncond)
        return torch.where(below, self.weight_below_cut * direction, direction)


@dataclass
class VSD(DistillationLoss):
    """Variational score distillation: guided(s) - critic (Wang et al. 2023, eq. 9; NFSD eq. 10).

    The critic is fitted beside to what is shown (src/guidance/critic.py); one that says the noise is SDS.
    """

    guidance_scale: float = field(default=7.5, metadata=SCALE)

    def needs(self, t: Int[Tensor, "B"]) -> dict[str, Bool[Tensor, "B"]]:
        return {**super().needs(t), "critic": torch.ones_like(t, dtype=torch.bool)}

    def direction(self, terms: ScoreTerms) -> Float[Tensor, "B C h w"]:
        return terms.guided(self.guidance_scale) - terms.critic


@dataclass
class DDS(DistillationLoss):
    """Delta denoising score: guided(s) - the source's guided(s) (Hertz et al. 2023, eq. 3; NFSD eq. 8)."""

    guidance_scale: float = field(default=7.5, metadata=SCALE)
    sigma_power: float = field(default=0.0, metadata=POWER)

    def needs(self, t: Int[Tensor, "B"]) -> dict[str, Bool[Tensor, "B"]]:
        now = super().needs(t)
        return now | {f"{SOURCE}{branch}": mask for branch, mask in now.items()}

    def direction(self, terms: ScoreTerms) -> Float[Tensor, "B C h w"]:
        assert terms.reference is not None
        return terms.guided(self.guidance_scale) - terms.reference.guided(self.guidance_scale)


def surrogate(latents: Float[Tensor, "B C h w"], grad: Float[Tensor, "B C h w"]) -> Float[Tensor, ""]:
    """Return a scalar whose derivative by the latents is exactly grad / B; its value means nothing.

    The usual squared distance to the target z - grad is not exact: its derivative is z - (z - grad), in which
    small gradients are lost to rounding.
    """
    return (latents * (grad.detach() / len(latents))).sum()


def component_norms(terms: ScoreTerms, loss: NFSD) -> dict[str, Float[Tensor, "B"]]:
    """Return the root mean square of each part of NFSD's gradient, per sample; NaN where t lacks the part.

    `condition` is w s delta_C, and `domain` w delta_D for t >= cut.  For t < cut, `restoring` is w (uncond -
    noise): delta_D less the drawn noise, which averages out but would drown the pull towards the prior.
    """
    below = (terms.t < loss.cut).view(-1, 1, 1, 1)
    weight = loss.weight(terms) * torch.where(below, loss.weight_below_cut, 1.0)
    parts = {
        "condition": loss.guidance_scale * (terms.cond - terms.uncond),
        "domain": terms.uncond - terms.negative,
        "restoring": torch.where(below, terms.uncond - terms.noise, torch.nan),
    }
    return {name: (weight * part).square().mean(dim=(1, 2, 3)).sqrt() for name, part in parts.items()}
