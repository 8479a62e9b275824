"""The figures of shapes whose distance from the truth is known, and the truth at its ceiling."""

import dataclasses
import math

import pytest
import torch

from src.evaluation import geometry
from src.evaluation.geometry import BOUNDING_RADIUS, Figures, chamfer, compare, known, measure
from src.evaluation.solids import FIRST_SEED, Pose
from src.evaluation.surface import pixel_width
from src.evaluation.views import Views
from src.toybox.world.captions import Subject
from tests.evaluation.scenes import CAMERA, EMPTY, bare

TORUS, HOUSE = Subject("torus"), Subject("house")


def test_chamfer_of_parallel_planes() -> None:
    """Oracle: their distance, 0.1; 0 of a cloud to itself; the mean of both ways where one is a part."""
    x, y = torch.meshgrid(*2 * [torch.linspace(-0.399, 0.399, 60)], indexing="ij")
    plane = torch.stack([x, y, 0 * x], -1).view(-1, 3)
    assert chamfer(plane, plane + torch.tensor([0, 0, 0.1]), 0.04) == pytest.approx(0.1, abs=0.003)
    assert chamfer(plane, plane, 0.04) == 0
    half = plane[plane[:, 0] < 0]  # the other half is 0.2 away from it on average
    assert chamfer(plane, half, 0.04) == pytest.approx(0.5 * 0.5 * 0.2, rel=0.1)
    assert chamfer(half, plane, 0.04) == chamfer(plane, half, 0.04)


def test_figures_of_views_that_differ_in_one_thing() -> None:
    """Oracle: arithmetic: a quarter of the rows taken away; a depth that is off by 0.05 in radii of 0.5."""
    full = Views(CAMERA, *(torch.zeros(48, c, 48, 48) for c in (3, 1, 1)))
    full.opacity[:, :, 20:28, 20:28], full.depth[:] = 1, 1.45
    part = full._replace(opacity=full.opacity.clone())
    part.opacity[:, :, 20:22] = 0
    assert compare(part, full, 0.5).iou == pytest.approx(0.75)
    assert compare(full, part, 0.5).iou == pytest.approx(0.75)
    deeper = full._replace(depth=full.depth + 0.05)
    assert compare(deeper, full, 0.5).depth == pytest.approx(0.1, rel=1e-4)
    assert compare(full, full, 0.5) == (1, 0, 0)


def test_a_true_instance_scores_at_its_ceiling() -> None:
    """Oracle: one of the instances has IoU 1 and no distance, one never seen has what they have from each
    other; 5% of the IoU: 48 pixels.
    """
    same = measure(bare("house", FIRST_SEED + 2), HOUSE)
    assert same.silhouette_iou > 0.98
    assert max(same.chamfer, same.depth_error) < 0.01
    assert (same.iou_share, same.chamfer_share, same.depth_share) == (1, 1, 1)
    assert abs(same.yaw_degrees) < 1
    fresh = measure(bare("house", 77), HOUSE)
    assert fresh.iou_ceiling == same.iou_ceiling < 1
    assert 0.95 <= fresh.iou_share <= 1
    assert min(fresh.chamfer_share, fresh.depth_share) > 0.7


def test_yaw_scale_and_shift_are_forgiven_and_reported() -> None:
    """Oracle: the pose put in; figures in the object's own radii stay those of another instance."""
    pose = Pose(math.radians(165), 0.8, (0.05, -0.04, 0.03))
    found = measure(bare("house", 77, pose), HOUSE)
    assert found.yaw_degrees == pytest.approx(165, abs=2)
    assert found.scale == pytest.approx(0.8, abs=0.03)
    assert found.shift == pytest.approx(math.hypot(*pose.shift), abs=0.02)
    assert found.yaw_alike < 0.25  # a house is nearly as wide as long
    assert found.iou_share > 0.95
    assert found.chamfer_share > 0.7


def test_a_small_object_is_not_held_to_a_large_ones_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: by hand: one and a half pixels in the radii of a whole solid are three quarters of one at half
    its size, below which pictures tell nothing.
    """
    views = bare("house", 77)
    known(HOUSE, views.camera)
    pixel = pixel_width(views.camera) / BOUNDING_RADIUS
    seen = Pose(scale=0.5), 0.0, Figures(1.0, 1.5 * pixel, 1.5 * pixel), views
    monkeypatch.setattr(geometry, "_match", lambda *_: seen)
    found = measure(views, HOUSE)
    assert max(found.chamfer_ceiling, found.depth_ceiling) < 1.5 * pixel  # else it is at its ceiling anyhow
    assert (found.chamfer_share, found.depth_share) == (1, 1)


def test_a_torus_and_a_sphere_are_not_confused() -> None:
    """Oracle: under the name of a torus, the torus is at its ceiling and the sphere is not, by any figure."""
    right, wrong = measure(bare("torus", 7), TORUS), measure(bare("sphere", 7), TORUS)
    assert min(right.iou_share, right.chamfer_share, right.depth_share) > 0.95
    assert wrong.iou_share < 0.8
    assert max(wrong.chamfer_share, wrong.depth_share) < 0.4


def test_what_stands_on_something_is_measured_with_it() -> None:
    """Oracle: a rabbit on pancakes is at its ceiling; a rabbit alone, which fills its place, is not."""
    both = Subject("rabbit", base="pancakes")
    assert measure(bare("rabbit", 77, base="pancakes"), both).iou_share > 0.95
    assert measure(bare("rabbit", 77), both).iou_share < 0.85


def test_nothing_scores_worst_and_stays_finite() -> None:
    """Oracle: no silhouette in common is IoU 0 and depth error 1; the torus' surface is 0.5 to 1 radii away
    from the middle; what is not finite counts as nothing.
    """
    none = measure(EMPTY, TORUS)
    assert (none.silhouette_iou, none.iou_share, none.depth_error) == (0, 0, 1)
    assert 0.5 < none.chamfer < 1
    broken = bare("torus", 7)
    broken.depth[3, 0, 20, 20] = math.nan
    assert measure(broken, TORUS) == none
    assert all(math.isfinite(figure) for figure in dataclasses.astuple(none))


def test_truth_is_made_once() -> None:
    """Oracle: identity."""
    assert known(TORUS, CAMERA) is known(Subject("torus", "red"), CAMERA)
