"""From maps to space and back, on a ball and on planes."""

import math

import torch

from src.evaluation.surface import CELLS, endpoints, hull, points, project, reach, thinned, thinness
from tests.evaluation.scenes import CAMERA, EMPTY, SHEET, SOLID_BALL, ball, bare, volume


def test_pixels_project_back_onto_themselves() -> None:
    """Oracle: pixel centres are at (2 i + 1) / n - 1; the distance is the depth."""
    views = SOLID_BALL._replace(depth=torch.full_like(SOLID_BALL.depth, 1.2))
    places, distance = project(CAMERA, endpoints(views).view(len(views.depth), -1, 3))
    center = (2 * torch.arange(48) + 1) / 48 - 1
    y, x = torch.meshgrid(center, center, indexing="ij")
    expected = torch.stack([x, y], -1).view(1, -1, 2).expand_as(places)
    torch.testing.assert_close(places, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(distance, torch.full_like(distance, 1.2))


def test_surface_points_of_a_ball_lie_on_it() -> None:
    """Oracle: the radius, 0.4. 0.02: a bin of the march is 0.019 long, and edges mix."""
    radius = points(SOLID_BALL).norm(dim=-1)
    assert abs(float(radius.median()) - 0.4) < 0.02
    assert (radius < 0.44).all()
    assert len(points(EMPTY)) == 0


def test_thinned_clouds_are_even_and_nested() -> None:
    """Oracle: one point in a cell; a coarser thinning is a subset; seeing a place twice changes nothing."""
    cloud = points(bare("lion"))
    fine, coarse = thinned(cloud, 0.02), thinned(cloud, 0.04)
    assert len((fine / 0.02).floor().unique(dim=0)) == len(fine)
    assert {tuple(p) for p in coarse.tolist()} <= {tuple(p) for p in fine.tolist()}
    assert torch.equal(thinned(torch.cat([cloud, cloud]), 0.02), fine)
    assert len(thinned(cloud[:0], 0.02)) == 0


def test_the_hull_of_a_ball_is_the_ball() -> None:
    """Oracle: 4/3 pi r^3. 10%: a pixel is 0.025 wide, and cameras at two elevations leave a cap below."""
    whole = hull(SOLID_BALL)
    cell = (2 * reach(CAMERA) / CELLS) ** 3
    assert abs(float(whole.sum()) * cell / (4 / 3 * math.pi * 0.4**3) - 1) < 0.10
    assert hull(EMPTY).sum() == 0


def test_hull_axes_are_z_y_x() -> None:
    """Oracle: where a ball off the middle was put."""
    place = (0.3, -0.2, 0.1)
    found = hull(volume(lambda p: 200.0 * ball(p, 0.12, place))).nonzero().float().mean(0)
    middle = ((found + 0.5) / CELLS * 2 - 1) * reach(CAMERA)
    torch.testing.assert_close(middle, torch.tensor(place[::-1]), atol=0.02, rtol=0)


def test_thinness_of_known_shapes() -> None:
    """Oracle: a ball is round; a disc of radius 0.4 and 0.06 thick deviates by 0.03 at most, and by 0.2."""
    assert thinness(SOLID_BALL) > 0.97
    assert 0.08 < thinness(SHEET) < 0.15
    assert thinness(EMPTY) == 1.0
