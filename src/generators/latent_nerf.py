"""A radiance field of latents: its picture is what the prior sees (Metzer et al. 2022, "Latent-NeRF").

No encoder is asked, which is half of a step's price; for the eye latents become colours by a small matrix.
From cfg.rgb_start_step on the same scene is seen in these colours and encoded: the paper's RGB stage.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from src.config import RunConfig
from src.export.panels import Frame
from src.export.video import export, preview
from src.generator import Part, Seen
from src.guidance.prior import Prior
from src.guidance.schedule import Stage
from src.model import Model, in_color, parameter_groups
from src.scene.cameras import Cameras, sample_cameras
from src.scene.latent_field import LatentField, fit_colors
from src.scene.regularizers import regularize
from src.scene.rendering import render
from src.streams import Streams

PATCHES, PATCH_CELLS = (
    32,
    4,
)  # pictures that the colour map is fitted to, of so many smooth patches along an edge


class LatentNeRF:
    """Cameras drawn at every step, and latents rendered; more rays than latents are averaged."""

    def __init__(self, cfg: RunConfig, model: Model, prior: Prior) -> None:
        self.cfg, self.model, self._prior = cfg, model, prior
        assert isinstance(model.field, LatentField)
        with torch.no_grad():
            model.field.colors.matrix.copy_(color_map(prior, Streams(cfg.seed, 0)))

    def __call__(
        self, stage: Stage, step: int, draw: Streams, part: Part, camera: Cameras | None = None
    ) -> Seen:
        cfg, rgb = self.cfg, step >= self.cfg.rgb_start_step
        field, background, occupancy = in_color(self.model) if rgb else self.model
        with part("render"):
            occupancy.update(field, draw.shared("occupancy"), step)
            if camera is None:
                camera = sample_cameras(cfg.camera, cfg.batch_size, stage.resolution, draw.here("camera"))
            view = render(field, background, occupancy, camera, cfg.render, draw)
        if rgb:
            with part("encode"):
                latents = self._prior.encode(view.image, draw("vae"))
        else:
            latents = functional.adaptive_avg_pool2d(view.image, self._prior.latent_shape[1:])
        penalty = regularize(cfg.regularizer, view, step, latents[0].numel())
        return Seen(latents, camera, view.detach(), penalty)

    def modules(self) -> dict[str, nn.Module]:
        return self.model.modules()

    def groups(self) -> list[dict[str, Any]]:
        return parameter_groups(self.cfg, self.model)

    def preview(self) -> Frame:
        return preview(self.cfg, self.model, self.cfg.logging.preview_size)

    def export(self, folder: Path) -> list[Path]:
        return export(self.cfg, self.model, folder)


@torch.no_grad()
def color_map(prior: Prior, draw: Streams) -> Float[Tensor, "C 3"]:
    """The matrix that shows this prior's latents best, fitted to its encodings of smooth random patches."""
    patches = draw("init/colors").uniform(1, PATCHES, 3, PATCH_CELLS, PATCH_CELLS)[0].to(prior.device)
    size = (prior.image_size, prior.image_size)
    pictures = functional.interpolate(patches, size, mode="bilinear", align_corners=False)
    latents = prior.encode(pictures, draw("init/colors-vae"))
    small = functional.adaptive_avg_pool2d(pictures, prior.latent_shape[1:])
    return fit_colors(*(each.movedim(1, -1).reshape(-1, each.shape[1]) for each in (latents, small)))
