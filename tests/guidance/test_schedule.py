"""The schedule: one tested object for resolution and timestep range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import UserError
from src.guidance.schedule import ScheduleConfig, Stage


def test_the_papers_schedule() -> None:
    """Oracle: the paper's A.4: 64x64 and t up to 980, then 512x512 and t up to 500, both at step 5,000."""
    schedule = ScheduleConfig()
    assert schedule.at(0) == schedule.at(4999) == Stage(64, 20, 980)
    assert schedule.at(5000) == schedule.at(24_999) == Stage(512, 20, 500)


def test_annealing_moves_linearly_and_resolution_at_once() -> None:
    """Oracle: values by hand."""
    schedule = ScheduleConfig(switch_step=100, resolution=32, resolution_after=64, anneal_steps=10)
    assert schedule.at(99) == Stage(32, 20, 980)
    assert schedule.at(100) == Stage(64, 20, 980)
    assert schedule.at(105) == Stage(64, 20, 740)
    assert schedule.at(110) == schedule.at(1000) == Stage(64, 20, 500)


@given(
    switch=st.integers(0, 50),
    anneal=st.integers(0, 50),
    low=st.integers(0, 100),
    before=st.integers(100, 999),
    after=st.integers(100, 999),
)
def test_t_max_stays_between_its_ends_and_moves_one_way(
    switch: int, anneal: int, low: int, before: int, after: int
) -> None:
    """Oracle: monotone between t_max and t_max_after for every setting."""
    schedule = ScheduleConfig(switch, 8, 16, low, before, after, anneal)
    values = [schedule.at(step).t_max for step in range(switch + anneal + 2)]
    assert values == sorted(values, reverse=after < before)
    assert {values[-1]} <= {after}
    assert all(min(before, after) <= value <= max(before, after) for value in values)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("switch_step", -1),
        ("anneal_steps", -1),
        ("resolution", 0),
        ("t_max", 1000),
        ("t_min", -1),
        ("t_max_after", 10),
    ],
)
def test_bad_settings_are_named(setting: str, value: int) -> None:
    """Oracle: the sentence names the setting and its value."""
    with pytest.raises(UserError, match=f"schedule.{setting}={value}"):
        ScheduleConfig(**{setting: value})
