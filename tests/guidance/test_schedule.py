"""The schedule: one tested object for resolution and timestep range."""

from itertools import pairwise
from math import erf, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.door import settings
from src.errors import UserError
from src.guidance.schedule import Law, ScheduleConfig, Stage, dreamtime
from src.guidance.timesteps import sample_timesteps
from src.streams import Streams


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
        ("noise_correlation", -0.1),
        ("noise_correlation", 1.1),
        ("horizon", 0),
        ("horizon", 5),  # the paper's law has none
    ],
)
def test_bad_settings_are_named(setting: str, value: int) -> None:
    """Oracle: the sentence names the setting and its value."""
    with pytest.raises(UserError, match=f"schedule.{setting}={value}"):
        ScheduleConfig(**{setting: value})


def given_laws(**settings: int) -> list[ScheduleConfig]:
    return [ScheduleConfig(law=law, **settings) for law in (Law.linear, Law.sqrt, Law.dreamtime)]


@given(
    low=st.integers(0, 500),
    width=st.integers(0, 499),
    horizon=st.integers(1, 300),
    switch=st.integers(0, 300),
)
def test_given_laws_fall_from_the_top_and_stay(low: int, width: int, horizon: int, switch: int) -> None:
    """Oracle: one t a step, inside the range, never rising, still after the horizon; resolution as before."""
    for schedule in given_laws(
        t_min=low, t_max=low + width, t_max_after=999, horizon=horizon, switch_step=switch
    ):
        stages = [schedule.at(step) for step in range(horizon + 3)]
        t = [stage.t_max for stage in stages]
        assert [stage.t_min for stage in stages] == t
        assert t == sorted(t, reverse=True)
        assert low <= t[-1]
        assert t[0] <= low + width
        assert t[horizon] == t[horizon + 1] == t[horizon + 2]
        assert [stage.resolution for stage in stages] == [
            64 if s < switch else 512 for s in range(len(stages))
        ]
        assert schedule.span(range(horizon)) == (t[horizon - 1], t[0])


@pytest.mark.parametrize(
    ("law", "shares"),
    [(Law.linear, [0.0, 0.25, 0.5, 0.75, 1.0]), (Law.sqrt, [0.0, 0.5, sqrt(0.5), sqrt(0.75), 1.0])],
)
def test_linear_and_square_root_by_hand(law: Law, shares: list[float]) -> None:
    """Oracle: HiFA's t = t_max - (t_max - t_min) sqrt(step / steps), and the same without the root."""
    schedule = ScheduleConfig(law=law, horizon=400)
    t = [schedule.at(step).t_max for step in (0, 100, 200, 300, 400)]
    assert t == [round(980 - 960 * share) for share in shares]


def test_dreamtimes_t_are_the_quantiles_of_its_prior() -> None:
    """Oracle: the integral of W on [20, 980] in closed form: a plateau and two halves of Gaussians.

    0.51: half of the discrete W where it is 1, and what sums differ from integrals; the first steps are left
    out, because t_max has a mass of its own.
    """

    def tail(deviation: float, reach: float) -> float:
        return deviation * sqrt(pi / 2) * erf(reach / deviation / sqrt(2))

    def mass_above(t: float) -> float:
        upper = tail(300, 980.5 - 800)
        if t >= 800:
            return upper - tail(300, t - 800)
        return upper + 800 - max(t, 500) + tail(100, max(500 - t, 0))

    steps = 4000
    t = dreamtime(20, 980, steps)
    whole = mass_above(19.5)
    for i in range(37, steps, 37):
        assert abs(mass_above(t[i] - 0.5) - whole * (i + 1) / steps) <= 0.51
    assert t[0] == 980
    assert t[-1] == 20
    assert max(a - b for a, b in pairwise(t[: steps * 9 // 10])) == 1  # none is left out where W is 1


def test_laws_that_draw_are_uniform_on_their_range() -> None:
    """Oracle: mean (a + b) / 2 and variance ((b - a + 1)^2 - 1) / 12 of the uniform law, to 5 deviations.

    `none` has the whole range after the switch, where the paper's has its lower part.
    """
    for law, high in ((Law.none, 980), (Law.paper, 500)):
        schedule = ScheduleConfig(law=law, switch_step=10)
        assert schedule.at(9) == Stage(64, 20, 980)
        stage = schedule.at(10)
        assert stage == Stage(512, 20, high)
        t = sample_timesteps(stage.t_min, stage.t_max, 4000, Streams(0, 0)("t")).double()
        variance = ((high - 20 + 1) ** 2 - 1) / 12
        assert abs(float(t.mean()) - (20 + high) / 2) < 5 * (variance / 4000) ** 0.5
        # A uniform law's fourth moment is 9/5 of its variance squared.
        assert abs(float(t.var()) - variance) < 5 * variance * (0.8 / 4000) ** 0.5


def test_the_door_fills_in_the_horizon() -> None:
    """Oracle: the run's steps, where a law has a horizon and nobody gave one."""
    said = ["prompt=any", "preset=smoke", "steps=7"]
    assert settings(*said).schedule.horizon is None
    assert settings(*said, "schedule.law=sqrt").schedule.horizon == 7
    assert settings(*said, "schedule.law=sqrt", "schedule.horizon=90").schedule.horizon == 90
