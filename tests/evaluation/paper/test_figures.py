"""Figures 2 to 5 on the prior in closed form, whose parts are known at every t."""

import math

import pytest
import torch

from src.evaluation.paper import condition, domain, guidance_ladder, residual
from src.evaluation.paper.asking import ask, noise_like, noise_ratio
from src.evaluation.paper.filters import GAUSSIAN, gaussian
from src.evaluation.paper.shown import Shown, gain, samples
from src.guidance.gaussian import gaussian_prior
from src.streams import Streams
from tests.oracles import alpha_bar

DEVIATION = 0.5
MEANS = {"": torch.full((3, 16, 16), -0.2), "this": torch.full((3, 16, 16), 0.1)}
MEANS["this"][:, 4:8, 4:8] = 0.7  # what the prompt is about
PRIOR = gaussian_prior(size=16, deviation=DEVIATION, means=MEANS)


def shown() -> Shown:
    latents = 0.4 * Streams(0, 0)("latents").normal(3, 3, 16, 16)
    silhouettes = torch.zeros(3, 16, 16)
    silhouettes[:, 4:8, 4:8] = 1.0
    return Shown(latents / 2 + 0.5, latents, ["this"] * 3, silhouettes)


def variance(t: int) -> tuple[float, float, float]:
    """alpha, sigma and the variance of z_t."""
    squared = float(alpha_bar(torch.tensor(t)))
    return squared**0.5, (1 - squared) ** 0.5, squared * DEVIATION**2 + 1 - squared


def test_the_condition_direction_is_where_the_means_differ() -> None:
    """Oracle: delta_C = sigma alpha (mu_empty - mu_prompt) / (alpha^2 d^2 + sigma^2), whatever the noise."""
    found = condition.figure(PRIOR, shown(), seed=0)
    difference = MEANS[""] - MEANS["this"]
    energy = float(difference[:, 4:8, 4:8].square().sum() / difference.square().sum())
    assert [row["index"] for row in found.numbers] == [100, 200, 300, 500, 700, 999]
    for row in found.numbers:
        alpha, sigma, spread = variance(row["index"])
        expected = sigma * alpha / spread * float(difference.square().mean().sqrt())
        assert row["size"].value == pytest.approx(expected, rel=1e-3)
        assert row["energy inside the silhouette"].value == pytest.approx(energy, rel=1e-3)
        assert row["common to all noises"].value == pytest.approx(1, abs=1e-3)
        assert row["cosine with t = 500's"].value == pytest.approx(1, abs=1e-4)
    assert "inside the true silhouette, which covers 6% of the picture" in " ".join(found.caption.split())


def test_the_residual_is_that_of_the_exact_denoiser() -> None:
    """Oracle: sigma (alpha (z - mu) + sigma eps) / v - eps, in closed form, at every t of the figure."""
    seen = shown()
    found = residual.figure(PRIOR, seen, seed=0)
    noise = noise_like(seen.latents, 0, 0).double()
    for row in found.numbers:
        alpha, sigma, spread = variance(row["index"])
        mean = MEANS[""].double()
        exact = sigma / spread * (alpha * (seen.latents - mean) + sigma * noise) - noise
        assert row["size"].value == pytest.approx(
            float(exact.square().mean((1, 2, 3)).sqrt().mean()), rel=1e-3
        )
    assert "noisier at every smaller t, as the paper says" in found.caption or "not noisier" in found.caption


def test_what_is_left_of_a_distortion_is_the_denoisers_share() -> None:
    """Oracle: with delta_D = sigma alpha (z_OOD - z_ID) / v, (e) keeps alpha^2 d^2 / v of the distortion.

    Without x_ID it is the exact denoiser's picture of x_OOD: alpha d^2 / v (z_t - alpha mu) + mu.
    """
    seen = shown()
    found = domain.figure(PRIOR, seen, seed=0)
    blurred = 2 * gaussian(seen.images, GAUSSIAN * 16 / 128) - 1
    noise, clean = noise_like(seen.latents, 0, 0), 2 * seen.images - 1
    for row in found.numbers:
        alpha, sigma, spread = variance(row["t"])
        assert row["distance left"].value == pytest.approx(alpha**2 * DEVIATION**2 / spread, rel=2e-3)
        if row["filter"] == "Gaussian":
            noised = alpha * blurred + sigma * noise
            mean = MEANS[""]
            best = mean + alpha * DEVIATION**2 / spread * (noised - alpha * mean)
            left = (best - clean).square().mean((1, 2, 3)).sqrt()
            left = left / (blurred - clean).square().mean((1, 2, 3)).sqrt()
            assert row["left without x_ID"].value == pytest.approx(float(left.mean()), rel=5e-3)


def test_larger_scales_clip_more() -> None:
    """Oracle: the guided mean of scale s is mu_empty + s (mu - mu_empty), outside [-1, 1] from s = 4 on."""
    prior = gaussian_prior(
        size=8, deviation=0.1, means={"this": torch.full((3, 8, 8), 0.3), "": torch.zeros(3, 8, 8)}
    )
    found = guidance_ladder.figure(prior, ["this"] * 2, seed=0)
    shares = [row["clipped channels"].value for row in found.numbers]
    assert shares[0] == 0
    assert shares[2:] == [1, 1, 1, 1]
    assert "as the paper says" in found.caption
    assert [row["size of the latents"].value for row in found.numbers][3] == pytest.approx(15 * 0.3, rel=0.1)


def test_asking_is_a_row_for_every_picture() -> None:
    """Oracle: the same pictures one by one; the prompt's predictions are nan where nobody asked."""
    seen = shown()
    noise = noise_like(seen.latents, 0, 0)
    cond, uncond = ask(PRIOR, seen.latents, noise, 300, seen.captions)
    for i in range(3):
        one = ask(PRIOR, seen.latents[i : i + 1], noise[i : i + 1], 300, ["this"])
        torch.testing.assert_close(one[0], cond[i : i + 1])
        torch.testing.assert_close(one[1], uncond[i : i + 1])
    assert ask(PRIOR, seen.latents, noise, 300)[0].isnan().all()
    squared = float(alpha_bar(torch.tensor(300)))
    assert noise_ratio(PRIOR, 300) == pytest.approx(math.sqrt((1 - squared) / squared), rel=1e-5)


def test_gain_is_a_power_of_two() -> None:
    """Oracle: by hand: 0.09 times 8 is 0.72, 5 times 1/8 is 0.63."""
    assert gain(torch.full((1, 1, 2, 2), 0.09)) == 8
    assert gain(torch.full((1, 1, 2, 2), 5.0)) == 0.125


def test_samples_take_the_prompts_in_turn() -> None:
    """Oracle: captions by hand; the first samples do not depend on how many follow."""
    few, more = samples(PRIOR, ["this", ""], 2, seed=0), samples(PRIOR, ["this", ""], 3, seed=0)
    assert more.captions == ["this", "", "this"]
    torch.testing.assert_close(more.latents[:2], few.latents)
    assert more.silhouettes is None
