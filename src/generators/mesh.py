"""A mesh with a texture: the second stage of Magic3D (Lin et al. 2023), begun from a NeRF's run."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from src.config import RunConfig
from src.errors import UserError
from src.export.panels import Frame
from src.export.video import export, preview, replace_file
from src.generator import Part, Seen
from src.guidance.prior import Prior
from src.guidance.schedule import Stage
from src.model import MeshModel
from src.scene.cameras import Cameras, sample_cameras
from src.scene.mesh import edges, laplacian, normal_consistency
from src.scene.mesh_rendering import render_mesh
from src.scene.regularizers import QUOTED_FOR
from src.scene.shading import draw_light
from src.streams import Streams

HANDOVER = "handover.png"  # the run it began from, and below it what was made of it


class MeshGenerator:
    """Cameras drawn at every step, triangles rendered, the image encoded by the prior."""

    def __init__(self, cfg: RunConfig, model: MeshModel, prior: Prior, before: Frame | None = None) -> None:
        self.cfg, self.model, self._prior, self._before = cfg, model, prior, before

    def __call__(
        self, stage: Stage, step: int, draw: Streams, part: Part, camera: Cameras | None = None
    ) -> Seen:
        cfg, (surface, texture, background) = self.cfg, self.model
        with part("render"):
            if camera is None:
                camera = sample_cameras(cfg.camera, cfg.batch_size, stage.resolution, draw("camera"))
            mesh = surface.mesh()
            if not len(mesh.faces):
                raise UserError(
                    f"the mesh vanished before step {step}: choose a lower loss.guidance_scale or "
                    "optimizer.lr_surface, and start over with fresh=true"
                )
            around = edges(mesh)
            light = draw_light(cfg.shading, camera, step, draw("light")) if cfg.shading.on else None
            view = render_mesh(mesh, around, texture, background, camera, draw, light)
        with part("encode"):
            latents = self._prior.encode(view.image, draw("vae"))
        penalty = cfg.mesh.normal_consistency * normal_consistency(mesh, around)
        if cfg.mesh.laplacian:
            penalty = penalty + cfg.mesh.laplacian * laplacian(mesh, around)
        return Seen(latents, camera, view.detach(), penalty * (latents[0].numel() / QUOTED_FOR))

    def modules(self) -> dict[str, nn.Module]:
        return self.model.modules()

    def groups(self) -> list[dict[str, Any]]:
        surface, texture, background = self.model
        optimizer = self.cfg.optimizer
        return [
            {"params": [surface.distance, surface.shift], "lr": optimizer.lr_surface, "weight_decay": 0.0},
            {"params": list(texture.encoding.parameters()), "lr": optimizer.lr_encoding},
            {"params": [texture.color_hidden, texture.color_out], "lr": optimizer.lr_color},
            {"params": list(background.parameters()), "lr": optimizer.lr_background},
        ]

    def preview(self) -> Frame:
        row = preview(self.cfg, self.model, self.cfg.logging.preview_size)
        if self._before is not None and self.cfg.out is not None:  # the first of a run
            both = Image.fromarray(np.concatenate([self._before, row], axis=0))
            replace_file(Path(self.cfg.out) / HANDOVER, lambda path: both.save(path))
            self._before = None
        return row

    def export(self, folder: Path) -> list[Path]:
        return export(self.cfg, self.model, folder)
