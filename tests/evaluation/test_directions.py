"""Losses side by side: their identities hold row by row, because they see the same draws."""

import pytest
import torch

from src.evaluation.directions import DRAWS, ask_all, by_fifth, half_formed, of_means, picture
from src.guidance.gaussian import gaussian_prior
from src.guidance.losses import CSD, NFSD, SDS, DistillationLoss
from src.guidance.prompts import Text
from tests.oracles import alpha_bar

MEANS = {"good": 0.4, "": 0.1, "bad": -0.3}
PRIOR = gaussian_prior(
    size=8, deviation=0.5, means={said: torch.full((3, 8, 8), value) for said, value in MEANS.items()}
)
TEXT = Text(*PRIOR.embed(["good", "", "bad"]).split(1))
LATENTS = torch.full((3, 3, 8, 8), -0.2)
LOSSES: dict[str, DistillationLoss] = {
    "sds": SDS(guidance_scale=7.5, sigma_power=0.0),
    "nfsd": NFSD(sigma_power=0.0),
    "csd": CSD(sigma_power=0.0),
}


def test_every_loss_sees_the_same_draws() -> None:
    """Oracle: SDS - CSD = uncond - noise at every t, and below the cut NFSD - CSD = uncond; nfsd - sds is the
    noise, so it has nothing of the latents and a size of 1 (5 deviations of 192 numbers).
    """
    found = ask_all(PRIOR, LOSSES, LATENTS, TEXT, seed=0)
    assert found.t.shape == (5 * DRAWS, 3)
    assert [int(t) // 200 for t in found.t.float().mean(1)] == [i // DRAWS for i in range(5 * DRAWS)]
    below = (found.t < 200).view(*found.t.shape, 1, 1, 1)
    noise = (found.of["nfsd"] - found.of["sds"])[below.expand_as(found.of["sds"])]
    assert noise.square().mean().item() == pytest.approx(1, abs=5 * (2 / len(noise)) ** 0.5)
    assert noise.mean().item() == pytest.approx(0, abs=5 / len(noise) ** 0.5)
    squared = alpha_bar(found.t).view(*found.t.shape, 1, 1, 1)
    spread = squared * 0.5**2 + 1 - squared
    k = (squared * (1 - squared)).sqrt() / spread
    expected = (7.5 * k * (MEANS[""] - MEANS["good"])).expand_as(found.of["csd"])
    torch.testing.assert_close(found.of["csd"].double(), expected, rtol=1e-3, atol=1e-4)


def test_tables_are_of_these_gradients() -> None:
    """Oracle: cosines of CSD with itself scaled, by hand: 1, and sizes in proportion."""
    losses: dict[str, DistillationLoss] = {
        "one": CSD(sigma_power=0.0),
        "twice": CSD(guidance_scale=15.0, sigma_power=0.0),
    }
    found = ask_all(PRIOR, losses, LATENTS, TEXT, seed=0)
    for row in by_fifth(found):
        assert row["one, twice"].value == pytest.approx(1, abs=1e-5)
        assert row["size of twice"].value == pytest.approx(2 * row["size of one"].value, rel=1e-5)
    first, second = of_means(found)
    assert first["cosine with twice"].value == pytest.approx(1, abs=1e-5)
    assert second["size"].value == pytest.approx(2 * first["size"].value, rel=1e-5)
    sizes = found.of["one"].mean(0).square().mean((1, 2, 3)).sqrt()
    assert first["size"].value == pytest.approx(float(sizes.mean()), rel=1e-4)


def test_half_formed_is_paler_than_what_it_will_be() -> None:
    """Oracle: half of the sample's mean and half of 0.8 grey (0.6 in latents of -1 to 1)."""
    found = half_formed(PRIOR, "good", 4, seed=0)
    assert found.mean().item() == pytest.approx(0.5 * 0.4 * 7.5 / 7.5 + 0.5 * 0.6, abs=0.35)
    assert found.std() < 0.3


def test_the_picture_has_a_row_for_every_loss() -> None:
    """Oracle: the sheet grows by a row's height."""
    found = ask_all(PRIOR, LOSSES, LATENTS, TEXT, seed=0)
    two = found._replace(of={name: found.of[name] for name in ("sds", "csd")})
    assert picture(PRIOR, LATENTS, found).height > picture(PRIOR, LATENTS, two).height + 100
