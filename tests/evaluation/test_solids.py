"""True solids as views: poses, distances and maps that are known without tracing."""

import math

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.evaluation import solids
from src.evaluation.solids import Pose, instance, of_solid, posed, ranges
from src.toybox import render
from src.toybox.captions import Subject
from tests.evaluation.scenes import CAMERA


def distance(table: np.ndarray, points: np.ndarray) -> np.ndarray:
    rows = np.arange(len(table))
    return np.array([render._field(table, rows, len(rows), *point)[0] for point in points])


@pytest.mark.parametrize("kind", ["lion", "car", "mug", "pyramid", "rocket"])
def test_a_posed_solid_is_the_solid_moved(kind: str) -> None:
    """Oracle: a similarity multiplies distances by its scale; every sort of primitive is among the kinds."""
    pose = Pose(math.radians(50), 0.7, (0.1, -0.05, 0.2))
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (200, 3))
    c, s = math.cos(pose.yaw), math.sin(pose.yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    table = instance(kind, 3)
    moved = distance(posed(table, pose), pose.scale * points @ turn.T + np.array(pose.shift))
    np.testing.assert_allclose(moved, pose.scale * distance(table, points), atol=1e-9)


def test_a_sphere_stands_where_geometry_says() -> None:
    """Oracle: a ray meets a sphere at m - sqrt(r^2 - h^2). 0.003: the tracer stops 0.0012 early."""
    pose = Pose(0.3, 0.6, (0.1, 0.05, -0.1))
    hit, along = ranges(posed(instance("sphere", 0), pose), CAMERA)
    rays = CAMERA.rays()
    to_center = torch.tensor(pose.shift) - rays.origins
    middle = (to_center * rays.directions).sum(-1)
    left = 0.3**2 - (to_center.square().sum(-1) - middle.square())
    clear = left.abs() > 0.004  # grazing rays aside
    assert torch.equal(hit[:, 0][clear], (left > 0)[clear])
    inside = hit[:, 0] & clear
    difference = along[:, 0] - (middle - left.clamp(min=0).sqrt())
    assert difference[inside].abs().max() < 0.02
    assert difference[inside].abs().mean() < 0.003


def test_views_of_a_solid_agree_with_each_other() -> None:
    """Oracle: 2x2 rays and the central one see one outline; no colour without opacity; depth in reach."""
    views = of_solid(Subject("cat", "red"), 1, CAMERA)
    hit, along = ranges(instance("cat", 1), CAMERA)
    sure = (views.opacity < 0.01) | (views.opacity > 0.99)
    assert ((views.opacity > 0.5) == hit)[sure].float().mean() > 0.995  # thin parts fall between four rays
    assert torch.equal(views.depth[hit], along[hit])
    assert (views.color <= views.opacity + 1e-6).all()
    ended = views.depth[views.opacity >= 0.5]
    assert ((ended > 1.45 - 0.6) & (ended < 1.45 + 0.6)).float().mean() > 0.995
    red = views.color[:, 0] - views.color[:, 1:].mean(1)
    assert (red[views.opacity[:, 0] > 0.99] > 0).float().mean() > 0.9


def test_every_seed_has_its_own_proportions() -> None:
    """Oracle: equality for one seed, inequality for two."""
    assert np.array_equal(instance("lion", 5), instance("lion", 5))
    assert not np.array_equal(instance("lion", 5), instance("lion", 6))


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a UserError that names the package and the remedy."""
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    with pytest.raises(UserError, match=r"numba.*pip install"):
        solids.instance("lion", 0)
