"""The object: density and colour at every point of space, independent of the viewing direction.

Points are in world units inside the cube of half-size `radius`; density is in 1 / world unit.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from src.errors import UserError
from src.processor import multiplies_bfloat16_fast
from src.scene.hash_grid import HashGrid
from src.scene.levels import HashGridConfig
from src.streams import Streams


class Precision(StrEnum):
    """Number format of the matrix products; parameters and results are float32 in any case."""

    auto = "auto"  # bfloat16 where that is known to be faster, float32 elsewhere
    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass
class FieldConfig:
    """Shape and activations of the field; defaults as in threestudio's prolificdreamer.yaml."""

    radius: float = 1.0
    hidden: int = 64
    blob_density: float = 10.0
    blob_radius: float = 0.5
    density_gain: float = 1.0
    density_bias: float = 0.0
    color_gain: float = 1.0
    precision: Precision = Precision.auto
    hash_grid: HashGridConfig = field(default_factory=HashGridConfig)

    def __post_init__(self) -> None:
        for name in ("radius", "blob_density", "blob_radius", "density_gain", "density_bias", "color_gain"):
            if not math.isfinite(getattr(self, name)):
                raise UserError(f"field.{name}={getattr(self, name)} must be a finite number.")
        for name in ("radius", "hidden", "blob_radius"):
            if getattr(self, name) <= 0:
                raise UserError(f"field.{name}={getattr(self, name)} must be greater than 0.")


def dense_layer(outputs: int, inputs: int, name: str, streams: Streams) -> nn.Parameter:
    """Weights [outputs, inputs] without bias, uniform within 1 / sqrt(inputs), from the stream
    "init/`name`".
    """
    return nn.Parameter((2 * streams(f"init/{name}").uniform(1, outputs, inputs)[0] - 1) / math.sqrt(inputs))


class Field(nn.Module):
    """A hash grid read by two small heads, one for density and one for colour, each with one hidden ReLU
    layer.
    """

    def __init__(self, cfg: FieldConfig, streams: Streams) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoding = HashGrid(cfg.hash_grid, streams)
        size = self.encoding.output_size
        self.density_hidden = dense_layer(cfg.hidden, size, "density_hidden", streams)
        self.density_out = dense_layer(1, cfg.hidden, "density_out", streams)
        self.color_hidden = dense_layer(cfg.hidden, size, "color_hidden", streams)
        self.color_out = dense_layer(3, cfg.hidden, "color_out", streams)

    @property
    def radius(self) -> float:
        """Half-size of the cube, and radius of the sphere, that the object lives in (world units)."""
        return self.cfg.radius

    def density(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density alone, without the cost of the colour."""
        return self._density(self._head(self._encode(points), self.density_hidden, self.density_out), points)

    def forward(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Density and RGB colour in [0, 1]."""
        encoded = self._encode(points)
        density = self._density(self._head(encoded, self.density_hidden, self.density_out), points)
        return density, (
            self.cfg.color_gain * self._head(encoded, self.color_hidden, self.color_out)
        ).sigmoid()

    def _encode(self, points: Tensor) -> Tensor:
        encoded = self.encoding(points / (2 * self.cfg.radius) + 0.5)
        return encoded.to(torch.bfloat16) if self._bfloat16(encoded) else encoded

    def _bfloat16(self, encoded: Tensor) -> bool:
        if encoded.dtype != torch.float32:
            return False  # float64, as the tests want it, is float64 throughout
        by_name = {Precision.float32: False, Precision.bfloat16: True}
        precision = self.cfg.precision
        return (
            by_name[precision]
            if precision in by_name
            else encoded.device.type == "cpu" and multiplies_bfloat16_fast()
        )

    @staticmethod
    def _head(encoded: Tensor, hidden: Tensor, out: Tensor) -> Tensor:
        activated = functional.linear(encoded, hidden.to(encoded.dtype)).relu()
        return functional.linear(activated, out.to(encoded.dtype)).to(hidden.dtype)

    def _density(self, raw: Tensor, points: Tensor) -> Tensor:
        """softplus(gain raw + b + bias) with the object-centric blob b = blob_density (1 - |x| /
        blob_radius).
        """
        cfg = self.cfg
        blob = cfg.blob_density * (1 - points.norm(dim=-1) / cfg.blob_radius)
        return functional.softplus(cfg.density_gain * raw[:, 0] + blob + cfg.density_bias)
