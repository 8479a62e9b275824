"""Light on a density: normals from its differences, a point light, and which way surfaces should look.

DreamFusion (Poole et al. 2022, section 3.2): a critic that sees colours alone is content with a shape that is
painted on; one that sees the shape lit from anywhere, and at times without its colours, is not.  N samples,
each of one of B views.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from src.errors import UserError
from src.scene.cameras import Cameras
from src.streams import Stream

Density = Callable[[Tensor], Tensor]


@dataclass
class ShadingConfig:
    """How views are lit in training (closest public config: threestudio's dreamfusion-sd.yaml).

    Nothing is lit unless it is `on`, nor before `start_step`: then there are only colours.  Later a view is
    left so with the probability `unlit`; of the others a share of `textureless` is white clay.  `soft`
    draws the ambient part anew for each view, not `ambient` (Magic3D).  The light is in the direction of
    the camera moved by a normal deviate of `spread` along each axis, at a distance from the middle between
    `light_min` and `light_max`.  `normal_step` is the length of the differences.  Lengths in world units.
    """

    on: bool = False
    start_step: int = 2001
    ambient: float = 0.1
    soft: bool = False
    unlit: float = 0.25
    textureless: float = 0.5
    spread: float = 1.0
    light_min: float = 0.8
    light_max: float = 1.5
    normal_step: float = 0.01

    def __post_init__(self) -> None:
        for name in ("ambient", "unlit", "textureless"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"shading.{name}={getattr(self, name)} must lie in [0, 1].")
        if self.start_step < 0:
            raise UserError(f"shading.start_step={self.start_step} must not be below 0.")
        if not 0 < self.light_min <= self.light_max < math.inf:
            raise UserError(
                f"shading.light_min={self.light_min} and shading.light_max={self.light_max} are no "
                "range: give two numbers greater than 0, the smaller one as the minimum."
            )
        if not 0 <= self.spread < math.inf:
            raise UserError(f"shading.spread={self.spread} must be a finite number not below 0.")
        if not 0 < self.normal_step < math.inf:
            raise UserError(f"shading.normal_step={self.normal_step} must be finite and greater than 0.")


class Light(NamedTuple):
    """How each view is lit; an ambient part of 1 shows the colours as they are."""

    position: Float[Tensor, "B 3"]
    ambient: Float[Tensor, " B"]  # the rest of 1 is the point light's
    textureless: Bool[Tensor, " B"]


def draw_light(cfg: ShadingConfig, camera: Cameras, step: int, stream: Stream) -> Light:
    """This step's light for every view, each from its own numbers."""
    batch = len(camera.azimuth)
    origin = camera.poses()[:, :, 3]
    away = stream.normal(batch, 3).to(origin)
    mode, clay, ambient, distance = stream.uniform(batch, 4).to(origin).unbind(1)
    direction = functional.normalize(origin + cfg.spread * away, dim=1)
    position = (
        direction
        * torch.lerp(
            torch.full_like(distance, cfg.light_min), torch.full_like(distance, cfg.light_max), distance
        )[:, None]
    )
    lit = (mode >= cfg.unlit) & (step >= cfg.start_step)
    ambient = ambient if cfg.soft else torch.full_like(ambient, cfg.ambient)
    return Light(position, torch.where(lit, ambient, 1.0), lit & (clay < cfg.textureless))


def normals(
    density: Density, points: Float[Tensor, "N 3"], here: Float[Tensor, " N"], step: float
) -> Float[Tensor, "N 3"]:
    """Unit normals down the density's gradient, by differences from its values `here`.

    Where the density is flat they are 0.  Gradients reach the density at all four places.
    """
    steps = step * torch.eye(3, dtype=points.dtype, device=points.device)
    ahead = density((points[:, None] + steps).view(-1, 3)).view(-1, 3)
    return functional.normalize(here[:, None] - ahead, dim=1, eps=1e-6)


def shade(
    albedo: Float[Tensor, "N 3"],
    points: Float[Tensor, "N 3"],
    normals: Float[Tensor, "N 3"],
    light: Light,
    view: Int[Tensor, " N"],
) -> Float[Tensor, "N 3"]:
    """albedo (a + (1 - a) max(0, n.l)), l the unit vector to the light (Poole et al. 2022, equation 7)."""
    towards = functional.normalize(light.position.index_select(0, view) - points, dim=1)
    ambient = light.ambient.index_select(0, view)
    lit = ambient + (1 - ambient) * (normals * towards).sum(1).clamp(min=0)
    clay = light.textureless.index_select(0, view)[:, None]
    return torch.where(clay, torch.ones_like(albedo), albedo) * lit[:, None]


def turned_away(normals: Float[Tensor, "N 3"], directions: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
    """max(0, n.d)^2 for rays in the direction d: what is seen should look towards the camera.

    (Verbin et al. 2022, "Ref-NeRF", equation 11.)
    """
    return (normals * directions).sum(1).clamp(min=0).square()


class Shader:
    """Colours of a ray's samples under a light, and how far they look away; for `rendering.render`."""

    def __init__(self, density: Density, light: Light, normal_step: float) -> None:
        self._density, self._light, self._step = density, light, normal_step

    def __call__(
        self,
        points: Float[Tensor, "N 3"],
        density: Float[Tensor, " N"],
        color: Float[Tensor, "N 3"],
        view: Int[Tensor, " N"],
        directions: Float[Tensor, "N 3"],
    ) -> tuple[Float[Tensor, "N 3"], Float[Tensor, " N"]]:
        """Shaded colours and `turned_away`, sample by sample."""
        normal = normals(self._density, points, density, self._step)
        return shade(color, points, normal, self._light, view), turned_away(normal, directions)
