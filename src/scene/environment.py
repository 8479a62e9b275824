"""Light from everywhere: a sky by formula, what matt and what glossy surfaces see of it, and sRGB.

The split-sum approximation (Karis 2013, "Real shading in Unreal Engine 4"): a glossy surface's light is the
environment blurred by its roughness, times a table of how much it reflects.  Light is linear; a picture for
people and for priors is `to_srgb` of it.

An environment map [H, W, 3] has the zenith (z up) in row 0 and azimuth 0 (x) at its left edge, growing to the
right; 32 x 64 pixels are enough, and blurring takes the square of their number.  Roughness is 0 for a mirror
and 1 for chalk; its square is GGX's alpha (Walter et al. 2007).
"""

import math
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from src.scene.background import spherical_harmonics

LEVELS = 6  # of roughness, from 0 to 1
TABLE = 64  # entries along cosine and roughness
SAMPLES = 512  # half-vectors for each of them
COSINE_LOBE = (1.0, *(2 / 3,) * 3, *(1 / 4,) * 5)  # over pi, by degree 0, 1, 2 (Ramamoorthi & Hanrahan 2001)


def directions(height: int, width: int) -> tuple[Float[Tensor, "H W 3"], Float[Tensor, "H W"]]:
    """Unit directions of a map's pixels and the solid angles that they fill."""
    polar = (torch.arange(height) + 0.5) * (math.pi / height)
    around = ((torch.arange(width) + 0.5) * (2 * math.pi / width)).expand(height, width)
    sine, cosine = polar.sin()[:, None], polar.cos()[:, None].expand(height, width)
    # Exactly, so that a map's parts add up to the sphere.
    edge = (torch.arange(height + 1) * (math.pi / height)).cos()
    solid_angle = ((edge[:-1] - edge[1:]) * (2 * math.pi / width))[:, None].expand(height, width)
    return torch.stack([sine * around.cos(), sine * around.sin(), cosine], -1), solid_angle


def sky(height: int = 32, width: int = 64) -> Float[Tensor, "H W 3"]:
    """A bright overcast sky, a warm broad lamp high to one side, and a dim floor; mean brightness about 1."""
    towards, _ = directions(height, width)
    up = towards[..., 2:]
    above = torch.lerp(torch.tensor([0.9, 0.95, 1.0]), torch.tensor([1.25, 1.35, 1.5]), up.clamp(min=0))
    floor = torch.tensor([0.35, 0.33, 0.3])
    lamp = functional.normalize(torch.tensor([0.55, 0.45, 0.7]), dim=0)
    shine = 12 * ((towards @ lamp).clamp(min=0) ** 60)[..., None] * torch.tensor([1.0, 0.92, 0.8])
    return torch.lerp(floor, above, (8 * up).sigmoid()) + shine


