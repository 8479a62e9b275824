"""What survives noise: the pictures' fate against the probability flow's closed form, and the settings."""

import pytest
import torch

from src.errors import UserError
from src.evaluation.prior.noise import Settings, fresh, row, survivors
from src.evaluation.prior.score import Answer
from src.guidance.gaussian import gaussian_prior
from src.toybox.world.captions import unseen
from tests.oracles import alpha_bar


@pytest.mark.parametrize("t", [50, 400, 900])
def test_survivors_keep_what_the_probability_flow_keeps(t: int) -> None:
    """Oracle: Song et al. 2021's flow of N(-0.2, 0.3^2) maps z_t to an affine function of it.

    Its mean over the noise is -0.2 + alpha d / spread (z - -0.2), where spread^2 = alpha^2 d^2 + sigma^2;
    4 sigma of 16 x 768 numbers that deviate by sigma d / spread, and 0.01 for DDIM's first order.
    """
    prior = gaussian_prior(size=16, deviation=0.3, means={"": torch.full((3, 16, 16), -0.2)})
    squared = alpha_bar(torch.tensor(t)).item()
    spread = (squared * 0.3**2 + 1 - squared) ** 0.5
    kept = survivors(prior, torch.full((16, 3, 16, 16), 0.6), t, 300, seed=0)
    expected = -0.2 + squared**0.5 * 0.3 / spread * (0.2 + 0.2)
    sampling = 4 * (1 - squared) ** 0.5 * 0.3 / spread / (16 * 768) ** 0.5
    assert (2 * kept - 1).mean().item() == pytest.approx(expected, abs=sampling + 0.01)


def test_pictures_are_clean_and_taught_to_nobody() -> None:
    """Oracle: the world's own rule for what it shows; another seed shows something else."""
    images, said = fresh(6, 0)
    assert images.shape == (6, 3, 128, 128)
    assert 0 <= images.min() < images.max() <= 1
    assert not any(unseen(one.subject) for one in said)
    assert all(one.view in ("front view", "side view", "back view", "overhead view") for one in said)
    assert fresh(6, 1)[1] != said


def test_a_row_counts_each_question_for_itself() -> None:
    """Oracle: counted by hand."""
    found = [Answer("kind", False, True), Answer("kind", False, False), Answer("view", False, True)]
    assert row("500", found) == "| 500 | 50% of 2 | - | 100% of 1 |"


@pytest.mark.parametrize("times", ["0", "1000", "500,high", ""])
def test_a_time_that_is_none_is_refused(times: str) -> None:
    """Oracle: the sentence."""
    with pytest.raises(UserError, match=f"^times={times}: write timesteps from 1 to 999, as in"):
        Settings(times=times)
