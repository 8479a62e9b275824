"""Making true solids worse: what must stay true of any picture, and effects whose strength is nothing."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.evaluation.judge.degrade import (
    before_any_background,
    blurred,
    degrade,
    jittered,
    mottled,
    violent_color,
)
from src.streams import Streams


def rgba(seed: int = 0, count: int = 12) -> torch.Tensor:
    """Discs of random colour, premultiplied."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    alpha = ((x**2 + y**2) < 0.3).float().expand(count, 1, 32, 32)
    return torch.cat([torch.rand(count, 3, 1, 1, generator=generator) * alpha, alpha], 1)


@settings(max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_pictures_stay_pictures(seed: int) -> None:
    """Oracle: premultiplied, within [0, 1], finite; the same numbers from the same stream."""
    one, other = (
        degrade(jittered(rgba(seed), 32, Streams(seed, 1)("jitter")), Streams(seed, 1)("degrade"))
        for _ in range(2)
    )
    assert torch.equal(one, other)
    assert torch.isfinite(one).all()
    assert one.min() >= 0
    assert one.max() <= 1 + 1e-5  # float32 sums of a blur
    assert (one[:, :3] <= one[:, 3:] + 1e-6).all()
    shown = before_any_background(one, Streams(seed, 1)("background"))
    assert shown.min() >= -1e-6  # float32: 1 - opacity
    assert shown.max() <= 1 + 1e-5


def test_no_strength_changes_nothing() -> None:
    """Oracle: the picture itself. 1e-6: float32."""
    picture, ones = rgba(), torch.ones(12)
    field = torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for same in (
        violent_color(picture, ones, ones),
        blurred(picture, ones * 0.05),
        mottled(picture, field, ones * 0),
    ):
        torch.testing.assert_close(same, picture, rtol=0, atol=1e-6)


def test_blur_keeps_the_mass_and_spreads_it() -> None:
    """Oracle: the sum of a dot stays, its variance is sigma^2 (pixels; 2%: the kernel is cut at 8 pixels)."""
    dot = torch.zeros(2, 4, 33, 33)
    dot[:, :, 16, 16] = 1
    soft = blurred(dot, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(soft.sum((2, 3)), torch.ones(2, 4), rtol=1e-5, atol=0)
    offsets = torch.arange(33.0) - 16
    variance = (soft.sum(3) * offsets**2).sum(2)
    torch.testing.assert_close(variance, torch.tensor([[1.0], [4.0]]).expand(2, 4), rtol=0.02, atol=0)


def test_saturation_moves_away_from_grey() -> None:
    """Oracle: twice the distance from a colour's own mean, clipped to [0, 1]."""
    picture = rgba()
    color = picture[:, :3, 16, 16]
    grey = color.mean(1, keepdim=True)
    loud = violent_color(picture, torch.full((12,), 2.0), torch.ones(12))[:, :3, 16, 16]
    torch.testing.assert_close(loud, (grey + 2 * (color - grey)).clamp(0, 1), rtol=0, atol=1e-6)
