"""A surface's physical material under an environment, for N points: Fantasia3D's second stage.

(Chen et al. 2023, section 3.3.)
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from src.scene.environment import Environment, to_srgb

METAL_MAX = 0.9  # as threestudio's fantasia3d-texture.yaml; so are the bounds of the roughness
ROUGH_MIN, ROUGH_MAX = 0.08, 0.9
DIELECTRIC = 0.04  # what glass, paint and skin reflect of light from straight ahead


class Material(NamedTuple):
    """Colour (linear), and how much like a metal and how rough the surface is."""

    color: Float[Tensor, "N 3"]
    metal: Float[Tensor, " N"]
    roughness: Float[Tensor, " N"]


def from_texture(values: Float[Tensor, "N 5"]) -> Material:
    """The material that five numbers in [0, 1] of a texture field stand for."""
    roughness = ROUGH_MIN + (ROUGH_MAX - ROUGH_MIN) * values[:, 4]
    return Material(values[:, :3], METAL_MAX * values[:, 3], roughness)


def lit(
    material: Material,
    normals: Float[Tensor, "N 3"],
    directions: Float[Tensor, "N 3"],
    environment: Environment,
) -> Float[Tensor, "N 3"]:
    """sRGB colours of points with unit normals seen along unit rays.

    kd (1 - m) E(n) + (F0 A + B) L(r, roughness) with F0 = .04 (1 - m) + m kd, r the mirrored ray.
    """
    along = (normals * directions).sum(1, keepdim=True)
    mirrored = directions - 2 * along * normals
    metal = material.metal[:, None]
    base = DIELECTRIC * (1 - metal) + metal * material.color
    a, b = environment.reflectance((-along[:, 0]).clamp(0, 1), material.roughness)[:, :, None].unbind(1)
    matt = material.color * (1 - metal) * environment.diffuse(normals)
    return to_srgb(matt + (base * a + b) * environment.glossy(mirrored, material.roughness))
