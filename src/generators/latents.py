"""The latents themselves: theta is what the prior sees, g(theta) = theta (NFSD, section 6, figure 7).

No scene and no camera; what comes out is what the loss alone makes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from src.config import RunConfig
from src.export.panels import Frame, frame
from src.export.video import replace_file
from src.generator import Part, Seen
from src.guidance.prior import Prior
from src.guidance.schedule import Stage
from src.scene.cameras import Cameras
from src.streams import Streams

PICTURE = "picture.png"


class Latents(nn.Module):
    """cfg.batch_size pictures of one prompt side by side, from Gaussian starts, or from those given."""

    def __init__(self, cfg: RunConfig, prior: Prior, start: Float[Tensor, "B C h w"] | None = None) -> None:
        super().__init__()
        self._cfg, self._decode = cfg, prior.decode
        if start is None:
            drawn = Streams(cfg.seed, 0)("init/latents").normal(cfg.batch_size, *prior.latent_shape)
            start = drawn.to(prior.device)
        self.latents = nn.Parameter(start.clone())

    def forward(
        self, stage: Stage, step: int, draw: Streams, part: Part, camera: Cameras | None = None
    ) -> Seen:
        return Seen(self.latents, None, None, torch.zeros((), device=self.latents.device))

    def modules(self) -> dict[str, nn.Module]:  # type: ignore[override]  # of torch's Module, which lists more
        return {"latents": self}

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.latents], "lr": self._cfg.optimizer.lr_latents}]

    def preview(self) -> Frame:
        images = self._decode(self.latents.detach())
        return np.concatenate([frame(images[i : i + 1]) for i in range(len(images))], axis=1)

    def export(self, folder: Path) -> list[Path]:
        picture = Image.fromarray(self.preview())
        replace_file(folder / PICTURE, lambda path: picture.save(path))
        return [folder / PICTURE]
