"""What changes during a run: the render's resolution and the range of timesteps, as one object.

The paper renders at 64x64 and draws t from [20, 980]; after 5,000 of its 25,000 steps it renders at 512x512
and lowers the largest t to 500 "at the same time" (Noise-Free Score Distillation, Katzir et al. 2023,
section 6).
"""

from dataclasses import dataclass
from typing import NamedTuple

from src.errors import UserError


class Stage(NamedTuple):
    """One step: render resolution in pixels; t is an integer from t_min to t_max, both inclusive."""

    resolution: int
    t_min: int
    t_max: int


@dataclass
class ScheduleConfig:
    """Resolution and timestep range by step; the paper's numbers are the defaults."""

    switch_step: int = 5000
    resolution: int = 64
    resolution_after: int = 512
    t_min: int = 20
    t_max: int = 980
    t_max_after: int = 500
    # 0: t_max drops at switch_step (paper); more: it moves linearly over that many steps after switch_step.
    anneal_steps: int = 0

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

    def at(self, step: int) -> Stage:
        """Return the settings of one step, counted from 0."""
        if step < self.switch_step:
            return Stage(self.resolution, self.t_min, self.t_max)
        passed = step - self.switch_step
        if passed >= self.anneal_steps:
            return Stage(self.resolution_after, self.t_min, self.t_max_after)
        t_max = self.t_max + (self.t_max_after - self.t_max) * passed / self.anneal_steps
        return Stage(self.resolution_after, self.t_min, round(t_max))

    def stretches(self, first_step: int, steps: int) -> list[range]:
        """Return the steps from first_step to below `steps`, cut in two where the resolution switches."""
        switch = min(max(self.switch_step, first_step), steps)
        return [stretch for stretch in (range(first_step, switch), range(switch, steps)) if stretch]
