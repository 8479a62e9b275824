"""The numbers beside the figures, on parts made for the purpose."""

import math

import pytest
import torch

from src.evaluation.paper.measures import common_share, content, cosine, fine_share, inside, size, strength
from src.streams import Streams


def drawn(*shape: int) -> torch.Tensor:
    return Streams(0, 0)("parts").normal(*shape).double()


def test_energy_inside_is_the_area_for_even_parts() -> None:
    """Oracle: a part of the same strength everywhere, and one that is nothing outside."""
    silhouettes = torch.zeros(2, 8, 8)
    silhouettes[0, :4], silhouettes[1, 2:4, 2:4] = 1.0, 0.5
    even = torch.ones(2, 3, 8, 8)
    assert inside(even, silhouettes).tolist() == pytest.approx([0.5, 0.5 * 4 / 64])
    assert inside(even[:1] * silhouettes[:1, None], silhouettes[:1]).item() == 1.0


def test_fine_share_tells_waves_by_their_length() -> None:
    """Oracle: single cosines below and above half of the highest frequency, on any mean."""
    place = torch.arange(16) / 16
    for cycles, share in ((3, 0.0), (4, 0.0), (5, 1.0), (8, 1.0)):
        wave = torch.cos(2 * math.pi * cycles * place).expand(1, 2, 16, 16)
        assert fine_share(wave + 3.0).item() == pytest.approx(share, abs=1e-6)


def test_common_share_of_equal_and_of_independent_draws() -> None:
    """Oracle: 1, and 0 on average; signal of half the energy: 0.5. 0.05: 5 deviations of 3 pairs of draws.

    With two draws of opposite sign the estimate is -1: it is unbiased and no share of energies.
    """
    noise, signal = drawn(3, 4, 4, 32, 32), drawn(1, 4, 4, 32, 32)
    assert common_share(signal.expand(3, -1, -1, -1, -1)).tolist() == pytest.approx([1] * 4)
    assert common_share(noise).abs().max() < 0.05
    assert (common_share(noise + Streams(0, 1)("s").normal(1, 4, 4, 32, 32)) - 0.5).abs().max() < 0.05
    assert common_share(torch.stack([signal[0], -signal[0]])).tolist() == pytest.approx([-1] * 4)


def test_sizes_and_angles() -> None:
    """Oracle: by hand."""
    part = torch.tensor([[[[3.0, 4.0]], [[4.0, 3.0]]]])
    assert size(part).item() == pytest.approx((50 / 4) ** 0.5)
    assert strength(part)[0, 0].tolist() == pytest.approx([12.5**0.5] * 2)
    assert content(part)[0, :, 0].tolist() == [[-0.5, 0.5], [0.5, -0.5]]
    assert cosine(part, -2 * part).item() == pytest.approx(-1)
    assert cosine(part, torch.tensor([[[[4.0, -3.0]], [[3.0, -4.0]]]])).item() == pytest.approx(0, abs=1e-7)
