"""Each failure raises its own flag and no other; true solids raise none."""

import math
from dataclasses import asdict

import pytest
import torch

from src.config import VideoConfig
from src.evaluation import failures
from src.evaluation.failures import Failures, flags
from src.evaluation.solids import instance, of_solid, ranges
from src.evaluation.views import Views, around
from src.toybox.world.captions import Subject
from tests.evaluation.scenes import CAMERA, EMPTY, FLOATERS, FOG, SHEET, SOLID_BALL, ball, volume

LOG = [{"step": i, "opacity": 0.2 + 0.01 * (i % 7), "draws": "00ff"} for i in range(300)]


def up(found: Failures) -> list[str]:
    """The flags that are up."""
    return [name for name, value in asdict(found).items() if value is True]


@pytest.mark.parametrize(
    ("views", "flag"),
    [(EMPTY, "empty"), (FOG, "fog"), (FLOATERS, "floaters"), (SHEET, "billboard"), (SOLID_BALL, None)],
    ids=["empty", "fog", "floaters", "billboard", "sound"],
)
def test_each_failure_raises_its_own_flag_alone(views: Views, flag: str | None) -> None:
    """Oracle: how the scene was made."""
    assert up(flags(views, [LOG], [torch.ones(3)], None)) == ([flag] if flag else [])


@pytest.mark.parametrize(
    "subject",
    [
        Subject("airplane", "red"),
        Subject("snail"),
        Subject("chair", "red", "metal"),
        Subject("torus", "red", "ceramic"),
        Subject("strawberry", base="plate"),
    ],
)
def test_true_solids_raise_no_flag(subject: Subject) -> None:
    """Oracle: nothing is wrong with them: the smallest kind, the flattest, the one with most edges, one whose
    hull has a phantom piece in its hole, and one that touches its base in a point.
    """
    found = flags(of_solid(subject, 42, CAMERA), [], [], None)
    assert up(found) == []
    assert found.half_clear < 0.3  # edges, which are twice as wide as at 96 pixels
    assert found.loose_share < 0.001


def test_a_mast_thinner_than_a_cell_holds_its_flag() -> None:
    """Oracle: a boat is in one piece, though its mast falls between the cells' middles at 96 pixels."""
    camera = around(VideoConfig(distance=1.45, fov_degrees=45.0))
    hit, along = ranges(instance("boat", 42), camera)
    opacity = hit.float()
    boat = Views(camera, opacity.expand(-1, 3, -1, -1), opacity, along)
    assert failures.loose_share(boat) == 0


def test_figures_of_known_scenes() -> None:
    """Oracle: areas: four balls of radius 0.06 beside one of 0.25; a ball's disc in the pictures."""
    loose = 4 * 0.06**2 / (4 * 0.06**2 + 0.25**2)
    assert flags(FLOATERS, [], [], None).loose_share == pytest.approx(loose, rel=0.15)
    disc = math.pi * (0.4 / math.sqrt(1.45**2 - 0.4**2) / math.tan(math.radians(22.5))) ** 2 / 4
    assert flags(SOLID_BALL, [], [], None).opaque_share == pytest.approx(disc, rel=0.03)


def test_a_flat_torus_is_a_billboard_only_to_who_knows_tori() -> None:
    """Oracle: an ellipsoid a third as thick as wide, against a kind that is round and against no kind."""
    flat = volume(lambda p: 200.0 * ball(p * p.new_tensor([3.0, 1.0, 1.0]), 0.42))
    assert up(flags(flat, [], [], None)) == []
    assert up(flags(flat, [], [], Subject("torus"))) == ["billboard"]


def test_pieces_joined_by_haze_are_one() -> None:
    """Oracle: a thin bridge of half the rays' light joins two balls; without it they are two."""

    def pair(bridge: float) -> Views:
        def density(p: torch.Tensor) -> torch.Tensor:
            both = 200.0 * (ball(p, 0.15, (0, 0.28, 0)) | ball(p, 0.15, (0, -0.28, 0)))
            return torch.maximum(both, bridge * (p[:, [0, 2]].norm(dim=-1) < 0.08) * (p[:, 1].abs() < 0.3))

        return volume(density)

    assert flags(pair(0.0), [], [], None).loose_share == pytest.approx(0.5, abs=0.02)
    assert flags(pair(8.0), [], [], None).loose_share == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_divergence(bad: float) -> None:
    """Oracle: one bad number in the log, in a parameter or in a map; every figure stays finite."""
    spoiled = SOLID_BALL._replace(color=SOLID_BALL.color.clone())
    spoiled.color[5, 1, 24, 24] = bad
    for found in (
        flags(SOLID_BALL, [[*LOG, {"step": 300, "opacity": bad}]], [], None),
        flags(SOLID_BALL, [[*LOG, {"step": 300, "opacity": 0.2, "gradient": bad}]], [], None),
        flags(SOLID_BALL, [LOG], [torch.ones(2), torch.tensor([1.0, bad])], None),
        flags(spoiled, [LOG], [], None),
    ):
        assert up(found) == ["divergence"]
        assert math.isfinite(found.opacity_jump)


def test_opacity_that_jumps_is_divergence() -> None:
    """Oracle: a collapse to 0.01 and a jump to 0.9 at step 200; growth from nothing at the start is none."""
    for after in (0.01, 0.9):
        rows = [{"step": i, "opacity": 0.2 if i < 200 else after} for i in range(300)]
        assert up(flags(SOLID_BALL, [rows], [], None)) == ["divergence"]
    still = [{"step": i, "opacity": 0.2} for i in range(300)]
    assert up(flags(SOLID_BALL, [rows, still], [], None)) == ["divergence"]  # in a stage before the last
    full = [{"step": i, "opacity": 0.9} for i in range(300)]
    assert up(flags(SOLID_BALL, [still, full], [], None)) == []  # a stage begins as it likes
    assert failures.opacity_jump([0.2] * 200 + [0.9] * 100) == pytest.approx(0.7 / 0.9)
    assert failures.opacity_jump([0.01] * 30 + [0.3] * 270) == 0
    assert failures.opacity_jump([0.2, 0.9] * 8) == 0  # too short to tell
    slow = [0.1 + 0.4 * i / 3000 for i in range(3000)]
    assert failures.opacity_jump(slow) < 0.2
