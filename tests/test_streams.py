"""Streams: a draw is a function of (seed, step, name, view) and of nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.streams import Streams

UNIFORM = [[0.10546177625656128, 0.6148781776428223], [0.9013814926147461, 0.6954483389854431]]
NORMAL = [[-0.18196159601211548, -0.3663638234138489], [0.47532275319099426, -2.061284065246582]]
DIGEST = "0882aa27e7ab69724ece1b5e5f708358"

names = st.text(min_size=1, max_size=12)
counts = st.integers(min_value=0, max_value=2**40)


def test_first_values_are_pinned() -> None:
    """Oracle: the numbers of the day the scheme was fixed; a change breaks every recorded run."""
    draw = Streams(seed=7, step=11)
    uniform = draw("camera").uniform(2, 2)
    normal = draw("noise").normal(2, 2)
    expected_uniform = np.array(UNIFORM, dtype=np.float32)
    expected_normal = np.array(NORMAL, dtype=np.float32)
    np.testing.assert_array_equal(uniform.numpy(), expected_uniform)
    np.testing.assert_array_equal(normal.numpy(), expected_normal)
    assert draw.digest() == DIGEST


@given(seed=counts, step=counts, name=names, other=names)
def test_a_new_name_changes_nobody_elses_numbers(seed: int, step: int, name: str, other: str) -> None:
    """Oracle: independence of names, bit for bit."""
    alone = Streams(seed, step)(name).normal(2, 3)
    crowded = Streams(seed, step)
    if other != name:
        crowded(other).uniform(5, 7)
    assert torch.equal(alone, crowded(name).normal(2, 3))


@given(seed=counts, step=counts, first=st.integers(0, 5), batch=st.integers(1, 5))
def test_batch_splits_see_the_same_rows(seed: int, step: int, first: int, batch: int) -> None:
    """Oracle: row i belongs to view first_view + i alone, so any part of a batch of 10 agrees with it."""
    whole = Streams(seed, step)("t").uniform(10, 3)
    part = Streams(seed, step, first_view=first)("t").uniform(batch, 3)
    assert torch.equal(part, whole[first : first + batch])


def test_two_draws_continue_the_stream_row_by_row() -> None:
    """Oracle: drawing 2 + 3 numbers a row equals drawing 5 (float32 uniforms take one word each)."""
    halves = Streams(1, 2)
    first, second = halves("x").uniform(4, 2), halves("x").uniform(4, 4)
    whole = Streams(1, 2)("x").uniform(4, 6)
    assert torch.equal(torch.cat([first, second], dim=1), whole)


@pytest.mark.parametrize("change", [{"seed": 2}, {"step": 2}, {"first_view": 1}])
def test_every_part_of_the_key_matters(change: dict[str, int]) -> None:
    """Oracle: another seed, step or view gives other numbers."""
    key = {"seed": 1, "step": 1, "first_view": 0}
    a, b = Streams(**key)("x").normal(1, 8), Streams(**(key | change))("x").normal(1, 8)
    assert not torch.any(a == b)


def test_keys_cannot_imitate_each_other() -> None:
    """Oracle: the text of a key is injective: (1, 23) and (12, 3) differ, and so do odd names."""
    assert not torch.equal(Streams(1, 23)("x").normal(1, 8), Streams(12, 3)("x").normal(1, 8))
    assert not torch.equal(Streams(1, 2)("0 x").normal(1, 8), Streams(1, 2)("x").normal(1, 8))


def test_laws_of_the_draws() -> None:
    """Oracle: moments of 200,000 draws, within 5 standard errors of the exact ones."""
    draw = Streams(0, 0)
    uniform, normal = draw("u").uniform(2, 100_000).double(), draw("n").normal(2, 100_000).double()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 5 * (1 / 12 / 200_000) ** 0.5
    assert abs(normal.mean()) < 5 * (1 / 200_000) ** 0.5
    assert abs(normal.var() - 1) < 5 * (2 / 200_000) ** 0.5
    assert abs((normal[0] * normal[1]).mean()) < 5 * (1 / 100_000) ** 0.5


def test_digest_depends_on_what_was_drawn_and_not_on_the_order_of_names() -> None:
    """Oracle: same draws, same digest; one number more, another digest."""
    a, b = Streams(3, 4), Streams(3, 4)
    a("x").normal(1, 2), a("y").uniform(1, 2)
    b("y").uniform(1, 2), b("x").normal(1, 2)
    assert a.digest() == b.digest()
    b("x").normal(1, 1)
    assert a.digest() != b.digest()


def test_misuse_is_refused() -> None:
    """Oracle: negative keys and a draw without a view axis raise at once."""
    with pytest.raises(ValueError, match="count from 0"):
        Streams(-1, 0)
    with pytest.raises(ValueError, match="counts views"):
        Streams(0, 0)("x").uniform()
