"""The closed-form prior: exact in float64, and a Prior like any other."""

import torch

from src.guidance.gaussian import gaussian_prior, scaled_linear
from src.streams import Streams
from tests import oracles

DOUBLE = torch.float64


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def test_noise_prediction_is_the_score() -> None:
    """Oracle: eps = -sigma grad log p_t(z_t) (Song & Ermon 2019), by autograd of the log density of z_t."""
    prior = gaussian_prior(size=5, deviation=0.3, dtype=DOUBLE)
    t = torch.tensor([0, 20, 199, 200, 500, 999])
    text = prior.embed(["a", "b", "c", "a", "b", ""])
    noised = normals(6, 3, 5, 5).requires_grad_()
    squared = oracles.alpha_bar(t).view(-1, 1, 1, 1)
    variance = squared * 0.3**2 + 1 - squared
    log_density = -((noised - squared.sqrt() * text.view(6, 3, 5, 5)) ** 2 / (2 * variance)).sum()
    (score,) = torch.autograd.grad(log_density, noised)
    predicted = prior.predict_noise(noised.detach(), t, text)
    torch.testing.assert_close(predicted, -(1 - squared).sqrt() * score, rtol=1e-11, atol=1e-12)


def test_schedule_is_stable_diffusions() -> None:
    """Oracle: betas from the definition, and the published alpha^2 at 0, 500 and 999 to four digits."""
    t = torch.arange(1000)
    torch.testing.assert_close(scaled_linear(), oracles.alpha_bar(t), rtol=1e-12, atol=0)
    published = torch.tensor([0.9991, 0.2763, 0.0047], dtype=DOUBLE)
    torch.testing.assert_close(scaled_linear()[[0, 500, 999]], published, rtol=0, atol=5e-5)


def test_deterministic_sampling_reaches_mean_and_deviation() -> None:
    """Oracle: the probability flow maps N(alpha mu, var_T) onto N(mu, s^2), up to Euler's 1/1000 steps."""
    mean = normals(3, 2, 2, seed=1)
    prior = gaussian_prior(size=2, deviation=0.5, means={"a lion": mean}, dtype=DOUBLE)
    text = prior.embed(["a lion"])
    alpha_bar = prior.alphas_cumprod
    deviation_at_end = (alpha_bar[-1] * 0.25 + 1 - alpha_bar[-1]).sqrt()
    z = alpha_bar[-1].sqrt() * mean[None] + deviation_at_end  # one deviation above the mean
    for t in range(999, 0, -1):
        eps = prior.predict_noise(z, torch.tensor([t]), text)
        clean = (z - (1 - alpha_bar[t]).sqrt() * eps) / alpha_bar[t].sqrt()
        z = alpha_bar[t - 1].sqrt() * clean + (1 - alpha_bar[t - 1]).sqrt() * eps
    torch.testing.assert_close(z, mean[None] + 0.5, rtol=0, atol=5e-3)


def test_a_prompt_is_a_colour_of_its_own() -> None:
    """Oracle: the definition."""
    prior = gaussian_prior(size=2)
    one, other, again = prior.embed(["a blue mushroom", "a red mushroom", "a blue  mushroom"])
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    colour = one.view(3, 4)
    assert torch.equal(colour, colour[:, :1].expand(3, 4))
    assert colour.abs().max() <= 1


def test_explicit_means_are_used_as_given() -> None:
    """Oracle: the given tensors."""
    means = {"": normals(3, 2, 2), "a lion": normals(3, 2, 2, seed=2)}
    embedded = gaussian_prior(size=2, means=means, dtype=DOUBLE).embed(["a lion", ""])
    assert torch.equal(embedded.view(2, 3, 2, 2), torch.stack([means["a lion"], means[""]]))


def test_words_beyond_the_limit_are_not_seen() -> None:
    """Oracle: 77 tokens with begin and end, so 75 words."""
    prior = gaussian_prior(size=2)
    words = [f"word{i}" for i in range(80)]
    assert prior.count_tokens(" ".join(words)) == 82
    cut, whole, short = prior.embed([" ".join(words[:75]), " ".join(words), " ".join(words[:74])])
    assert torch.equal(cut, whole)
    assert not torch.equal(cut, short)


def test_latents_are_the_image() -> None:
    """Oracle: the identity autoencoder; 2 image - 1 and back."""
    prior = gaussian_prior(size=7)
    image = torch.rand(2, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    latents = prior.encode(image, Streams(0, 0)("vae"))
    assert torch.equal(latents, 2 * image - 1)
    torch.testing.assert_close(prior.decode(latents), image, rtol=0, atol=1e-7)  # one rounding of 2 x - 1
