"""One UNet call, exactly the rows that are needed, and nothing silent about the rest."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.guidance.gaussian import gaussian_prior
from src.guidance.prompts import Text
from src.guidance.terms import BRANCHES, Question, perpendicular, score_terms
from tests import oracles

DOUBLE = torch.float64
PRIOR = gaussian_prior(size=5, deviation=0.4, dtype=DOUBLE)
T = torch.tensor([20, 199, 200, 500, 980])


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def text(prior: Any, batch: int = 5) -> Text:
    embedded = prior.embed(["a lion", "", "blurry"])
    return Text(*(row.expand(batch, -1, -1) for row in embedded))


def everything(t: torch.Tensor) -> dict[str, torch.Tensor]:
    return {branch: torch.ones_like(t, dtype=torch.bool) for branch in BRANCHES}


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=3, max_size=3))
def test_branches_in_one_batch_equal_branch_by_branch(masks: list[list[bool]]) -> None:
    """Oracle: one predict_noise call per branch over the whole batch; rows not asked for are NaN."""
    needs = {branch: torch.tensor(mask) for branch, mask in zip(BRANCHES, masks, strict=True)}
    if not torch.cat(list(needs.values())).any():
        return  # every loss reads something
    latents, noise = normals(5, 3, 5, 5), normals(5, 3, 5, 5, seed=1)
    terms = score_terms(PRIOR, Question(latents, noise, T, text(PRIOR)), needs)
    noised = terms.alpha * latents + terms.sigma * noise
    for branch, mask in needs.items():
        alone = PRIOR.predict_noise(noised, T, getattr(text(PRIOR), branch))
        assert torch.equal(getattr(terms, branch)[mask], alone[mask])
        assert getattr(terms, branch)[~mask].isnan().all()
    assert terms.unet_rows == sum(int(mask.sum()) for mask in needs.values())


def test_a_network_sees_no_difference_either(tiny_prior: Any) -> None:
    """Oracle: each row alone; float32 sums in another order agree to 1e-5 of the largest value."""
    latents, noise = normals(5, 4, 16, 16).float(), normals(5, 4, 16, 16, seed=1).float()
    terms = score_terms(tiny_prior, Question(latents, noise, T, text(tiny_prior)), everything(T))
    for branch in BRANCHES:
        for i in range(5):
            noised = terms.alpha[i : i + 1] * latents[i : i + 1] + terms.sigma[i : i + 1] * noise[i : i + 1]
            alone = tiny_prior.predict_noise(
                noised, T[i : i + 1], getattr(text(tiny_prior), branch)[i : i + 1]
            )
            largest = float(alone.abs().max())
            torch.testing.assert_close(getattr(terms, branch)[i], alone[0], rtol=0, atol=1e-5 * largest)


def test_one_call_with_exactly_the_needed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a count of calls and rows."""
    calls = []
    predict = PRIOR.predict_noise
    monkeypatch.setattr(PRIOR, "predict_noise", lambda *args: calls.append(len(args[0])) or predict(*args))
    needs = {**everything(T), "negative": T >= 200}
    terms = score_terms(PRIOR, Question(normals(5, 3, 5, 5), normals(5, 3, 5, 5), T, text(PRIOR)), needs)
    assert calls == [13]
    assert terms.unet_rows == 13


def test_a_branch_that_is_not_named_is_nan_throughout() -> None:
    """Oracle: NaN, which no loss can overlook."""
    needs = {"cond": torch.ones(5, dtype=torch.bool)}
    terms = score_terms(PRIOR, Question(normals(5, 3, 5, 5), normals(5, 3, 5, 5), T, text(PRIOR)), needs)
    assert terms.negative.isnan().all()
    assert terms.guided(7.5).isnan().all()


def test_alpha_and_sigma_are_the_schedules() -> None:
    """Oracle: the definition in float64; [B, 1, 1, 1] even when B equals a side of the latents."""
    asked = Question(normals(5, 3, 5, 5), normals(5, 3, 5, 5), T, text(PRIOR))
    terms = score_terms(PRIOR, asked, everything(T))
    assert terms.alpha.shape == terms.sigma.shape == (5, 1, 1, 1)
    torch.testing.assert_close(terms.alpha.flatten() ** 2, oracles.alpha_bar(T), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        terms.alpha**2 + terms.sigma**2, torch.ones_like(terms.t[:, None, None, None]).double()
    )


def test_guided_is_the_prediction_of_the_guided_mean() -> None:
    """Oracle: eps is affine in the mean, so guided(s) is eps of mu_u + s (mu_c - mu_u)."""
    for scale in (0.0, 1.0, 7.5, 100.0):
        asked = Question(normals(5, 3, 5, 5), normals(5, 3, 5, 5, seed=1), T, text(PRIOR))
        terms = score_terms(PRIOR, asked, everything(T))
        cond, uncond = text(PRIOR)[:2]
        noised = terms.alpha * normals(5, 3, 5, 5) + terms.sigma * terms.noise
        expected = PRIOR.predict_noise(noised, T, uncond + scale * (cond - uncond))
        torch.testing.assert_close(terms.guided(scale), expected, rtol=1e-10, atol=1e-10)


@given(st.integers(0, 99))
def test_the_perpendicular_part_is_perpendicular(seed: int) -> None:
    """Oracle: Pythagoras, in float64; what is parallel vanishes, and a zero direction takes nothing away."""
    other, wanted = normals(3, 2, 4, 4, seed=seed), normals(3, 2, 4, 4, seed=seed + 1000)
    part = perpendicular(other, wanted)
    torch.testing.assert_close(
        (part * wanted).sum((1, 2, 3)), torch.zeros(3, dtype=DOUBLE), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(
        perpendicular(-2.5 * wanted, wanted), torch.zeros_like(wanted), rtol=0, atol=1e-12
    )
    assert torch.equal(perpendicular(other, torch.zeros_like(wanted)), other)


def test_a_front_view_held_against_the_others_changes_cond_alone() -> None:
    """Oracle: predictions one by one; no weight, no change; a sample costs a row more."""
    latents, noise, plain = normals(5, 3, 5, 5), normals(5, 3, 5, 5, seed=1), text(PRIOR)
    weight = torch.tensor([0, 0.5, 1, 2, 3], dtype=DOUBLE)
    front = PRIOR.embed(["a lion, front view"]).expand(5, -1, -1)
    without = score_terms(PRIOR, Question(latents, noise, T, plain), everything(T))
    against = plain._replace(front=front, front_weight=weight)
    held = score_terms(PRIOR, Question(latents, noise, T, against), everything(T))
    noised = without.alpha * latents + without.sigma * noise
    away = perpendicular(
        PRIOR.predict_noise(noised, T, front) - without.uncond, without.cond - without.uncond
    )
    assert torch.equal(held.uncond, without.uncond)
    assert torch.equal(held.negative, without.negative)
    torch.testing.assert_close(held.cond, without.cond - weight.view(-1, 1, 1, 1) * away)
    assert held.unet_rows == without.unet_rows + 5


def test_no_graph_leaves_the_prior(tiny_prior: Any) -> None:
    """Oracle: requires_grad; the image learns through the surrogate alone."""
    latents = normals(5, 4, 16, 16).float().requires_grad_()
    asked = Question(latents, normals(5, 4, 16, 16).float(), T, text(tiny_prior))
    terms = score_terms(tiny_prior, asked, everything(T))
    for name in ("alpha", "sigma", "noise", "cond", "uncond", "negative"):
        assert not getattr(terms, name).requires_grad
    with pytest.raises(FrozenInstanceError):
        terms.cond = terms.uncond  # type: ignore[misc]
