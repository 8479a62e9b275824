"""A mesh: its colours, its normals or its material, begun from a run or from a ball.

With colours it is Magic3D's second stage (Lin et al. 2023); with normals, then a material, Fantasia3D's two
(Chen et al. 2023); with normals, then colours, ProlificDreamer's second and third (Wang et al. 2023).
optimizer.lr_surface=0 keeps the surface as it is.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

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
from src.scene.mesh_rendering import Shows, render_mesh
from src.scene.regularizers import QUOTED_FOR
from src.scene.shading import draw_light
from src.streams import Streams

HANDOVER = "handover.png"  # the run it began from, and below it what was made of it
NORMAL_AND_MASK = 4  # channels


class MeshGenerator:
    """Cameras drawn at every step, triangles rendered, the image encoded by the prior."""

    def __init__(self, cfg: RunConfig, model: MeshModel, prior: Prior, before: Frame | None = None) -> None:
        self.cfg, self.model, self._prior, self._before = cfg, model, prior, before
        channels = prior.latent_shape[0]
        if cfg.mesh.latent_steps and channels != NORMAL_AND_MASK:
            raise UserError(
                f"mesh.latent_steps={cfg.mesh.latent_steps} shows the prior {NORMAL_AND_MASK} channels of "
                f"normals and mask as its latents, and prior={cfg.prior.name} has {channels}: choose "
                "mesh.latent_steps=0"
            )

    def __call__(
        self, stage: Stage, step: int, draw: Streams, part: Part, camera: Cameras | None = None
    ) -> Seen:
        cfg, model = self.cfg, self.model
        with part("render"):
            if camera is None:
                camera = sample_cameras(cfg.camera, cfg.batch_size, stage.resolution, draw.here("camera"))
            there = camera.to(model.surface.lattice.vertices.device)
            with torch.set_grad_enabled(cfg.optimizer.lr_surface > 0):
                mesh = model.surface.mesh()
            if not len(mesh.faces):
                raise UserError(
                    f"the mesh vanished before step {step}: choose a lower loss.guidance_scale or "
                    "optimizer.lr_surface, and start over with fresh=true"
                )
            around = edges(mesh)
            light = draw_light(cfg.shading, there, step, draw("light")) if cfg.shading.on else None
            shape_alone = cfg.mesh.shows is Shows.normals
            behind = None if shape_alone else model.background
            skin = model.skin(cfg.mesh.shows, light)
            view = render_mesh(mesh, around, skin, behind, there, draw, cfg.field.radius)
        with part("encode"):
            if step < cfg.mesh.latent_steps:
                normal = 2 * view.foreground - view.opacity
                maps = torch.cat([normal, view.opacity], 1)
                latents = functional.adaptive_avg_pool2d(maps, self._prior.latent_shape[1:])
            else:
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
        shape = [surface.distance, surface.shift] if surface.network is None else surface.network.parameters()
        return [
            {"params": list(shape), "lr": optimizer.lr_surface, "weight_decay": 0.0},
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
