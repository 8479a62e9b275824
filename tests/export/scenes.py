"""Runs and scenes of known shape: a ball in a run's folder, and a mug by a formula."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from src.config import RunConfig, as_dict
from src.model import CHECKPOINTS, Model, build
from src.run import checkpoint
from src.run.checkpoint import Checkpoint
from src.scene.background import Background, BackgroundConfig
from src.streams import Streams
from tests.runs import tiny
from tests.scene.solids import everywhere

CPU = torch.device("cpu")
SIGHT = [
    "field.radius=0.6",
    "occupancy.resolution=16",
    "video.distance=1.45",
    "video.fov_degrees=45",
    "video.views=4",
    "video.size=16",
    "render.samples_per_ray=48",
]


@dataclass
class Mug:
    """A cup without a lid and its handle, dense inside and soft at the edge; painted by place."""

    density_inside: float = 60.0
    softness: float = 0.008
    radius: float = 0.6

    def density(self, points: Tensor) -> Tensor:
        x, y, z = points.unbind(-1)
        across = (x * x + y * y).sqrt()
        cup = torch.maximum(across - 0.3, z.abs() - 0.35)
        hollow = torch.maximum(across - 0.2, -0.25 - z)
        ring = ((((y - 0.32) ** 2 + z * z).sqrt() - 0.16) ** 2 + x * x).sqrt() - 0.05
        outside = torch.minimum(torch.maximum(cup, -hollow), torch.maximum(ring, 0.25 - across))
        return self.density_inside * (-outside / self.softness).sigmoid()

    def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
        return self.density(points), 0.5 + points.clamp(-0.5, 0.5)


def mug(**changes: float) -> Model:
    """The mug as a scene."""
    background = Background(BackgroundConfig(), Streams(7, 0))
    return Model(Mug(**changes), background, everywhere(0.6))  # type: ignore[arg-type]


def ball_run(folder: Path, *steps: int, density: float = 400.0) -> RunConfig:
    """A run's folder with checkpoints of a ball of radius 0.3: a field without weights is its initial blob.

    It is many-coloured at the last step and grey at the others.
    """
    cfg = tiny(folder, *SIGHT, "field.blob_radius=0.3", f"field.blob_density={density}")
    for step in steps:
        model = build(cfg, CPU)
        torch.nn.init.zeros_(model.field.density_out)
        if step == steps[-1]:
            torch.nn.init.uniform_(model.field.encoding.table, -2, 2, torch.Generator().manual_seed(0))
        for i in range(4):
            model.occupancy.update(model.field, Streams(0, i)("occupancy"), 0)
        facts = {"step": step, "config": as_dict(cfg)}
        checkpoint.save(folder / CHECKPOINTS, Checkpoint(_tensors(model), facts))
    return cfg


def _tensors(model: Model) -> dict[str, Tensor]:
    return {
        f"module/{part}/{name}": value
        for part, module in model.modules().items()
        for name, value in module.state_dict().items()
    }
