"""Several radiance fields under one critic (ProlificDreamer, Wang et al. 2023, section 3.2): particles.

A step is one particle's, drawn at random; the critic learns from all of them, so it stands for their
distribution and not for a single scene.  The first is what a run's commands and its next stage take; the
others are shown and exported beside it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from src.export.panels import Frame
from src.export.video import export_file
from src.generator import Part, Seen
from src.generators.nerf import NeRF
from src.guidance.schedule import Stage
from src.scene.cameras import Cameras
from src.streams import Streams


class Particles:
    """Scenes of one prompt, of which each step shows and changes one."""

    def __init__(self, scenes: list[NeRF]) -> None:
        self.scenes = scenes

    def __call__(
        self, stage: Stage, step: int, draw: Streams, part: Part, camera: Cameras | None = None
    ) -> Seen:
        number = draw.shared("particle").uniform(1).item()
        chosen = self.scenes[int(number * len(self.scenes))]
        for scene in self.scenes:  # without gradients the optimiser leaves the others as they are
            for module in scene.modules().values():
                module.requires_grad_(scene is chosen)
        return chosen(stage, step, draw, part, camera)

    def modules(self) -> dict[str, nn.Module]:
        first, *others = (scene.modules() for scene in self.scenes)
        named = ((f"{name}-{i}", module) for i, each in enumerate(others, 1) for name, module in each.items())
        return first | dict(named)

    def groups(self) -> list[dict[str, Any]]:
        return [group for scene in self.scenes for group in scene.groups()]

    def preview(self) -> Frame:
        return np.concatenate([scene.preview() for scene in self.scenes])

    def export(self, folder: Path) -> list[Path]:
        written = self.scenes[0].export(folder)
        for i, scene in enumerate(self.scenes[1:], 1):
            written += export_file(scene.cfg, scene.model, folder / f"particle-{i}.webp")
        return written
