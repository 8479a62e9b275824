"""What is behind the object: a learned environment map, or, in training, a random solid colour now and then.

A solid colour that nobody can predict keeps the object from borrowing the background's colour; the map lets
a prompt that wants surroundings have them.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from src.arguments import LATER
from src.errors import UserError
from src.scene.field import dense_layer
from src.streams import Stream, Streams


@dataclass
class BackgroundConfig:
    """Odds of a solid colour per training view, width of the map, and how light it is before it has learnt
    anything (as threestudio's prolificdreamer.yaml).
    """

    solid_probability: float = 0.5
    hidden: int = 16
    lightness: float = field(default=0.5, metadata=LATER)

    def __post_init__(self) -> None:
        if not 0 <= self.solid_probability <= 1:
            raise UserError(f"background.solid_probability={self.solid_probability} must lie in [0, 1].")
        if self.hidden < 1:
            raise UserError(f"background.hidden={self.hidden} must be at least 1.")
        if not 0 < self.lightness < 1:
            raise UserError(f"background.lightness={self.lightness} must lie between 0 and 1.")


class Solid(NamedTuple):
    """Which views have a solid background, and in which colour."""

    chosen: Bool[Tensor, " batch"]
    color: Float[Tensor, "batch 3"]


def spherical_harmonics(directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 9"]:
    """The nine real spherical harmonics of degrees 0 to 2 ("degree 3" in tiny-cuda-nn's count) at unit
    directions.
    """
    x, y, z = directions.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, 0.28209479177387814),  # 1 / (2 sqrt(pi))
            0.4886025119029199 * y,  # sqrt(3 / (4 pi))
            0.4886025119029199 * z,
            0.4886025119029199 * x,
            1.0925484305920792 * x * y,  # sqrt(15 / (4 pi))
            1.0925484305920792 * y * z,
            0.31539156525252005 * (3 * z * z - 1),  # sqrt(5 / (16 pi))
            1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),  # sqrt(15 / (16 pi))
        ],
        -1,
    )


class Background(nn.Module):
    """Environment map: spherical harmonics of the viewing direction through two hidden ReLU layers, no
    biases.
    """

    def __init__(self, cfg: BackgroundConfig, streams: Streams) -> None:
        super().__init__()
        self.cfg = cfg
        self.first = dense_layer(cfg.hidden, 9, "background_first", streams)
        self.second = dense_layer(cfg.hidden, cfg.hidden, "background_second", streams)
        self.out = dense_layer(3, cfg.hidden, "background_out", streams)
        self._start = math.log(cfg.lightness / (1 - cfg.lightness))

    def draw(self, batch: int, stream: Stream | None) -> Solid | None:
        """This step's solid colours for `batch` views: chosen independently per view; None (evaluation)
        draws none.
        """
        if stream is None:
            return None
        drawn = stream.uniform(batch, 4).to(self.out)
        return Solid(drawn[:, 0] < self.cfg.solid_probability, drawn[:, 1:])

    def forward(self, directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """The map's RGB colour in [0, 1] in unit directions."""
        hidden = functional.linear(spherical_harmonics(directions), self.first).relu()
        hidden = functional.linear(hidden, self.second).relu()
        return (functional.linear(hidden, self.out) + self._start).sigmoid()
