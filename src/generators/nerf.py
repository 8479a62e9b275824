"""A radiance field before a learnt background: the paper's own generator (NFSD, section 6).

A field of latents (Metzer et al. 2022, "Latent-NeRF") renders what the prior sees, so that no encoder is
asked, which is half of a step's price; for the eye latents become colours by a small matrix.  From
cfg.rgb_start_step on the scene is seen in these colours and encoded, as any other: that paper's RGB stage.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from src.config import RunConfig
from src.export.panels import Frame
from src.export.video import export, preview
from src.generator import Part, Seen
from src.guidance.prior import Prior
from src.guidance.schedule import Stage
from src.model import Model, in_color, parameter_groups
from src.scene.cameras import Cameras, sample_cameras
from src.scene.latent_field import ColorMap, LatentField, fit_colors
from src.scene.regularizers import regularize
from src.scene.rendering import render
from src.scene.shading import Shader, draw_light
from src.scene.sketch import POINTS, Sketch
from src.streams import Streams

PATCHES, PATCH_CELLS = 32, 4  # a colour map is fitted to so many pictures of smooth patches, so many a side


class NeRF:
    """Cameras drawn at every step, rays rendered, the image encoded by the prior unless it is latents."""

    def __init__(self, cfg: RunConfig, model: Model, prior: Prior, sketch: Sketch | None = None) -> None:
        self.cfg, self.model, self._prior, self._sketch = cfg, model, prior, sketch

    def __call__(
        self, stage: Stage, step: int, draw: Streams, part: Part, camera: Cameras | None = None
    ) -> Seen:
        cfg = self.cfg
        field, background, occupancy = in_color(self.model) if step >= cfg.rgb_start_step else self.model
        with part("render"):
            occupancy.update(field, draw.shared("occupancy"), step)
            if camera is None:
                camera = sample_cameras(cfg.camera, cfg.batch_size, stage.resolution, draw.here("camera"))
            shader = None
            if cfg.shading.on:
                light = draw_light(cfg.shading, camera.to(occupancy.bits.device), step, draw("light"))
                shader = Shader(field.density, light, cfg.shading.normal_step)
            view = render(field, background, occupancy, camera, cfg.render, draw, shader)
        with part("encode"):
            if isinstance(field, LatentField):  # more rays than latents are averaged
                latents = functional.adaptive_avg_pool2d(view.image, self._prior.latent_shape[1:])
            else:
                latents = self._prior.encode(view.image, draw("vae"))
        penalty = regularize(cfg.regularizer, view, step, latents[0].numel())
        if self._sketch is not None:
            points = field.radius * (2 * draw.shared("sketch").uniform(1, POINTS, 3)[0] - 1)
            penalty = penalty + self._sketch.penalty(field.density(points), points, latents[0].numel())
        # Maps that no gradient flows to (depth, most of the time) let go of their graph: while they held it,
        # backward would keep their part of every chunk that it computes again, 24 bytes a sample.
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
def color_map(prior: Prior, draw: Streams) -> ColorMap:
    """What shows this prior's latents best, fitted to its encodings of smooth random patches."""
    patches = draw("init/colors").uniform(1, PATCHES, 3, PATCH_CELLS, PATCH_CELLS)[0].to(prior.device)
    size = (prior.image_size, prior.image_size)
    pictures = functional.interpolate(patches, size, mode="bilinear", align_corners=False)
    latents = prior.encode(pictures, draw("init/colors-vae"))
    small = functional.adaptive_avg_pool2d(pictures, prior.latent_shape[1:])
    return ColorMap(*fit_colors(*(e.movedim(1, -1).reshape(-1, e.shape[1]) for e in (latents, small))))
