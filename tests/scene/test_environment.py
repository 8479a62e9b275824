import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from src.scene.environment import Environment, blurred, directions, reflectance_table, sky, to_srgb
from src.scene.material import Material, from_texture, lit
from src.streams import Streams


def some_directions(count: int = 40) -> Tensor:
    return functional.normalize(Streams(0, 0)("directions").normal(1, count, 3)[0], dim=1)


def even(level: float = 1.0) -> Environment:
    return Environment(torch.full((16, 32, 3), level))


def test_solid_angles_fill_the_sphere() -> None:
    """Oracle: 4 pi, and as much of each axis as of its opposite."""
    towards, solid_angle = directions(16, 32)
    assert float(solid_angle.sum()) == pytest.approx(4 * math.pi, rel=1e-6)
    torch.testing.assert_close(
        (towards * solid_angle[..., None]).sum((0, 1)), torch.zeros(3), rtol=0, atol=1e-5
    )


def test_diffuse_light_in_closed_form() -> None:
    """Oracle: light 2 + 3 d.c over the sphere gives a matt surface 2 + 3 (2/3) n.c; a 1% of it for pixels."""
    towards, _ = directions(32, 64)
    c = torch.tensor([0.36, -0.48, 0.8])
    world = Environment((2 + 3 * towards @ c)[..., None].expand(-1, -1, 3).contiguous())
    normal = some_directions()
    torch.testing.assert_close(world.diffuse(normal)[:, 0], 2 + 2 * normal @ c, rtol=0.01, atol=0.01)


def test_glossy_light_of_an_even_world_is_its_own() -> None:
    """Oracle: any blur of 0.7 is 0.7."""
    roughness = torch.linspace(0, 1, 40)
    torch.testing.assert_close(even(0.7).glossy(some_directions(), roughness), torch.full((40, 3), 0.7))


def test_a_mirror_shows_the_map_across_its_seam() -> None:
    """Oracle: a smooth function of the direction, read back at random directions and around azimuth 0."""
    towards, _ = directions(32, 64)
    light = (1.5 + towards).contiguous()
    around = torch.linspace(-0.1, 0.1, 21)
    seam = torch.stack([around.cos(), around.sin(), torch.zeros(21)], 1)
    for where in (some_directions(), seam):
        found = Environment(light).glossy(where, torch.zeros(len(where)))
        torch.testing.assert_close(
            found, 1.5 + where, rtol=0, atol=0.02
        )  # half a pixel at the poles: 0.025 rad


def test_blur_keeps_light_and_widens_it() -> None:
    """Oracle: order: the brightest spot of the sky gets darker with every step; values stay in the range."""
    light = sky(16, 32)
    tops = [float(blurred(light, roughness).max()) for roughness in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert all(
        later < earlier for earlier, later in zip([float(light.max()) + 1e-4, *tops], tops, strict=False)
    )
    assert blurred(light, 0.6).min() >= light.min()


@pytest.mark.parametrize(("cosine", "roughness"), [(1.0, 0.4), (0.7, 0.5), (0.3, 0.8), (0.2, 0.35)])
def test_reflectance_is_the_integral_over_the_hemisphere(cosine: float, roughness: float) -> None:
    """Oracle: Cook-Torrance's D G F / (4 n.v) summed over a fine grid of light directions, in float64."""
    alpha = roughness**2
    polar = (np.arange(1500) + 0.5) / 1500 * (np.pi / 2)
    around = (np.arange(720) + 0.5) / 720 * (2 * np.pi)
    theta, phi = np.meshgrid(polar, around, indexing="ij")
    light = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    view = np.array([math.sqrt(1 - cosine**2), 0.0, cosine])
    half = light + view
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    density = alpha**2 / (np.pi * (half[..., 2] ** 2 * (alpha**2 - 1) + 1) ** 2)
    smith = [2 * c / (c + np.sqrt(alpha**2 + (1 - alpha**2) * c**2)) for c in (light[..., 2], cosine)]
    fresnel = (1 - half @ view) ** 5
    area = np.sin(theta) * (np.pi / 3000) * (2 * np.pi / 720)
    share = density * smith[0] * smith[1] / (4 * cosine) * area
    truth = torch.tensor([((1 - fresnel) * share).sum(), (fresnel * share).sum()]).float()
    found = even().reflectance(torch.tensor([cosine]), torch.tensor([roughness]))[0]
    torch.testing.assert_close(found, truth, rtol=0, atol=0.01)  # the table is linear between 64 x 64 places


def test_nothing_reflects_more_than_falls_on_it() -> None:
    """Oracle: A + B is at most 1, both at least 0, and about 1 for a mirror seen from ahead."""
    table = reflectance_table()
    assert table.min() >= 0
    assert table.sum(0).max() <= 1 + 1e-3
    assert table[0, 0, -1] > 0.99


@given(st.floats(0, 1))
def test_srgb_is_the_standards(value: float) -> None:
    """Oracle: IEC 61966-2-1 undone."""
    shown = float(to_srgb(torch.tensor([value], dtype=torch.float64)))
    back = shown / 12.92 if shown <= 0.04045 else ((shown + 0.055) / 1.055) ** 2.4
    assert back == pytest.approx(value, abs=1e-6)


def test_srgb_of_too_much_light_is_white() -> None:
    """Oracle: 1, and black for none."""
    torch.testing.assert_close(to_srgb(torch.tensor([7.0, 0.0])), torch.tensor([1.0, 0.0]))


def test_materials_in_an_even_world_in_closed_form() -> None:
    """Oracle: kd (1 - m) + F0 A + B, with A and B of the table, under light of 0.5; then sRGB.

    A thousandth apart: the even world's harmonics are sums over pixels.
    """
    world = even(0.5)
    normal = torch.tensor([[0.0, 0, 1]]).expand(3, 3)
    ray = functional.normalize(torch.tensor([[0.6, 0.0, -0.8]]), dim=1).expand(3, 3)
    color = torch.tensor([[0.8, 0.4, 0.2]]).expand(3, 3)
    metal, roughness = torch.tensor([0.0, 0.5, 0.9]), torch.tensor([0.9, 0.3, 0.08])
    a, b = world.reflectance(torch.full((3,), 0.8), roughness)[..., None].unbind(1)
    base = 0.04 * (1 - metal[:, None]) + metal[:, None] * color
    truth = to_srgb(0.5 * (color * (1 - metal[:, None]) + base * a + b))
    torch.testing.assert_close(
        lit(Material(color, metal, roughness), normal, ray, world), truth, rtol=0.002, atol=0
    )


def test_textures_stand_for_materials_within_bounds_and_learn() -> None:
    """Oracle: the bounds at 0 and 1; a finite gradient that is not 0 for all five numbers."""
    ends = from_texture(torch.stack([torch.zeros(5), torch.ones(5)]))
    torch.testing.assert_close(ends.metal, torch.tensor([0.0, 0.9]))
    torch.testing.assert_close(ends.roughness, torch.tensor([0.08, 0.9]))
    values = torch.full((40, 5), 0.4, requires_grad=True)
    normal = some_directions()
    ray = functional.normalize(-normal + 0.5 * normal.roll(1, 1), dim=1)
    lit(from_texture(values), normal, ray, Environment(sky())).sum().backward()
    assert values.grad is not None
    assert values.grad.isfinite().all()
    assert (values.grad.abs().sum(0) > 0).all()
