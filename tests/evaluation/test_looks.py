"""Looks, where their values are known: noise, blur, grey, and samples compared with their like."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from src.errors import UserError
from src.evaluation import looks
from src.evaluation.views import around, as_shown
from src.guidance.gaussian import gaussian_prior
from src.guidance.prior import Prior
from src.model import build, look
from src.streams import Streams
from tests.runs import tiny


def discs(count: int, seed: int) -> Tensor:
    """Coloured discs with a fine texture before flat backgrounds, [count, 3, 32, 32]; all of one law."""
    generator = torch.Generator().manual_seed(seed)
    across = torch.linspace(-1, 1, 32)
    radius = 0.3 + 0.2 * torch.rand(count, 1, 1, generator=generator)
    inside = ((across[:, None].square() + across.square()).sqrt() < radius).float()[:, None]
    paint = torch.tensor([0.8, 0.2, 0.1]).view(3, 1, 1) + 0.05 * torch.randn(
        count, 3, 32, 32, generator=generator
    )
    behind = 0.7 + 0.3 * torch.rand(count, 3, 1, 1, generator=generator)
    return (inside * paint + (1 - inside) * behind).clamp(0, 1)


def test_pictures_of_the_same_law_are_at_the_floor() -> None:
    """Oracle: two draws of one law. Twice the floor: it is a mean size, and one draw may be larger."""
    found = looks.measure(discs(32, 1), discs(32, 2))
    assert found.spectrum_distance < 2 * found.spectrum_distance_floor
    assert abs(found.spectrum_detail) < 4 * found.spectrum_detail_floor
    assert abs(found.saturation_excess) < 4 * found.saturation_excess_floor


def test_the_floor_is_the_distance_of_as_many_others() -> None:
    """Oracle: the mean distance of 24 fresh pairs of draws; 15%: a factor of sqrt(2) would show."""
    pairs = [looks.spectrum_distance(discs(32, 100 + i), discs(32, 200 + i)) for i in range(24)]
    floors = [looks.floor(looks.log_spectra(discs(32, i)), looks.distance) for i in range(8)]
    assert sum(floors) / 8 == pytest.approx(sum(pairs) / 24, rel=0.15)


def test_noise_and_blur_are_both_errors_of_opposite_sign() -> None:
    """Oracle: white noise adds power to the fine rings, a box blur takes it away."""
    samples, pictures = discs(32, 2), discs(32, 1)
    clean = looks.measure(pictures, samples)
    noise = 0.2 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(3))
    noisy = looks.measure((pictures + noise).clamp(0, 1), samples)
    blurred = looks.measure(F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), "replicate"), 3, 1), samples)
    for bad, sign in ((noisy, 1), (blurred, -1)):
        assert bad.spectrum_distance > clean.spectrum_distance + 3 * clean.spectrum_distance_floor
        assert sign * bad.spectrum_detail > 3 * clean.spectrum_detail_floor


def test_white_noise_has_its_variance_in_every_ring() -> None:
    """Oracle: Parseval: the power of a flat spectrum is the variance, -20 dB for 0.1. 0.2 dB: 64 pictures."""
    images = 0.5 + 0.1 * torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    spectrum = looks.log_spectra(images).mean(0)
    assert spectrum.shape == (16,)
    # Single pictures' rings spread, and the mean of their logarithms lies lower where a ring is thin.
    assert spectrum[4:].mean().item() == pytest.approx(-20, abs=0.2)


def test_a_flat_picture_has_the_power_of_rounding() -> None:
    """Oracle: variance 1/12 of a step of 1/255: -58.9 dB, not minus infinity."""
    assert looks.log_spectra(torch.full((1, 3, 8, 8), 0.4))[0].numpy() == pytest.approx(-58.92, abs=0.01)


def test_grey_shows_in_saturation() -> None:
    """Oracle: grey pictures have no chroma; the discs' paint has 0.8 - 0.1, the texture a little more."""
    pictures = discs(32, 1)
    grey = pictures.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    found = looks.measure(grey, pictures)
    assert found.saturation == 0
    assert found.saturation_of_samples == pytest.approx(0.72, abs=0.05)
    assert found.saturation_excess == -found.saturation_of_samples


