"""The same solids from the same cameras, clean and as half-formed radiance fields."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from src.guidance.prompts import PromptConfig, view_words
from src.scene.cameras import sample_cameras
from src.streams import Streams
from src.toybox.world.captions import subjects
from src.toybox.world.pictures import FRONT_DEGREES, SIZE, TOY_CAMERA, half_formed, key_light, photograph
from src.toybox.world.portraits import FRESH
from src.toybox.world.shapes import build

GREY = 0.8


class Pairs(NamedTuple):
    """Pictures in [0, 1] of the same solids from the same cameras, and their captions with view words."""

    clean: Float[Tensor, "N 3 H W"]
    half_formed: Float[Tensor, "N 3 H W"]
    captions: list[str]


def pairs(count: int, seed: int) -> Pairs:
    """Solids of the world before light grey, as photographs and as half-formed radiance fields."""
    cameras = sample_cameras(TOY_CAMERA, count, SIZE, Streams(seed, 0)("prior-parts/camera"))
    told = PromptConfig(front_threshold_degrees=FRONT_DEGREES)
    words = view_words(told, cameras.azimuth, cameras.elevation)
    pictures: tuple[list[Tensor], list[Tensor]] = ([], [])
    said = subjects(count, seed)
    for i, subject in enumerate(said):
        rng, camera = np.random.default_rng([seed + FRESH, i]), cameras.one(i)
        table = build(subject.kind, rng, base=subject.base)
        light = key_light(float(camera.azimuth[0]), 30.0, 55.0)
        for found, rgba in zip(
            pictures,
            (photograph(table, subject, light, camera), half_formed(table, subject, camera, rng)),
            strict=True,
        ):
            picture = torch.from_numpy(rgba).float()
            found.append(picture[..., :3] + GREY * (1 - picture[..., 3:]))
    clean, bad = (torch.stack(found).permute(0, 3, 1, 2).clamp(0, 1) for found in pictures)
    return Pairs(clean, bad, [subject.phrase() + view for subject, view in zip(said, words, strict=True)])
