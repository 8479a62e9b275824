"""What changes during a run: the render's resolution and the timesteps, as one object.

The paper renders at 64x64 and draws t from [20, 980]; after 5,000 of its 25,000 steps it renders at 512x512
and lowers the largest t to 500 "at the same time" (Noise-Free Score Distillation, Katzir et al. 2023,
section 6).  Other laws of t are settings of the same object; the resolution follows switch_step under all.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import accumulate
from math import exp, sqrt
from typing import NamedTuple

from src.errors import UserError


class Stage(NamedTuple):
    """One step: render resolution in pixels; t is an integer from t_min to t_max, both inclusive."""

    resolution: int
    t_min: int
    t_max: int


class Law(StrEnum):
    """How t goes through a run: drawn from a range (paper, none), or given by the step (the others)."""

    paper = "paper"  # uniform on [t_min, t_max], from switch_step on on [t_min, t_max_after]
    none = "none"  # uniform on [t_min, t_max] to the end: not annealed
    linear = "linear"  # t_max - (t_max - t_min) step / horizon
    sqrt = "sqrt"  # t_max - (t_max - t_min) sqrt(step / horizon): HiFA (Zhu & Zhuang 2023)
    dreamtime = "dreamtime"  # the quantiles of a prior over t, from the top: DreamTime (Huang et al. 2023)


DRAWN = (Law.paper, Law.none)


@dataclass
class ScheduleConfig:
    """Resolution and timesteps by step; the paper's numbers are the defaults."""

    switch_step: int = 5000
    resolution: int = 64
    resolution_after: int = 512
    t_min: int = 20
    t_max: int = 980
    t_max_after: int = 500
    # 0: t_max drops at switch_step (paper); more: it moves linearly over that many steps after switch_step.
    anneal_steps: int = 0
    law: Law = field(default=Law.paper, metadata={"later": True})
    # Steps over which t falls under linear, sqrt and dreamtime, and stays where it is after; None: all of the
    # run's, as they were when it was named (so with more steps it is another run).
    horizon: int | None = field(default=None, metadata={"later": True})
    # Of the noises of any two steps of one view; 0: fresh at every step (paper), 1: the same throughout.
    noise_correlation: float = field(default=0.0, metadata={"later": True})

    def __post_init__(self) -> None:
        for name in ("switch_step", "anneal_steps"):
            if getattr(self, name) < 0:
                raise UserError(f"schedule.{name}={getattr(self, name)} counts steps: choose 0 or more")
        for name in ("resolution", "resolution_after"):
            if getattr(self, name) < 1:
                raise UserError(f"schedule.{name}={getattr(self, name)} counts pixels: choose 1 or more")
        for name in ("t_min", "t_max", "t_max_after"):
            if not 0 <= getattr(self, name) < 1000:
                raise UserError(f"schedule.{name}={getattr(self, name)} is no timestep: choose 0 to 999")
        for name in ("t_max", "t_max_after"):
            if getattr(self, name) < self.t_min:
                raise UserError(
                    f"schedule.{name}={getattr(self, name)} lies below schedule.t_min={self.t_min}: "
                    f"raise {name} or lower t_min"
                )
        if not 0 <= self.noise_correlation <= 1:
            raise UserError(
                f"schedule.noise_correlation={self.noise_correlation} is no correlation of equals: choose 0 "
                "(fresh noise at every step) to 1 (the same throughout)"
            )
        if self.horizon is not None:
            if self.horizon < 1:
                raise UserError(f"schedule.horizon={self.horizon} counts steps: choose 1 or more")
            if self.law in DRAWN:
                raise UserError(
                    f"schedule.horizon={self.horizon} means nothing to schedule.law={self.law}: leave it "
                    "out, or choose schedule.law=linear, sqrt or dreamtime"
                )

    def for_run(self, steps: int) -> None:
        """Fill in what depends on the length of the run: the horizon, where the law has one."""
        if self.horizon is None and self.law not in DRAWN:
            self.horizon = steps

    def at(self, step: int) -> Stage:
        """Return the settings of one step, counted from 0."""
        resolution = self.resolution if step < self.switch_step else self.resolution_after
        if self.law is Law.paper:
            return Stage(resolution, self.t_min, self._annealed(step))
        if self.law is Law.none:
            return Stage(resolution, self.t_min, self.t_max)
        t = self._given(step)
        return Stage(resolution, t, t)

    def span(self, steps: range) -> tuple[int, int]:
        """Return the least and the largest t that any of these steps can have."""
        stages = [self.at(step) for step in steps]
        return min(stage.t_min for stage in stages), max(stage.t_max for stage in stages)

    def stretches(self, first_step: int, steps: int) -> list[range]:
        """Return the steps from first_step to below `steps`, cut in two where the resolution switches."""
        switch = min(max(self.switch_step, first_step), steps)
        return [stretch for stretch in (range(first_step, switch), range(switch, steps)) if stretch]

    def _annealed(self, step: int) -> int:
        passed = step - self.switch_step
        if passed < 0:
            return self.t_max
        if passed >= self.anneal_steps:
            return self.t_max_after
        return round(self.t_max + (self.t_max_after - self.t_max) * passed / self.anneal_steps)

    def _given(self, step: int) -> int:
        if self.horizon is None:
            raise ValueError(f"schedule.law={self.law} needs a horizon: for_run fills it in")
        if self.law is Law.dreamtime:
            return dreamtime(self.t_min, self.t_max, self.horizon)[min(step, self.horizon - 1)]
        passed = min(step / self.horizon, 1.0)
        if self.law is Law.sqrt:
            passed = sqrt(passed)
        return round(self.t_max - (self.t_max - self.t_min) * passed)


def dreamtime_weight(t: int) -> float:
    """Return W(t) of DreamTime (arXiv 2306.12422v1), before normalisation: 1 from t = 500 to 800.

    Above stands a Gaussian's tail of deviation 300, below one of 100.
    """
    return exp(-((max(t - 800, 0) / 300) ** 2 + (min(t - 500, 0) / 100) ** 2) / 2)


@cache
def dreamtime(t_min: int, t_max: int, steps: int) -> tuple[int, ...]:
    """Return the t of each step: t_i is the t' whose mass, the sum of W(t') ... W(t_max), is nearest i / N.

    i counts from 1 to N = steps, so the last step has t_min; W is normalised on [t_min, t_max].
    """
    descending = range(t_max, t_min - 1, -1)
    above = list(accumulate(dreamtime_weight(t) for t in descending))
    found, place = [], 0
    for i in range(1, steps + 1):
        wanted = above[-1] * i / steps
        while place + 1 < len(above) and abs(above[place + 1] - wanted) <= abs(above[place] - wanted):
            place += 1
        found.append(descending[place])
    return tuple(found)