def test_pictures_without_an_object_have_no_saturation() -> None:
    """Oracle: a background that fades from left to right and from top to bottom holds no object."""
    fade = torch.linspace(0, 1, 16).expand(16, 16)
    empty = torch.stack([fade, 0.5 * fade.T, 0.2 + 0.1 * fade])[None]
    assert looks.saturation(empty) == 0


def test_diversity_is_the_distance_between_seeds() -> None:
    """Oracle: runs of grey 0, 0.3 and 0.6 lie 0.3, 0.3 and 0.6 apart; equal runs do not differ."""
    greys = torch.tensor([0.0, 0.3, 0.6]).view(3, 1, 1, 1, 1)
    assert looks.diversity(greys.expand(3, 4, 3, 8, 8)) == pytest.approx(0.4)
    assert looks.diversity(torch.zeros(2, 4, 3, 8, 8)) == 0
    with pytest.raises(ValueError, match="at least two"):
        looks.diversity(torch.zeros(1, 4, 3, 8, 8))


def test_samples_are_drawn_once_per_prompt(tmp_path: Path) -> None:
    """Oracle: the second time, and with another seed or loss, no prior is asked for; another prompt asks."""
    asked = []

    def load() -> Prior:
        asked.append(1)
        return gaussian_prior(size=8)

    first = looks.samples_of(tiny(tmp_path / "run"), {}, load, tmp_path)
    assert first.shape == (looks.PICTURES, 3, 8, 8)
    again = looks.samples_of(tiny(tmp_path / "run", "seed=3", "loss=sds"), {}, load, tmp_path)
    assert torch.equal(first, again)
    assert len(asked) == 1
    looks.samples_of(tiny(tmp_path / "run", prompt="a blue cube"), {}, load, tmp_path)
    assert len(asked) == 2
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"broken")
    assert torch.equal(looks.samples_of(tiny(tmp_path / "run"), {}, load, tmp_path), first)


def test_samples_of_another_prior_are_refused(tmp_path: Path) -> None:
    """Oracle: the run's manifest names a file's digest that the prior at hand does not have."""
    trained_on = {"model": {"source": "x", "sha256": {"unet": "00"}}}
    with pytest.raises(UserError, match="other files now"):
        looks.samples_of(tiny(tmp_path), trained_on, lambda: gaussian_prior(size=8), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_the_run_stands_before_the_samples_backgrounds(tmp_path: Path) -> None:
    """Oracle: a run without density shows nothing but the backgrounds of the samples."""
    cfg = tiny(tmp_path, "field.blob_density=0", "field.density_bias=-100")
    samples = discs(4, 1)[..., ::4, ::4]
    pictures = looks.pictures_of(cfg, build(cfg, torch.device("cpu")), samples)
    torch.testing.assert_close(pictures, looks.backgrounds(samples), rtol=0, atol=1e-6)


def test_colours_of_latents_are_measured_as_pictures_have_them(tmp_path: Path) -> None:
    """Oracle: a colour map made ten times as steep goes beyond 0 and 1, and what is measured does not; where
    it stays between, nothing changes.
    """
    cfg = tiny(tmp_path, "generator=latent_nerf", "field.blob_density=100")
    model = build(cfg, torch.device("cpu"), 4)
    camera, colors = around(cfg.video, 8).one(0), model.field.colors
    colors.load_state_dict({"matrix": Streams(0, 0)("matrix").normal(1, 4, 3)[0]})
    mild = look(cfg, model, camera)
    torch.testing.assert_close(as_shown(mild), mild.foreground)
    colors.load_state_dict({"matrix": 1e5 * colors.matrix})
    steep = look(cfg, model, camera)
    assert steep.foreground.min() < -1
    assert (steep.foreground - steep.opacity).max() > 1
    assert as_shown(steep).min() >= 0
    assert (as_shown(steep) <= steep.opacity).all()
