"""How far losses overshoot: the theory's ratio summed independently, and latents placed by hand."""

import pytest
import torch

from src.door import settings
from src.evaluation.overshoot import overshoot, past, spread
from src.guidance.gaussian import gaussian_prior
from tests.oracles import push_over_pull

RUN = ("prompt=good", "preset=bench", "prompts.negative=bad", "schedule.t_max_after=980")


def test_overshoot_is_push_over_pull() -> None:
    """Oracle: the same ratio, summed independently; SDS and VSD pull back at every t, CSD at none."""
    prior = gaussian_prior(size=8, deviation=0.5, means={"": torch.zeros(3, 8, 8)})
    paper = settings(*RUN, "loss=nfsd", "loss.cut=200", "loss.sigma_power=2")
    assert overshoot(paper, prior, 0.5) == pytest.approx(push_over_pull(20, 980, 200, 2.0, 0.5), rel=1e-6)
    halved = settings(*RUN, "loss=nfsd", "loss.cut=200", "loss.weight_below_cut=2")
    assert overshoot(halved, prior, 0.5) == pytest.approx(push_over_pull(20, 980, 200, 0.0, 0.5) / 2)
    assert overshoot(settings(*RUN, "loss=nfsd", "loss.cut=10"), prior, 0.5) == float("inf")
    assert [overshoot(settings(*RUN, f"loss={name}"), prior, 0.5) for name in ("sds", "vsd")] == [0, 0]
    assert overshoot(settings(*RUN, "loss=csd"), prior, 0.5) == float("inf")


def test_spread_is_that_within_prompts() -> None:
    """Oracle: two prompts whose latents differ by 100 between them and by +-1 within."""
    latents = torch.tensor([-1.0, 1, 99, 101]).view(4, 1, 1, 1)
    assert spread(latents, 2) == pytest.approx(2**0.5)


def test_what_lies_past_the_samples() -> None:
    """Oracle: latents placed past them by hand; what lies across the line does not count."""
    own, bad = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    own, bad = own[:, :, None, None], bad[:, :, None, None]  # means (2, 0) and (1, 0)
    placed = torch.tensor([[2 + 3.0, 5.0], [2 + 3.0, -7.0]])[:, :, None, None]
    assert past(placed, own, bad) == 3.0
    assert past(own, own, bad) == 0.0
    assert past(bad, own, bad) == -1.0
    assert past(placed, own, torch.stack([bad[0], own[1] + 1])) is None  # one half points the other way


def test_few_samples_draw_it_nowhere() -> None:
    """Oracle: latents at the mean itself are 0 past it, those at mu + 2 (mu - mu_neg) 2, on average over 400
    sets of 8 samples, however far samples are apart.  0.1: five standard errors; halves that are not kept
    apart miss by 0.3 and 0.9.
    """
    draw = torch.Generator().manual_seed(0)
    goal, bad = torch.zeros(64, 1, 1), torch.full((64, 1, 1), -1.0)
    found = {0: 0.0, 2: 0.0}
    for _ in range(400):
        own, others = (mean + torch.randn(8, 64, 1, 1, generator=draw) for mean in (goal, bad))
        for x in found:
            gone = past((goal + x * (goal - bad))[None], own, others)
            assert gone is not None
            found[x] += gone / 400
    assert found == pytest.approx({0: 0, 2: 2}, abs=0.1)
