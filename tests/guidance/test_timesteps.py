"""The law of t, uniform on whole numbers with both ends included, and of the noise: one draw per view."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.guidance.timesteps import sample_noise, sample_timesteps
from src.streams import Stream, Streams


class Largest(Stream):
    """A stream whose every draw is the largest float32 below 1."""

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.full(shape, 1 - 2**-24)


def test_every_value_of_the_range_comes_equally_often() -> None:
    """Oracle: the binomial law; each of 7 counts of 7,000 draws lies within 5 deviations of 1,000."""
    t = sample_timesteps(20, 26, 7000, Streams(0, 0)("t"))
    counts = torch.bincount(t, minlength=27)
    assert counts[:20].sum() == 0
    assert (counts[20:] - 1000).abs().max() < 5 * (7000 / 7 * 6 / 7) ** 0.5


def test_the_largest_draw_stays_in_the_range() -> None:
    """Oracle: the last value is t_max for every length of the range; no product rounds up to t_max + 1."""
    stream = Largest(0, 0, "t", 0, torch.device("cpu"))
    assert all(sample_timesteps(0, t_max, 1, stream).item() == t_max for t_max in range(1000))


@given(st.integers(0, 999), st.integers(0, 999), st.integers(1, 5))
def test_stays_in_any_range(one: int, other: int, batch: int) -> None:
    """Oracle: the definition of a range."""
    t_min, t_max = sorted((one, other))
    t = sample_timesteps(t_min, t_max, batch, Streams(1, 2)("t"))
    assert t.dtype == torch.int64
    assert t_min <= t.min()
    assert t.max() <= t_max


def test_a_view_keeps_its_timestep_when_the_batch_is_split() -> None:
    """Oracle: the same five views drawn at once."""
    whole = sample_timesteps(20, 980, 5, Streams(3, 7)("t"))
    split = [
        sample_timesteps(20, 980, n, Streams(3, 7, first_view=first)("t")) for first, n in ((0, 2), (2, 3))
    ]
    assert torch.equal(whole, torch.cat(split))


@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_noises_of_two_steps_correlate_as_asked(correlation: float) -> None:
    """Oracle: N(0, I) whatever the correlation, and the correlation: means of 20,000 to 5 deviations."""
    one, other = (sample_noise((2, 1, 100, 100), correlation, Streams(4, step)) for step in (3, 90))
    assert (one.square().mean() - 1).abs() < 5 * 2**0.5 / 20_000**0.5
    assert ((one * other).mean() - correlation).abs() < 5 * 2**0.5 / 20_000**0.5
    across = (one[0] * other[1]).mean()  # views, and seeds, share nothing
    assert across.abs() < 5 / 10_000**0.5
    elsewhere = sample_noise((2, 1, 100, 100), correlation, Streams(5, 3))
    assert (one * elsewhere).mean().abs() < 5 / 20_000**0.5


def test_uncorrelated_noise_is_what_it_always_was() -> None:
    """Oracle: the stream named noise, bit for bit, and no other draw."""
    draw, plain = Streams(2, 7), Streams(2, 7)
    assert torch.equal(sample_noise((3, 4, 2, 2), 0.0, draw), plain("noise").normal(3, 4, 2, 2))
    assert draw.digest() == plain.digest()


def test_a_view_keeps_its_noise_when_the_batch_is_split() -> None:
    """Oracle: the same five views drawn at once."""
    whole = sample_noise((5, 4, 2, 2), 0.5, Streams(3, 7))
    split = [
        sample_noise((n, 4, 2, 2), 0.5, Streams(3, 7, first_view=first)) for first, n in ((0, 2), (2, 3))
    ]
    assert torch.equal(whole, torch.cat(split))
