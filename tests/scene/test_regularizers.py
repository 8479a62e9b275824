import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from src.errors import UserError
from src.scene.regularizers import RegularizerConfig, opaque, regularize, sparsity, z_variance
from src.scene.rendering import Rendering


def map_of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1).requires_grad_()


def view_of(opacity: Tensor, variance: Tensor) -> Rendering:
    picture = opacity.expand(1, 3, *opacity.shape[2:])
    return Rendering(picture, opacity, opacity, variance, picture, opacity * 0)


def test_values_in_closed_form() -> None:
    """Oracle: the formulas at hand-picked opacities: sqrt(1.01), .1; ln 2; a mean over solid rays alone."""
    torch.testing.assert_close(sparsity(map_of(1, 0)), torch.tensor((math.sqrt(1.01) + 0.1) / 2).double())
    torch.testing.assert_close(opaque(map_of(0.5, 0.5)), torch.tensor(math.log(2)).double())
    assert opaque(map_of(0, 1)) < 0.01 < opaque(map_of(0.01, 0.99))
    assert z_variance(map_of(5, 2, 4), map_of(0.1, 0.9, 0.6)) == 3


@given(st.lists(st.sampled_from([0.0, 1e-30, 1e-9, 0.3, 0.5, 1 - 1e-16, 1.0]), min_size=1, max_size=6))
def test_values_and_gradients_are_finite_everywhere(values: list[float]) -> None:
    """Oracle: finiteness, with and without any solid ray."""
    opacity, variance = map_of(*values), map_of(*values)
    cfg = RegularizerConfig(opaque_start_step=0, z_variance=1.0)
    total = regularize(cfg, view_of(opacity, variance), 0, 64)
    total.backward()
    assert total.isfinite()
    assert opacity.grad.isfinite().all()
    assert variance.grad.isfinite().all()


def test_the_sum_is_weighted_scheduled_and_scaled_once() -> None:
    """Oracle: hand-made sums before and at the start step; a quarter of the latents, of the total."""
    view = view_of(map_of(0.2, 0.7), map_of(0.5, 0.25))
    cfg = RegularizerConfig(sparsity=2.0, opaque=3.0, opaque_start_step=10, z_variance=4.0)
    before = 2 * sparsity(view.opacity) + 4 * 0.25
    torch.testing.assert_close(regularize(cfg, view, 9, 16_384), before)
    after = before + 3 * opaque(view.opacity)
    torch.testing.assert_close(regularize(cfg, view, 10, 16_384), after)
    torch.testing.assert_close(regularize(cfg, view, 10, 4096), after / 4)


@pytest.mark.parametrize(("setting", "value"), [("sparsity", math.nan), ("opaque", -1.0)])
def test_impossible_settings_are_named(setting: str, value: float) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=f"regularizer.{setting}={value}"):
        RegularizerConfig(**{setting: value})
