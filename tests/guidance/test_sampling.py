"""Sampling: DDIM against the closed form it converges to."""

import pytest
import torch

from src.guidance.gaussian import gaussian_prior
from src.guidance.sampling import ddim
from src.streams import Streams
from tests.oracles import alpha_bar

MEANS = {"this": torch.full((3, 2, 2), 0.6), "": torch.full((3, 2, 2), -0.2)}


def flow(noise: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
    """Where the probability flow (Song et al. 2021) of N(mean, deviation^2) takes z_999: an affine map."""
    squared = alpha_bar(torch.tensor(999))
    spread = (squared * deviation**2 + 1 - squared).sqrt()
    return mean + deviation / spread * (noise - squared.sqrt() * mean)


@pytest.mark.parametrize(("scale", "mean"), [(1.0, 0.6), (0.0, -0.2), (2.5, -0.2 + 2.5 * 0.8)])
def test_ddim_follows_the_probability_flow(scale: float, mean: float) -> None:
    """Oracle: the flow's closed form around the guided mean, row by row. 0.02: DDIM is of first order."""
    prior = gaussian_prior(size=2, deviation=0.5, means=MEANS)
    sampled = ddim(prior, ["this"] * 64, scale, 500, Streams(3, 0)("sample/noise"))
    noise = Streams(3, 0)("sample/noise").normal(64, 3, 2, 2)
    torch.testing.assert_close(sampled.double(), flow(noise.double(), mean, 0.5), rtol=0, atol=0.02)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_reaches_the_mean_and_the_deviation(eta: float) -> None:
    """Oracle: N(0.6, 0.5^2), less the 3% of the mean that z_999 lacks. 4 sigma of 6,144 numbers, 0.01.

    With eta = 1 the mean that z_999 lacks is forgotten: noise comes in on the way.
    """
    prior = gaussian_prior(size=2, deviation=0.5, means=MEANS)
    sampled = ddim(prior, ["this"] * 512, 1.0, 200, Streams(0, 0)("sample/noise"), eta)
    missing = 0.0 if eta else 0.6 * 0.5 * alpha_bar(torch.tensor(999)).sqrt().item()
    assert sampled.mean().item() == pytest.approx(0.6 - missing, abs=4 * 0.5 / 6144**0.5 + 0.01)
    assert sampled.std().item() == pytest.approx(0.5, abs=4 * 0.5 / (2 * 6144) ** 0.5 + 0.01)


def test_a_sample_does_not_depend_on_how_many_are_drawn() -> None:
    """Oracle: the first rows of a larger draw. 1e-6: sums may be taken in another order."""
    prior = gaussian_prior(size=4)
    few = ddim(prior, ["a lion"] * 2, 7.5, 20, Streams(1, 0)("sample/noise"))
    many = ddim(prior, ["a lion"] * 7, 7.5, 20, Streams(1, 0)("sample/noise"))
    torch.testing.assert_close(few, many[:2], rtol=0, atol=1e-6)
