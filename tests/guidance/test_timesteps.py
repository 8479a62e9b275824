"""The law of t: uniform on whole numbers, both ends included, one draw per view."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from src.guidance.timesteps import sample_timesteps
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
