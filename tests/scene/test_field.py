import math

import pytest
import torch
from torch import Tensor

from src.errors import UserError
from src.scene.field import Field, FieldConfig, Precision
from src.scene.levels import HashGridConfig
from src.streams import Streams

SMALL = HashGridConfig(levels=3, features=2, log2_table=10, base_resolution=4, max_resolution=16)


def field_of(scale: float = 1.0, **settings: float | Precision) -> Field:
    """A small field whose table is multiplied by `scale`."""
    field = Field(FieldConfig(hash_grid=SMALL, **{"precision": Precision.float32, **settings}), Streams(1, 0))
    with torch.no_grad():
        field.encoding.table *= scale
    return field


def points(count: int = 50, radius: float = 1.0) -> Tensor:
    return (2 * Streams(0, 1)("points").uniform(1, count, 3)[0] - 1) * radius


def test_with_nothing_learned_the_field_is_the_blob() -> None:
    """Oracle: softplus(10 (1 - |x| / .5) + bias) and grey, for a table of zeros."""
    field, x = field_of(0.0, density_bias=-1.5).double(), points().double()
    density, color = field(x)
    expected = (1 + (10 * (1 - x.norm(dim=-1) / 0.5) - 1.5).exp()).log()
    torch.testing.assert_close(density, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(color, torch.full_like(color, 0.5))
    center, rim = field.density(torch.tensor([[0, 0, 0], [0, 0, 0.9]]).double())
    assert center > 8
    assert rim < 1e-3


def test_density_alone_is_the_same_density() -> None:
    """Oracle: forward's own, bitwise."""
    field, x = field_of(1e4), points()
    assert torch.equal(field.density(x), field(x)[0])


def test_gains_act_before_the_activations() -> None:
    """Oracle: inverse activations of a field with gain 3 are three times those of one with gain 1."""
    x = points().double()
    one = field_of(1e4, blob_density=0.0).double()(x)
    three = field_of(1e4, blob_density=0.0, density_gain=3.0, color_gain=3.0).double()(x)
    torch.testing.assert_close(three[0].expm1().log(), 3 * one[0].expm1().log(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(three[1].logit(), 3 * one[1].logit(), rtol=1e-9, atol=1e-9)
    assert one[0].std() > 0.01  # the comparison is about something


def test_the_radius_scales_the_encoding() -> None:
    """Oracle: the same field at half the size shows the same thing at half the place."""
    x = points()
    large, small = field_of(1e4, blob_density=0.0), field_of(1e4, blob_density=0.0, radius=0.5)
    torch.testing.assert_close(large(x), small(x / 2))


def test_every_parameter_learns_and_float64_stays_float64() -> None:
    """Oracle: gradients exist, are finite and not zero, in the parameters' own precision."""
    field = field_of(1e4).double()
    density, color = field(points().double())
    (density.sum() + color.square().sum()).backward()
    assert density.dtype == color.dtype == torch.float64
    for parameter in field.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float64
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0


def test_bfloat16_rounds_the_products_but_not_the_parameters() -> None:
    """Oracle: float32 within a few times bfloat16's 2^-8; gradients are float32."""
    x = points()
    exact, rounded = field_of(1e4), field_of(1e4, precision=Precision.bfloat16)
    for a, b in zip(exact(x), rounded(x), strict=True):
        assert b.dtype == torch.float32
        assert not torch.equal(a, b)
        torch.testing.assert_close(b, a, rtol=4 * 2**-8, atol=4 * 2**-8)
    rounded(x)[1].sum().backward()
    assert rounded.color_hidden.grad.dtype == torch.float32


def test_the_seed_decides_the_parameters() -> None:
    """Oracle: equal streams, equal fields; other streams, others; layers are within 1 / sqrt(inputs)."""
    cfg = FieldConfig(hash_grid=SMALL)
    a, b, c = (Field(cfg, Streams(seed, 0)) for seed in (4, 4, 5))
    for one, same, other in zip(a.parameters(), b.parameters(), c.parameters(), strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
    assert 0.95 / math.sqrt(6) < a.density_hidden.abs().max() <= 1 / math.sqrt(6)
    assert not torch.equal(a.density_hidden, a.color_hidden)


@pytest.mark.parametrize(
    ("setting", "value"), [("radius", 0.0), ("blob_density", math.nan), ("hidden", -1), ("blob_radius", -0.5)]
)
def test_impossible_settings_are_named(setting: str, value: float) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=f"field.{setting}={value}"):
        FieldConfig(**{setting: value})


def test_precisions_are_three() -> None:
    """Oracle: the documented names."""
    assert [p.value for p in Precision] == ["auto", "float32", "bfloat16"]
