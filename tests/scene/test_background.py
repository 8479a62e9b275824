import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.errors import UserError
from src.scene.background import Background, BackgroundConfig, spherical_harmonics
from src.streams import Streams


def test_harmonics_are_orthonormal() -> None:
    """Oracle: Gauss-Legendre quadrature in z times equal steps in azimuth, exact for these polynomials."""
    z, weight = (torch.from_numpy(column) for column in np.polynomial.legendre.leggauss(8))
    around = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    z, around = (axis.reshape(-1) for axis in torch.meshgrid(z, around, indexing="ij"))
    rim = (1 - z * z).sqrt()
    basis = spherical_harmonics(torch.stack([rim * around.cos(), rim * around.sin(), z], -1))
    gram = torch.einsum("n,ni,nj->ij", weight.repeat_interleave(8) * (2 * math.pi / 8), basis, basis)
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_map_is_a_color_that_depends_on_the_direction_and_learns() -> None:
    """Oracle: within (0, 1), not constant, gradients in all three layers."""
    background = Background(BackgroundConfig(), Streams(0, 0))
    directions = torch.nn.functional.normalize(Streams(0, 0)("d").normal(1, 40, 3)[0], dim=-1)
    color = background(directions)
    assert ((color > 0) & (color < 1)).all()
    assert color.std(0).min() > 1e-4
    color.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in background.parameters())


@given(st.integers(0, 2**32))
def test_solid_colors_belong_to_views_whatever_the_batch(seed: int) -> None:
    """Oracle: a batch of four equals four batches of one, bitwise."""
    background = Background(BackgroundConfig(), Streams(0, 0))
    whole = background.draw(4, Streams(seed, 3)("background"))
    for view in range(4):
        one = background.draw(1, Streams(seed, 3, view)("background"))
        assert torch.equal(one.chosen, whole.chosen[view : view + 1])
        assert torch.equal(one.color, whole.color[view : view + 1])


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_views_are_chosen_with_the_given_odds(probability: float) -> None:
    """Oracle: the binomial law: within four standard deviations, exact at the ends."""
    background = Background(BackgroundConfig(solid_probability=probability), Streams(0, 0))
    share = background.draw(4000, Streams(2, 2)("background")).chosen.double().mean()
    assert abs(share - probability) <= 4 * math.sqrt(probability * (1 - probability) / 4000)


def test_the_map_starts_as_light_as_it_is_told() -> None:
    """Oracle: the lightness itself where the weights say nothing; the map without it, bit for bit, at 0.5."""
    light = Background(BackgroundConfig(lightness=0.85), Streams(0, 0))
    plain = Background(BackgroundConfig(), Streams(0, 0))
    up = torch.tensor([[0.0, 0.0, 1.0]])
    hidden = spherical_harmonics(up) @ plain.first.T
    expected = ((hidden.relu() @ plain.second.T).relu() @ plain.out.T).sigmoid()
    assert torch.equal(plain(up), expected)
    with torch.no_grad():
        light.out.zero_()
    torch.testing.assert_close(light(up), torch.full((1, 3), 0.85))


def test_evaluation_draws_nothing() -> None:
    """Oracle: no stream, no solid."""
    assert Background(BackgroundConfig(), Streams(0, 0)).draw(3, None) is None


@pytest.mark.parametrize(
    ("setting", "value"), [("solid_probability", 1.5), ("hidden", 0), ("lightness", 1.0)]
)
def test_impossible_settings_are_named(setting: str, value: float) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=f"background.{setting}={value}"):
        BackgroundConfig(**{setting: value})
