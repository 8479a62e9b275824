"""One step of training, told in the order in which data flows.

Camera, rays, image, latents, noise predictions, score terms, gradient, optimiser step.  Training, the
pre-flight and the benchmark take this same step; `part` says whose time it is.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim import Optimizer

from src.config import RunConfig
from src.errors import UserError
from src.guidance.losses import surrogate
from src.guidance.prior import Prior
from src.guidance.prompts import PromptBank
from src.guidance.terms import ScoreTerms, score_terms
from src.guidance.timesteps import sample_timesteps
from src.model import Model
from src.scene.cameras import Cameras, sample_cameras
from src.scene.regularizers import regularize
from src.scene.rendering import Rendering, render
from src.streams import Streams

Part = Callable[[str], AbstractContextManager[None]]  # one of log.PARTS


class Step(NamedTuple):
    """What a step saw and found, without graph; `t` and everything in `terms` has one row per view.

    `t` is on the processor, whatever the device.
    """

    view: Rendering
    t: Int[Tensor, "B"]
    latents: Float[Tensor, "B C h w"]
    terms: ScoreTerms
    grad: Float[Tensor, "B C h w"]
    penalty: Float[Tensor, ""]


def take_step(
    cfg: RunConfig,
    model: Model,
    optimizer: Optimizer,
    prior: Prior,
    prompts: PromptBank,
    step: int,
    draw: Streams,
    part: Part,
    t: Int[Tensor, "B"] | None = None,
    camera: Cameras | None = None,
) -> Step:
    """Take one optimiser step from `draw`'s numbers; `t` or `camera` given replaces the step's own."""
    stage = cfg.schedule.at(step)
    field, background, occupancy = model

    # Parameters to image.
    with part("render"):
        occupancy.update(field, draw("occupancy"), step)
        if camera is None:
            camera = sample_cameras(cfg.camera, cfg.batch_size, stage.resolution, draw.here("camera"))
        view = render(field, background, occupancy, camera, cfg.render, draw)

    # Image to the gradient of its latents.
    with part("encode"):
        latents = prior.encode(view.image, draw("vae"))
    with part("unet"):
        if t is None:
            t = sample_timesteps(stage.t_min, stage.t_max, cfg.batch_size, draw.here("t"))
        noise = draw("noise").normal(*latents.shape)
        text = prompts(camera.azimuth, camera.elevation)
        terms = score_terms(prior, latents, noise, t, text, cfg.loss.needs(t))
        grad = cfg.loss(terms)  # the whole difference between methods

    # Gradient to parameters.
    with part("backward"):
        penalty = regularize(cfg.regularizer, view, step, latents[0].numel())
        total = surrogate(latents, grad) + penalty
        # Maps that no gradient flows to (depth, most of the time) let go of their graph: while they held it,
        # backward would keep their part of every chunk that it computes again, 24 bytes a sample.
        view = Rendering(*(map_.detach() for map_ in view))
        total.backward()
    with part("optimiser"):
        refuse_what_is_not_finite(step, optimizer, grad, penalty)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return Step(view, t, latents.detach(), terms, grad, penalty.detach())


def refuse_what_is_not_finite(
    step: int, optimizer: Optimizer, grad: Float[Tensor, "B C h w"], penalty: Float[Tensor, ""]
) -> None:
    """Raise UserError, naming what is not finite, if anything is; the host waits for the device once."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norms = {
        "the latents' gradient": grad.norm(),
        "the penalty": penalty.detach(),
        "the parameters' gradient": torch.nn.utils.get_total_norm(gradients),
    }
    for name, norm in zip(norms, torch.stack(list(norms.values())).tolist(), strict=True):
        if not math.isfinite(norm):
            raise UserError(
                f"step {step}: {name} is {norm}, and nothing has been changed by it; the last checkpoint is "
                "kept: choose prior.precision=bfloat16 if it was float16 that overflowed, or lower "
                "optimizer.lr_encoding and its neighbours or loss.guidance_scale, and start over"
            )


def most_rows(cfg: RunConfig, t_min: int, t_max: int) -> Int[Tensor, ""]:
    """Return a timestep of t_min ... t_max for which the loss asks the UNet for the most rows."""
    every = torch.arange(t_min, t_max + 1)
    return every[rows_at(cfg, every).argmax()]


def rows_at(cfg: RunConfig, t: Int[Tensor, "N"]) -> Int[Tensor, "N"]:
    """Return how many rows the loss asks the UNet for at each of these timesteps."""
    held_against = int(cfg.prompts.perp_neg > 0)
    return torch.stack([mask.long() for mask in cfg.loss.needs(t).values()]).sum(0) + held_against
