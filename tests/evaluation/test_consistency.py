"""Turntables that agree with themselves, and some that do not."""

import pytest
import torch

from src.errors import UserError
from src.evaluation.consistency import measure
from src.evaluation.solids import Pose, of_solid
from src.evaluation.views import AZIMUTHS, Views
from src.toybox.world.captions import Subject
from tests.evaluation.scenes import CAMERA, EMPTY, FOG, SHEET, SOLID_BALL


def mixed(even: Views, odd: Views) -> Views:
    """Every second view from another object."""
    turn = (torch.arange(2 * AZIMUTHS) % 2).bool()[:, None, None, None]
    return Views(CAMERA, *(torch.where(turn, b, a) for a, b in zip(even[1:], odd[1:], strict=True)))


def test_one_object_agrees_with_itself() -> None:
    """Oracle: the same surface from everywhere: what is left is sampling at 48 pixels (a flat sheet too)."""
    for views in (SOLID_BALL, SHEET, of_solid(Subject("lion", "red"), 3, CAMERA)):
        found = measure(views)
        assert found.color_difference < 0.05
        assert found.unmatched < 0.1


def test_an_object_that_turns_between_views_does_not() -> None:
    """Oracle: a lion that faces the other way in every second view matches neither in colour nor in place."""
    lion = of_solid(Subject("lion", "red"), 3, CAMERA)
    found = measure(mixed(lion, of_solid(Subject("lion", "red"), 3, CAMERA, Pose(yaw=3.14159))))
    assert found.color_difference > 2 * measure(lion).color_difference
    assert found.unmatched > 3 * measure(lion).unmatched


def test_colours_painted_anew_in_every_view_differ_by_as_much() -> None:
    """Oracle: black and white views of one shape differ by 1 in colour and not at all in place."""
    shape = SOLID_BALL
    black = shape._replace(color=torch.zeros_like(shape.color))
    white = shape._replace(color=shape.opacity.expand_as(shape.color))
    found = measure(mixed(black, white))
    assert found.color_difference > 0.95
    assert found.unmatched == measure(shape).unmatched


def test_fog_and_shapes_without_depth_are_not_matched() -> None:
    """Oracle: fog ends elsewhere from every side; neither does a picture on a plane through the middle, which
    turns with the camera.
    """
    ball = measure(SOLID_BALL).unmatched
    assert measure(FOG).unmatched > 0.15 > 3 * ball
    flat = SOLID_BALL._replace(depth=torch.full_like(SOLID_BALL.depth, 1.45))
    assert measure(flat).unmatched > 0.15


@pytest.mark.parametrize("shade", [0.0, 0.5, 1.0])
def test_one_colour_is_the_same_from_everywhere(shade: float) -> None:
    """Oracle: what is painted in one colour changes it nowhere, however bright it is and whatever its edges
    are sampled beside; 1e-5: float32.
    """
    lion = of_solid(Subject("lion", "red"), 3, CAMERA)
    painted = lion._replace(color=shade * lion.opacity.expand_as(lion.color))
    assert measure(painted).color_difference < 1e-5


def test_nothing_is_neither_consistent_nor_not() -> None:
    """Oracle: it shows no point twice, and so is left out, with the reason."""
    with pytest.raises(UserError, match="no point"):
        measure(EMPTY)
