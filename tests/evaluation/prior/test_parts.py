"""NFSD's parts one by one: equal-variance Gaussians in closed form, and pairs that show the same thing."""

import pytest
import torch

from src.errors import UserError
from src.evaluation.prior.parts import Settings, parts, row
from src.guidance.gaussian import gaussian_prior
from src.guidance.prompts import Text
from src.toybox.world.pairs import GREY, pairs
from tests.oracles import alpha_bar

MEANS = {"": 0.1, "good": 0.6, "bad": -0.5}


@pytest.mark.parametrize("t", [50, 500, 950])
def test_parts_are_those_of_gaussians(t: int) -> None:
    """Oracle: eps(z_t; y) = sigma (z_t - alpha m_y) / (alpha^2 d^2 + sigma^2) for N(m_y, d^2), d = 0.3.

    Differences of predictions are free of noise: k (m_uncond - m_y), k = sigma alpha / spread^2, to float32.
    uncond - noise is k (z - m_uncond) + (sigma^2 / spread^2 - 1) noise: 5 deviations of its mean over 4
    noises of 768 numbers.
    """
    means = {prompt: torch.full((3, 16, 16), value) for prompt, value in MEANS.items()}
    prior = gaussian_prior(size=16, deviation=0.3, means=means)
    good, nothing, bad = (prior.embed([prompt]) for prompt in ("good", "", "bad"))
    squared = alpha_bar(torch.tensor(t)).item()
    spread = squared * 0.3**2 + 1 - squared
    k = ((1 - squared) * squared) ** 0.5 / spread
    found = parts(prior, torch.full((1, 3, 16, 16), -0.3), Text(good, nothing, bad), t, 4, seed=0)
    assert found["condition"].mean().item() == pytest.approx(k * (0.1 - 0.6), rel=1e-3)
    assert found["domain"].mean().item() == pytest.approx(k * (-0.5 - 0.1), rel=1e-3)
    sampling = 5 * abs((1 - squared) / spread - 1) / (4 * 768) ** 0.5
    assert found["restoring"].mean().item() == pytest.approx(k * (-0.3 - 0.1), abs=sampling + 1e-3)


def test_a_row_tells_towards_from_away() -> None:
    """Oracle: cosines of +1, -1 and 0, and sizes, by construction."""
    way = torch.ones(2, 1, 2, 2)
    across = torch.tensor([1.0, -1.0]).expand(2, 1, 2, 2)
    said = row(300, {"condition": -2 * way, "domain": way, "restoring": across}, way)
    assert said == "| 300 | +1.00 ± 0.00 | 2.000 | -1.00 ± 0.00 | 1.000 | +0.00 ± 0.00 | 1.000 |"


def test_a_pair_shows_one_thing_twice() -> None:
    """Oracle: a solid's two pictures overlap more than two strangers' (0.8 beside 0.65, of two seeds)."""
    clean, bad, captions = pairs(12, 0)
    assert clean.shape == bad.shape == (12, 3, 128, 128)
    assert len(captions) == 12
    assert all(caption.endswith(" view") for caption in captions)
    away = [(pictures - GREY).abs().sum(1).flatten(1) for pictures in (clean, bad)]
    alike = torch.cosine_similarity(away[0][:, None], away[1][None], dim=-1)
    strangers = (alike.sum() - alike.trace()) / (12 * 11)
    assert alike.trace() / 12 > strangers + 0.1
    assert (clean - bad).abs().mean() > 0.01


def test_a_time_that_is_none_is_refused() -> None:
    """Oracle: the sentence."""
    with pytest.raises(UserError, match=r"^times=500,high: write timesteps from 1 to 999, as in"):
        Settings(times="500,high")