class Environment(nn.Module):
    """What surfaces see of an environment map; worked out once, nothing of it is trained or saved."""

    harmonics: Float[Tensor, "9 3"]
    levels: Float[Tensor, "1 3 levels H W2"]
    reflected: Float[Tensor, "1 2 table table"]

    def __init__(self, light: Float[Tensor, "H W 3"]) -> None:
        super().__init__()
        towards, solid_angle = directions(*light.shape[:2])
        basis = spherical_harmonics(towards.view(-1, 3).to(light))
        harmonics = basis.T @ (light.reshape(-1, 3) * solid_angle.reshape(-1, 1).to(light))
        harmonics = harmonics * light.new_tensor(COSINE_LOBE)[:, None]
        levels = torch.stack([light, *(blurred(light, k / (LEVELS - 1)) for k in range(1, LEVELS))])
        # A column more at each side: the map goes on there.
        levels = torch.cat([levels[:, :, -1:], levels, levels[:, :, :1]], 2)
        self.register_buffer("harmonics", harmonics, persistent=False)
        self.register_buffer("levels", levels.permute(3, 0, 1, 2)[None].contiguous(), persistent=False)
        self.register_buffer("reflected", reflectance_table().to(light)[None], persistent=False)

    def diffuse(self, normals: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
        """Light that a matt white surface sends back: the irradiance over pi."""
        return (spherical_harmonics(normals) @ self.harmonics).clamp(min=0)

    def glossy(self, mirrored: Float[Tensor, "N 3"], roughness: Float[Tensor, " N"]) -> Float[Tensor, "N 3"]:
        """Light from around the mirrored direction, as wide as the roughness makes it."""
        x, y, z = mirrored.unbind(1)
        width = self.levels.shape[4]
        x = torch.where(x.abs() + y.abs() < 1e-6, 1.0, x)  # at the poles, where any azimuth will do
        column = torch.atan2(y, x) / (2 * math.pi) % 1 * (width - 2) + 1  # from the left edge, pixels
        across = column * (2 / width) - 1
        down = z.clamp(-1 + 1e-6, 1 - 1e-6).acos() * (2 / math.pi) - 1
        # Levels are points, 0 the first and 1 the last; pixels are areas.
        deep = (2 * roughness - 1) * ((LEVELS - 1) / LEVELS)
        place = torch.stack([across, down, deep], 1)[None, :, None, None]
        found = functional.grid_sample(self.levels, place, padding_mode="border", align_corners=False)
        return found[0, :, :, 0, 0].T

    def reflectance(
        self, cosine: Float[Tensor, " N"], roughness: Float[Tensor, " N"]
    ) -> Float[Tensor, "N 2"]:
        """A and B: a surface of the reflectance F0 sends back F0 A + B of the light around it."""
        place = torch.stack([cosine, roughness], 1)[None, :, None] * 2 - 1
        return functional.grid_sample(self.reflected, place, align_corners=True)[0, :, :, 0].T


@cache
def daylight(device: torch.device) -> Environment:
    """The environment of `sky`, worked out once a process."""
    return Environment(sky()).to(device)


def blurred(light: Float[Tensor, "H W 3"], roughness: float) -> Float[Tensor, "H W 3"]:
    """A map as a rough mirror sees it that is looked at, and looks, straight along each direction.

    The mean of the light in l weighted with D(h) n.l (Karis 2013), where h lies half-way from n to l.
    """
    towards, solid_angle = directions(*light.shape[:2])
    flat = towards.view(-1, 3).to(light)
    cosine = flat @ flat.T
    half = (0.5 * (1 + cosine)).clamp(min=0)  # the square of n.h
    alpha = roughness**4
    weight = cosine.clamp(min=0) / (half * (alpha - 1) + 1).square() * solid_angle.reshape(-1).to(light)
    return ((weight / weight.sum(1, keepdim=True)) @ light.reshape(-1, 3)).view(light.shape)


def reflectance_table() -> Float[Tensor, "2 table table"]:
    """A and B over roughness (rows) and cosine (columns), both from 0 to 1.

    The mean of (1 - (1 - v.h)^5, (1 - v.h)^5) G v.h / (n.h n.v) over half-vectors h that GGX draws, G being
    Smith's for light and view.  The h are a lattice, so the table is always the same.
    """
    ends = torch.linspace(0, 1, TABLE, dtype=torch.float64)
    alpha = ends.clamp(min=0.02)[:, None, None].square()
    cosine = ends.clamp(min=1e-3)[None, :, None]
    count = torch.arange(SAMPLES, dtype=torch.float64)
    u, around = (count + 0.5) / SAMPLES, count * (2 * math.pi * 0.6180339887498949)
    height = ((1 - u) / (1 + (alpha.square() - 1) * u)).sqrt()  # n.h
    wide = (1 - height.square()).clamp(min=0).sqrt()
    view = (1 - cosine.square()).sqrt()
    towards = (view * wide * around.cos() + cosine * height).clamp(min=1e-9)  # v.h
    light = 2 * towards * height - cosine  # n.l

    def smith(c: Tensor) -> Tensor:
        return 2 * c / (c + (alpha.square() + (1 - alpha.square()) * c.square()).sqrt())

    shown = torch.where(
        light > 0, smith(light.clamp(min=1e-9)) * smith(cosine) * towards / (height * cosine), 0.0
    )
    fresnel = (1 - towards) ** 5
    return torch.stack([((1 - fresnel) * shown).mean(-1), (fresnel * shown).mean(-1)]).float()


def to_srgb(light: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A screen's values for light (IEC 61966-2-1), both from 0 to 1; more light than 1 shows as 1."""
    light = light.clamp(0, 1)
    return torch.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    )
