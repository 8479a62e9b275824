"""A radiance field before a learnt background: the paper's own generator (NFSD, section 6)."""

from pathlib import Path
from typing import Any

from torch import nn

from src.config import RunConfig
from src.export.panels import Frame
from src.export.video import export, preview
from src.generator import Part, Seen
from src.guidance.prior import Prior
from src.guidance.schedule import Stage
from src.model import Model, parameter_groups
from src.scene.cameras import Cameras, sample_cameras
from src.scene.regularizers import regularize
from src.scene.rendering import render
from src.scene.shading import Shader, draw_light
from src.streams import Streams


class NeRF:
    """Cameras drawn at every step, rays rendered, the image encoded by the prior."""

    def __init__(self, cfg: RunConfig, model: Model, prior: Prior) -> None:
        self.cfg, self.model, self._prior = cfg, model, prior

    def __call__(
        self, stage: Stage, step: int, draw: Streams, part: Part, camera: Cameras | None = None
    ) -> Seen:
        cfg, (field, background, occupancy) = self.cfg, self.model
        with part("render"):
            occupancy.update(field, draw.shared("occupancy"), step)
            if camera is None:
                camera = sample_cameras(cfg.camera, cfg.batch_size, stage.resolution, draw.here("camera"))
            shader = None
            if cfg.shading.on:
                light = draw_light(cfg.shading, camera, step, draw("light"))
                shader = Shader(field.density, light, cfg.shading.normal_step)
            view = render(field, background, occupancy, camera, cfg.render, draw, shader)
        with part("encode"):
            latents = self._prior.encode(view.image, draw("vae"))
        penalty = regularize(cfg.regularizer, view, step, latents[0].numel())
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
