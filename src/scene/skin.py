"""What a surface's points look like: a texture in a point light, normals, or a material in daylight."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from src.scene.environment import Environment
from src.scene.material import from_texture, lit
from src.scene.shading import Light, shade
from src.scene.texture_field import TextureField


@runtime_checkable
class Skin(Protocol):
    """Colours in [0, 1] of N points with unit normals, each seen along a unit ray by one of the views."""

    def __call__(
        self,
        points: Float[Tensor, "N 3"],
        normals: Float[Tensor, "N 3"],
        directions: Float[Tensor, "N 3"],
        view: Int[Tensor, " N"],
        /,
    ) -> Float[Tensor, "N 3"]: ...


class Textured:
    """A texture's colours, in a light if there is one."""

    def __init__(self, texture: TextureField, light: Light | None = None) -> None:
        self._texture, self._light = texture, light

    def __call__(self, points: Tensor, normals: Tensor, directions: Tensor, view: Tensor, /) -> Tensor:
        color = self._texture(points)
        return color if self._light is None else shade(color, points, normals, self._light, view)


class ShowingNormals:
    """Normals (world axes) as colours, (n + 1) / 2: all shape and nothing else."""

    def __call__(self, points: Tensor, normals: Tensor, directions: Tensor, view: Tensor, /) -> Tensor:
        return 0.5 + 0.5 * normals


class Physical:
    """The material that a texture of five channels holds, in an environment's light."""

    def __init__(self, texture: TextureField, environment: Environment) -> None:
        self._texture, self._environment = texture, environment

    def __call__(self, points: Tensor, normals: Tensor, directions: Tensor, view: Tensor, /) -> Tensor:
        return lit(from_texture(self._texture(points)), normals, directions, self._environment)
