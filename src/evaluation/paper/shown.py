"""The pictures that the paper's figures 2 and 4 start from: in-domain ones, with what they are called.

Before the bundled prior these are photographs of the toy world that nobody was trained on, because their
true silhouettes are known; before any other, as in the paper, the prior's own samples.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from src.evaluation.solids import instance
from src.guidance.prior import Prior
from src.guidance.prompts import PromptConfig, view_words
from src.guidance.sampling import ddim
from src.scene.cameras import sample_cameras
from src.streams import Streams
from src.toybox.world.captions import Subject, subjects

FRESH = 2 * 10**6  # added to seeds of solids: instances that neither prior nor judge has seen
TURN = 0.6  # radians that the first pictures, which are looked at, are turned from their front
AT_ONCE = 16


class Shown(NamedTuple):
    """Pictures in [0, 1], their latents and captions; silhouettes, if known, as shares of latents' cells."""

    images: Float[Tensor, "N 3 H W"]
    latents: Float[Tensor, "N C h w"]
    captions: list[str]
    silhouettes: Float[Tensor, "N h w"] | None


def photographs(prior: Prior, count: int, seed: int) -> Shown:
    """Pictures of the toy world: a lion, a marble elephant, and others; raises UserError without numba."""
    told = [Subject("lion"), Subject("elephant", material="marble"), *subjects(count, seed)][:count]
    tables = [instance(subject.kind, seed + FRESH + i, subject.base) for i, subject in enumerate(told)]
    # Imported here because it compiles, and `instance` says what to do where the compiler is missing.
    from src.toybox.world.pictures import (
        FRONT_DEGREES,
        SIZE,
        TOY_CAMERA,
        backdrop,
        generator,
        key_light,
        photograph,
    )

    cameras = sample_cameras(TOY_CAMERA, count, SIZE, Streams(seed, 0)("paper/camera"))
    azimuth = torch.where(torch.arange(count) < 2, TURN, cameras.azimuth)
    cameras = cameras._replace(azimuth=azimuth)
    pictures, outlines = [], []
    for i, subject in enumerate(told):
        camera, rng = cameras.one(i), generator(seed, 11, i)
        light = key_light(float(camera.azimuth[0]), 30.0, 55.0)
        picture = torch.from_numpy(photograph(tables[i], subject, light, camera)).float()
        behind = torch.from_numpy(backdrop(rng, camera)).float()
        pictures.append(picture[..., :3] + behind * (1 - picture[..., 3:]))
        outlines.append(picture[..., 3])
    images = torch.stack(pictures).permute(0, 3, 1, 2).clamp(0, 1).to(prior.device)
    side = prior.latent_shape[-1]
    silhouettes = functional.interpolate(torch.stack(outlines)[:, None], (side, side), mode="area")[:, 0]
    words = view_words(
        PromptConfig(front_threshold_degrees=FRONT_DEGREES), cameras.azimuth, cameras.elevation
    )
    captions = [subject.phrase() + view for subject, view in zip(told, words, strict=True)]
    return Shown(images, encoded(prior, images, seed), captions, silhouettes.to(prior.device))


def samples(prior: Prior, prompts: Sequence[str], count: int, seed: int) -> Shown:
    """Samples of the prior by DDIM (50 steps, guidance 7.5), the prompts in turn."""
    captions = [prompts[i % len(prompts)] for i in range(count)]
    drawn = []
    for first in range(0, count, AT_ONCE):
        noise = Streams(seed, 0, first, prior.device)("paper/samples")
        drawn.append(ddim(prior, captions[first : first + AT_ONCE], 7.5, 50, noise))
    latents = torch.cat(drawn)
    return Shown(decoded(prior, latents), latents, captions, None)


def encoded(prior: Prior, images: Float[Tensor, "N 3 H W"], seed: int) -> Float[Tensor, "N C h w"]:
    """Latents of pictures, without graph; the autoencoder's own noise depends on the seed alone."""
    found = []
    with torch.no_grad():
        for first in range(0, len(images), AT_ONCE):
            draw = Streams(seed, 0, first, prior.device)("paper/vae")
            found.append(prior.encode(images[first : first + AT_ONCE], draw))
    return torch.cat(found)


def decoded(prior: Prior, latents: Float[Tensor, "N C h w"]) -> Float[Tensor, "N 3 H W"]:
    """Pictures of latents, a few at a time."""
    return torch.cat([prior.decode(some) for some in latents.split(AT_ONCE)])


def zero_colour(prior: Prior) -> Float[Tensor, "3 H W"]:
    """The zero latent decoded: what "nothing" looks like wherever a part of the score is decoded (A.1)."""
    return prior.decode(torch.zeros(1, *prior.latent_shape, device=prior.device))[0]


def gain(part: Float[Tensor, "N C h w"]) -> float:
    """The power of two that brings a part's size nearest to 0.7, to be seen when decoded; latents have 1."""
    return float(2.0 ** round(math.log2(0.7 / float(part.square().mean().sqrt()))))


def linear_colour(shown: Shown) -> Float[Tensor, "3"]:
    """How much of each colour a linear map of the latents explains, cell by cell (R^2): A.1's premise."""
    side = shown.latents.shape[-1]
    cells = functional.interpolate(shown.images, (side, side), mode="area").permute(0, 2, 3, 1).reshape(-1, 3)
    known = shown.latents.permute(0, 2, 3, 1).reshape(len(cells), -1)
    known = torch.cat([known, torch.ones_like(known[:, :1])], 1)
    left = cells - known @ torch.linalg.lstsq(known, cells).solution
    return 1 - left.square().mean(0) / cells.var(0)
