"""Penalties on what the rays saw, so that the object is small, solid and without haze.

Weights are quoted for Stable Diffusion's 64x64x4 latents.  The distillation loss sums over latents, hence it
grows with their number and the penalties are scaled along with it, here and nowhere else.
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from src.errors import UserError
from src.scene.rendering import Rendering

QUOTED_FOR = 64 * 64 * 4  # latent numbers per view


@dataclass
class RegularizerConfig:
    """Weights; defaults of the closest public config (threestudio's prolificdreamer.yaml)."""

    sparsity: float = 10.0
    opaque: float = 1000.0
    opaque_start_step: int = 10_000
    z_variance: float = 0.0
    # With shading on; from the first to the second along so many steps.
    orientation: float = field(default=0.0, metadata={"later": True})
    orientation_after: float = field(default=0.0, metadata={"later": True})
    orientation_steps: int = field(default=5000, metadata={"later": True})

    def __post_init__(self) -> None:
        weights = ("sparsity", "opaque", "opaque_start_step", "z_variance")
        for name in (*weights, "orientation", "orientation_after", "orientation_steps"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"regularizer.{name}={value} must be a finite number not below 0.")


def sparsity(opacity: Float[Tensor, "batch 1 height width"]) -> Float[Tensor, ""]:
    """Mean of sqrt(o^2 + .01): pulls every ray towards emptiness, opaque ones not much harder than faint
    ones.
    """
    return (opacity.square() + 0.01).sqrt().mean()


def opaque(opacity: Float[Tensor, "batch 1 height width"]) -> Float[Tensor, ""]:
    """Mean binary entropy of the opacity, in nats: rays should be either full or empty."""
    inside = opacity.clamp(1e-3, 1 - 1e-3)  # the entropy's slope is infinite at both ends
    return -(inside * inside.log() + (1 - inside) * (1 - inside).log()).mean()


def z_variance(
    variance: Float[Tensor, "batch 1 height width"], opacity: Float[Tensor, "batch 1 height width"]
) -> Float[Tensor, ""]:
    """Mean variance of the termination distance over rays that are more than half opaque; 0 where there are
    none.

    HiFA (Zhu and Zhuang 2023, section 3.3), with the weights normalised to sum to one along each ray.
    """
    solid = opacity > 0.5
    return torch.where(solid, variance, torch.zeros_like(variance)).sum() / solid.sum().clamp(min=1)


def orientation(
    turned_away: Float[Tensor, "batch 1 height width"], opacity: Float[Tensor, "batch 1 height width"]
) -> Float[Tensor, ""]:
    """Mean over the rays that meet anything of how far what they see looks away.

    (Ref-NeRF, Verbin et al. 2022, equation 11; DreamFusion, Poole et al. 2022.)
    """
    return turned_away.sum() / (opacity > 0).sum().clamp(min=1)


def regularize(cfg: RegularizerConfig, view: Rendering, step: int, latents_numel: int) -> Float[Tensor, ""]:
    """The sum of all penalties at this step, for latents of `latents_numel` numbers per view."""
    total = cfg.sparsity * sparsity(view.opacity)
    if step >= cfg.opaque_start_step:
        total = total + cfg.opaque * opaque(view.opacity)
    if cfg.z_variance:
        total = total + cfg.z_variance * z_variance(view.z_variance, view.opacity)
    if cfg.orientation or cfg.orientation_after:
        part = min(1.0, step / max(1, cfg.orientation_steps))
        weight = cfg.orientation + (cfg.orientation_after - cfg.orientation) * part
        total = total + weight * orientation(view.turned_away, view.opacity)
    return total * (latents_numel / QUOTED_FOR)
