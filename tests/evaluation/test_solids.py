"""True solids as views: poses, distances and maps that are known without tracing."""

import math

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.evaluation import solids
from src.evaluation.solids import Pose, instance, of_solid, ranges
from src.toybox.world import pictures as world
from src.toybox.world.captions import Subject
from src.toybox.world.distance import distances
from tests.evaluation.scenes import CAMERA


@pytest.mark.parametrize(
    ("kind", "base", "pose"),
    [
        ("lion", "", Pose()),
        ("car", "", Pose(math.radians(50), 0.5, (0.3, -0.2, 0.25))),
        ("rabbit", "pancakes", Pose(math.radians(-120), 1.2, (-0.2, 0.1, 0.15))),
        ("airplane", "", Pose(math.radians(200), 2.0, (0.1, 0.3, -0.2))),
    ],
)
def test_rays_end_on_the_solid_where_it_stands(kind: str, base: str, pose: Pose) -> None:
    """Oracle: the solid's own distance at places taken back by the inverse of x -> scale R x + shift.

    0.0016: the tracer stops at 0.0015.  Before, rays are outside it, and those that miss are outside always.
    """
    table = instance(kind, 3, base)
    hit, along = ranges(table, CAMERA, pose)
    rays = CAMERA.rays()
    c, s = math.cos(pose.yaw), math.sin(pose.yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    # Along the whole of a ray that misses and up to just before the end of one that hits.
    reach = torch.where(hit, along - 0.02 * pose.scale, 3.0)[:, 0, ::5, ::5, None]
    origins, directions = rays.origins[:, ::5, ::5], rays.directions[:, ::5, ::5]
    for share in (1.0, *np.linspace(0.1, 0.99, 60)):
        ends = origins + directions * (along[:, 0, ::5, ::5, None] if share == 1 else share * reach)
        places = (ends.double().numpy().reshape(-1, 3) - np.array(pose.shift)) @ turn / pose.scale
        off = distances(table, places)
        if share == 1:
            assert np.abs(off[hit[:, 0, ::5, ::5].numpy().ravel()]).max() < 0.0016
        else:
            assert off.min() > -0.0016
    assert hit.float().mean() > 0.03


def test_a_sphere_stands_where_geometry_says() -> None:
    """Oracle: a ray meets a sphere at m - sqrt(r^2 - h^2). 0.003: the tracer stops 0.0015 early."""
    pose = Pose(0.3, 0.6, (0.1, 0.05, -0.1))
    hit, along = ranges(instance("sphere", 0), CAMERA, pose)
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


def test_only_the_light_stays_when_a_solid_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a turn by 90 degrees is six of 24 views; with the light turned too they are the same."""
    duck = Subject("duck", "red", base="lily pad")
    still, turned = of_solid(duck, 1, CAMERA), of_solid(duck, 1, CAMERA, Pose(math.pi / 2))
    color, opacity = (torch.cat([ring.roll(6, 0) for ring in m.split(24)]) for m in still[1:3])
    assert torch.equal(opacity, turned.opacity)
    assert (color - turned.color).abs().mean() > 0.001
    light = world.key_light(math.pi / 2, 0.0, 80.0)
    monkeypatch.setattr(world, "key_light", lambda *_: light)
    difference = (of_solid(duck, 1, CAMERA, Pose(math.pi / 2)).color - color).abs()
    # A ray that grazes an edge may miss it when all is turned: 1 number of 10,000, and no more than a shade.
    assert (difference > 1e-3).double().mean() < 1e-4
    assert difference.max() < 0.1


def test_every_seed_has_its_own_proportions() -> None:
    """Oracle: equality for one seed, inequality for two."""
    assert np.array_equal(instance("lion", 5), instance("lion", 5))
    assert not np.array_equal(instance("lion", 5), instance("lion", 6))


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a UserError that names the package and the remedy."""
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    with pytest.raises(UserError, match=r"numba.*pip install"):
        solids.instance("lion", 0)
