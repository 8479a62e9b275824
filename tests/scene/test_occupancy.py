import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from src.errors import UserError
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.streams import Streams


class Bump:
    """A smooth bump of density around a centre."""

    def __init__(self, center: tuple[float, float, float], height: float = 30.0) -> None:
        self.center, self.height = torch.tensor(center), height
        self.asked = 0

    def density(self, points: Tensor) -> Tensor:
        self.asked += len(points)
        return self.height * (-((points - self.center) / 0.15).square().sum(-1)).exp()


def grid_after(bump: Bump, steps: range, seed: int = 0, **settings: float) -> OccupancyGrid:
    cfg = OccupancyConfig(**{"resolution": 12, "warmup": 64, **settings})
    return updated(OccupancyGrid(cfg, 0.7, 0.01), bump, steps, seed)


def updated(grid: OccupancyGrid, bump: Bump, steps: range, seed: int = 0) -> OccupancyGrid:
    for step in steps:
        grid.update(bump, Streams(seed, step)("occupancy"), step)
    return grid


def everywhere(count: int = 4000) -> Tensor:
    return (2 * Streams(9, 9)("points").uniform(1, count, 3)[0] - 1) * 0.7


@given(st.integers(0, 1000), st.sampled_from([range(0, 1), range(0, 64), range(0, 400)]))
def test_never_prunes_what_is_dense_and_prunes_most_of_the_rest(seed: int, steps: range) -> None:
    """Oracle: the density itself, five times the threshold on one side (it varies as much in a cell)."""
    bump = Bump((0.2, -0.1, 0.3))
    grid, x = grid_after(bump, steps, seed), everywhere()
    depth, occupied = bump.density(x) * 0.01, grid.occupied(x)
    assert occupied[depth > 5 * 0.01].all()
    assert occupied.float().mean() < 0.3
    assert not occupied[depth < 1e-9].any()


def test_before_the_first_update_everything_is_occupied() -> None:
    """Oracle: nothing is known yet."""
    assert OccupancyGrid(OccupancyConfig(), 1.0, 0.01).occupied(everywhere()).all()


def test_a_cell_is_found_by_its_own_point() -> None:
    """Oracle: cell i + j n + k n^2, marked by hand; edges and rounding beyond them fall into the outermost
    cells.
    """
    grid = OccupancyGrid(OccupancyConfig(resolution=4), 0.8, 0.01)
    grid.bits.zero_()
    grid.bits[3 + 1 * 4 + 2 * 16] = True
    inside = torch.tensor([[0.5, -0.3, 0.1], [0.8, -0.3, 0.1], [0.80001, -0.01, 0.39]])
    assert grid.occupied(inside).all()
    assert not grid.occupied(inside[:, [1, 0, 2]]).any()
    assert not grid.occupied(inside * torch.tensor([1, 1, -1])).any()


def test_refreshes_happen_on_schedule_and_cost_less_after_the_warm_up() -> None:
    """Oracle: counting: all 12^3 cells per refresh before step 64, at most half of them afterwards."""
    bump = Bump((0, 0, 0))
    grid = grid_after(bump, range(0, 64))
    assert bump.asked == 4 * 12**3
    bump.asked = 0
    updated(grid, bump, range(64, 80))
    assert 0 < bump.asked <= 12**3 // 2


def test_what_is_drawn_does_not_depend_on_the_scene() -> None:
    """Oracle: equal digests of a step's draws for a small object, a large one and none; before and after the
    warm-up.  Two losses, which make different objects, then see the same numbers.
    """
    bumps = (Bump((0, 0, 0)), Bump((0.2, -0.1, 0.3), 3000.0), Bump((0, 0, 0), 0.0))
    for step in (0, 64):
        digests = set()
        for bump in bumps:
            grid, draw = grid_after(bump, range(0, 64)), Streams(0, step)
            grid.update(bump, draw("occupancy"), step)
            digests.add(draw.digest())
        assert len(digests) == 1


def test_it_follows_an_object_that_moves() -> None:
    """Oracle: after enough refreshes the new place is occupied and the old one free."""
    grid = grid_after(Bump((0.4, 0.4, 0.4)), range(0, 64))
    updated(grid, Bump((-0.4, -0.4, -0.4)), range(64, 64 + 16 * 150))
    assert grid.occupied(torch.full((1, 3), -0.4)).all()
    assert not grid.occupied(torch.full((1, 3), 0.4)).any()


def test_nothing_anywhere_leaves_everything_occupied() -> None:
    """Oracle: a cell at the mean survives, so an empty scene can still grow."""
    assert grid_after(Bump((0, 0, 0), 0.0), range(0, 1)).bits.all()


def test_the_state_travels_in_buffers() -> None:
    """Oracle: a second grid with the first one's state goes on to the same numbers, bitwise."""
    bump = Bump((0.1, 0.2, 0.3))
    first = grid_after(bump, range(0, 80))
    second = OccupancyGrid(first.cfg, 0.7, 0.01)
    second.load_state_dict(first.state_dict())
    for grid in (first, second):
        updated(grid, bump, range(80, 120))
    assert torch.equal(first.values, second.values)
    assert torch.equal(first.bits, second.bits)


@pytest.mark.parametrize(
    ("setting", "value"), [("resolution", 0), ("every", 0), ("decay", 1.5), ("threshold", math.nan)]
)
def test_impossible_settings_are_named(setting: str, value: float) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=f"occupancy.{setting}={value}"):
        OccupancyConfig(**{setting: value})
