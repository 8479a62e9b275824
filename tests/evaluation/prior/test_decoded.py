"""What decoding gives back: an autoencoder that adds a known error, and the world's own faces."""

import math

import pytest
import torch

from src.evaluation.prior.decoded import CAMERA, decibel, restored
from src.guidance.gaussian import gaussian_prior


def test_decibels_are_of_the_pixels_asked_for() -> None:
    """Oracle: an error of 0.1 on one half is 20 dB there, of 0.01 on the other 40 dB, all over 22.97."""
    wrong = torch.full((2, 3, 4, 4), 0.1)
    wrong[..., 2:] = 0.01
    left = torch.zeros(2, 1, 4, 4)
    left[..., :2] = 1.0
    assert decibel(wrong, left) == pytest.approx(20, rel=1e-5)
    assert decibel(wrong, 1 - left) == pytest.approx(40, rel=1e-5)
    mean = (0.1**2 + 0.01**2) / 2
    assert decibel(wrong, torch.ones_like(left)) == pytest.approx(-10 * math.log10(mean), rel=1e-5)


@pytest.mark.parametrize(("kind", "has_face"), [("lion", True), ("mug", False)])
def test_an_error_on_the_background_is_the_background_s(
    kind: str, has_face: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: 0.1 is added where pixels are the background's grey, 0.01 elsewhere, which is 40 dB.

    Pixels more than half covered are not grey but for a few of the mug's gloss; the face's square lies
    on the lion but for its corners.
    """
    prior = gaussian_prior(size=CAMERA.height, deviation=0.3, means={"": torch.zeros(3, 128, 128)})

    def decode(latents: torch.Tensor) -> torch.Tensor:
        image = latents / 2 + 0.5
        grey = ((image - 0.93).abs() < 1e-4).all(1, keepdim=True)
        return image - torch.where(grey, 0.1, 0.0) + torch.where(grey, 0.0, 0.01) * (1 - 2 * (image > 0.5))

    monkeypatch.setattr(prior, "decode", decode)
    figures, true, drawn = restored(kind, prior, 2)
    assert true.shape == drawn.shape == (2, 3, 128, 128)
    assert figures.subject == pytest.approx(40, abs=0.2)
    assert 20 < figures.whole < figures.subject
    assert (figures.face is not None) == has_face
    if figures.face is not None:
        assert figures.whole < figures.face < 40
