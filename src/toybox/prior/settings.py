"""What the command line of `python -m src.toybox.train` can change."""

import math
import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from src.arguments import in_range
from src.errors import UserError
from src.toybox.prior.export import is_exported, refuse_to_replace
from src.toybox.prior.fitting import Recipe


@dataclass
class Settings:
    """What the command line can change."""

    folder: str = "outputs/toybox"  # world, checkpoints, logs
    weights: str = "outputs/toybox/weights"  # the exported pipeline; src/toybox/weights is the one that ships
    start: str = ""  # an exported prior to go on from; nothing: from nothing
    device: str = "cpu"  # or cuda
    shards: int = 72  # of 500 pictures; may grow between restarts
    autoencoder_steps: int = 3000
    denoiser_steps: int = 6600
    minutes: float = (
        0  # the denoiser is done, descent and all, so long after the command's start; 0: no limit
    )
    batch_size: int = 64
    autoencoder_batch_size: int = 8
    learning_rate: float = 1e-3
    autoencoder_learning_rate: float = 2e-3
    caption_dropout: float = 0.12
    ema: float = 0.999
    seed: int = 0
    processes: int = 2  # one thread each; may change between restarts
    checkpoint_seconds: int = 180

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        in_range(self, ["shards"], 1, 9999)  # four digits name a shard
        in_range(self, ["autoencoder_steps"], 0 if self.start else 1, 10**8)
        in_range(self, ["denoiser_steps"], 1, 10**8)
        if self.start and not is_exported(Path(self.start)):
            raise UserError(
                f"start={self.start}: no exported prior is there; name a folder that holds one, as "
                "src/toybox/weights does"
            )
        if self.device not in ("cpu", "cuda"):
            raise UserError(f"device={self.device}: choose cpu or cuda")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("device=cuda: no GPU that torch can use is here: choose device=cpu")
        if self.device == "cuda" and self.processes != 1:
            raise UserError(f"device=cuda processes={self.processes}: one process feeds a GPU: processes=1")
        in_range(self, ["batch_size", "autoencoder_batch_size"], 1, 10**5)
        in_range(self, ["processes"], 1, 1024)
        in_range(self, ["learning_rate", "autoencoder_learning_rate", "caption_dropout", "ema"], 0, 1)
        in_range(self, ["minutes"], 0, 10**6)
        if self.minutes and self.processes != 1:
            raise UserError(
                f"minutes={self.minutes:g} processes={self.processes}: processes would end at different "
                "steps: choose processes=1"
            )
        in_range(self, ["seed"], 0, 2**31 - 1)
        in_range(self, ["checkpoint_seconds"], 0, 10**6)
        for name in ("batch_size", "autoencoder_batch_size"):
            if getattr(self, name) % self.processes:
                raise UserError(
                    f"{name}={getattr(self, name)} cannot be shared equally by processes={self.processes}: "
                    "choose a multiple"
                )
        refuse_to_replace(Path(self.weights))

    def recipe(self, steps: int, learning_rate: float, deadline: float = math.inf) -> Recipe:
        """How networks are fitted in so many steps, or until a deadline."""
        return Recipe(steps, learning_rate, self.ema, self.checkpoint_seconds, deadline)

    def deadline(self) -> float:
        """When the denoiser has to be done, on the monotonic clock."""
        return self._began + 60 * self.minutes if self.minutes else math.inf

    def renderers(self) -> int:
        """How many processes render the world: beside a GPU, one for each core but that which feeds it."""
        return self.processes if self.device == "cpu" else max(1, (os.cpu_count() or 1) - 1)

    def precision(self) -> AbstractContextManager[object]:
        """bfloat16 on a GPU (its float32 products in TF32), float32 on a processor, where that is faster."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device != "cpu")
