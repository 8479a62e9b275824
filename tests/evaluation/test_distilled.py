"""Losses on latents alone: where Gaussians say that they come to rest, and how far NFSD overshoots."""

import pytest
import torch

from src.door import settings
from src.evaluation.distilled import distil
from src.guidance.gaussian import gaussian_prior
from tests.oracles import push_over_pull

MEANS = {"": 0.0, "good": 0.05, "bad": -0.05}
GUIDED = 7.5 * 0.05
RUN = ("prompt=good", "preset=bench", "prompts.negative=bad", "schedule.t_max_after=980")


def overshot(cut: int) -> float:
    """z* = mu_g + R (mu_g - mu_neg), mu_g = 7.5 m."""
    return GUIDED + push_over_pull(20, 980, cut, 0.0, 0.5) * (GUIDED - MEANS["bad"])


@pytest.mark.parametrize(
    ("loss", "rest"),
    [
        (("loss=sds", "loss.guidance_scale=7.5"), GUIDED),
        (("loss=nfsd", "loss.cut=600"), overshot(600)),
        (("loss=nfsd", "loss.cut=300"), overshot(300)),
    ],
)
def test_latents_come_to_rest_where_gaussians_say(loss: tuple[str, ...], rest: float) -> None:
    """Oracle: the fixed points of SDS and of NFSD (tests/guidance/test_losses.py), from Gaussian starts.

    0.05, because Adam divides rare large gradients by what came before them: its rest is not quite the mean
    gradient's.
    """
    prior = gaussian_prior(
        size=8, deviation=0.5, means={said: torch.full((3, 8, 8), mean) for said, mean in MEANS.items()}
    )
    found = distil(settings(*RUN, *loss, "generator=latents", "batch_size=16", "steps=300"), prior)
    assert found.latents.mean().item() == pytest.approx(rest, abs=0.05)


def test_a_run_is_known_by_its_draws() -> None:
    """Oracle: another loss sees the same draws, another seed does not."""
    prior = gaussian_prior(size=8, deviation=0.5)
    said = ("prompt=good", "preset=smoke", "generator=latents", "batch_size=1", "steps=3")
    first, other_loss, other_seed = (
        distil(settings(*said, *more), prior) for more in ((), ("loss=sds",), ("seed=1",))
    )
    assert first.digest == other_loss.digest != other_seed.digest
    assert not torch.equal(first.latents, other_loss.latents)
