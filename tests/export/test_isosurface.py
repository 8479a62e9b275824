"""The surface of a soft density: where outlines say, closed, and without what nobody sees."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from src.errors import UserError
from src.evaluation.views import Views, of_run
from src.export.isosurface import agreement, best_level, closed, extract, peaks
from src.scene.cameras import orbit
from tests.evaluation.scenes import EMPTY
from tests.export.scenes import SIGHT, mug
from tests.runs import tiny


def cube(n: int = 48) -> tuple[Tensor, Tensor]:
    """Points of a grid over the cube of half-size 1, and their distances from the centre."""
    axis = torch.linspace(-1, 1, n)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    return points, points.norm(dim=-1)


@pytest.fixture(scope="module")
def views() -> Views:
    """The mug from 48 sides, 48 pixels wide."""
    return of_run(tiny(Path("unused"), *SIGHT), mug(), 48)


def test_outlines_are_those_of_the_renders(views: Views) -> None:
    """Oracle: an IoU of 0.95 with views that the level was not chosen by, and the mug's topology.

    The Euler number of a solid with one handle is 0.  A cup without its hollow would fill nine tenths of its
    convex hull.
    """
    mesh = extract(mug(), views.every_other(0), resolution=64, faces=3000)
    assert agreement(mesh, views.every_other(1)) >= 0.95
    assert len(mesh.faces) <= 3000
    assert (mesh.is_watertight, mesh.euler_number) == (True, 0)
    assert 0.4 < mesh.volume / mesh.convex_hull.volume < 0.75


def test_a_thinner_haze_has_its_surface_too() -> None:
    """Oracle: the level follows the density, a tenth of it here, where any fixed one would miss the mug."""
    haze = mug(density_inside=6.0, softness=0.03)
    seen = of_run(tiny(Path("unused"), *SIGHT), haze, 32).every_other(0)
    assert agreement(extract(haze, seen.every_other(0), 48, 0), seen.every_other(1)) >= 0.9


def test_agreement_sees_what_is_missing(views: Views) -> None:
    """Oracle: with its handle on the wrong side, the same mesh agrees less."""
    few = views.every_other(0).every_other(0).every_other(0)
    mesh = extract(mug(), few, 48, 3000)
    before = agreement(mesh, few)
    mesh.vertices[:, 1] *= -1
    assert agreement(mesh, few) < 0.9 < before


def test_the_level_is_the_best_of_all() -> None:
    """Oracle: every threshold tried, one by one."""
    numbers = torch.rand(2, 300, generator=torch.Generator().manual_seed(0))
    peak, inside = numbers[0], numbers[0] + 0.4 * numbers[1] > 0.8

    def iou(level: float) -> float:
        return float(((peak > level) & inside).sum() / ((peak > level) | inside).sum())

    tried = [iou(float(level)) for level in peak - 1e-6]
    assert iou(best_level(peak, inside)) == pytest.approx(max(tried))


def test_peaks_are_those_of_the_rays() -> None:
    """Oracle: 1 - |x - c| peaks where a ray is nearest to c, at its distance from there.

    The volume is linear between its points, which costs up to a cell at the very tip.
    """
    center = torch.tensor([0.3, -0.2, 0.1])
    volume = 1 - (cube()[0] - center).norm(dim=-1)
    camera = orbit(3, 20.0, 2.5, 30.0, 9)
    rays = camera.rays()
    nearest = torch.linalg.cross(rays.origins - center, rays.directions).norm(dim=-1)
    torch.testing.assert_close(peaks(volume, 1.0, camera), 1 - nearest, atol=2 / 47, rtol=0)


def test_crumbs_and_cavities_are_left_out() -> None:
    """Oracle: the volume of the two large balls, one of which is hollow; 3% for 64 cells an edge.

    The crumb has a sixty-fourth of the largest one's surface, below a fiftieth.
    """
    points, _ = cube(64)

    def ball(x: float, radius: float) -> Tensor:
        return radius - (points - torch.tensor([x, 0.0, 0.0])).norm(dim=-1)

    hollow = torch.minimum(ball(-0.45, 0.4), -ball(-0.45, 0.2))
    volume = torch.maximum(torch.maximum(hollow, ball(0.4, 0.3)), ball(0.85, 0.05))
    mesh = closed(volume + 0.5, 0.5, radius=1.0)
    assert mesh.volume == pytest.approx(4 / 3 * math.pi * (0.4**3 + 0.3**3), rel=0.03)
    assert (mesh.body_count, mesh.is_watertight) == (2, True)


def test_what_the_cube_cuts_off_is_closed() -> None:
    """Oracle: a full cube has the cube's volume; half a cell of rim on every side."""
    mesh = closed(torch.ones(24, 24, 24), 0.5, radius=0.6)
    assert mesh.is_watertight
    cell = 1.2 / 23
    assert 1.2**3 <= mesh.volume <= (1.2 + cell) ** 3
    np.testing.assert_allclose(mesh.bounds.sum(0), 0, atol=1e-6)


def test_no_surface_is_one_sentence() -> None:
    """Oracle: the sentence says what is missing, and the remedy."""
    with pytest.raises(UserError, match=r"no surface to take: only 0\.0% of all rays.*train longer"):
        extract(mug(), EMPTY, 32, 0)
