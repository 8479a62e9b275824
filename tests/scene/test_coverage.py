import math

import pytest
import torch
from torch import Tensor

from src.scene.cameras import Cameras
from src.scene.coverage import antialias
from src.scene.mesh import Mesh, edges
from src.scene.rasterize import picture, rasterize, to_screen
from tests.scene.meshes import ball, camera, disc_area, shown

FACING = camera(0)  # on +x: y to the right, z up


def polygon(corners: Tensor) -> Mesh:
    """A convex polygon at the origin, facing the camera, as a fan."""
    rest = torch.arange(1, len(corners) - 1)
    vertices = torch.cat([torch.zeros(len(corners), 1, dtype=torch.float64), corners], 1)
    return Mesh(vertices, torch.stack([torch.zeros_like(rest), rest, rest + 1], 1))


def pixels_per_unit(where: Cameras) -> float:
    return 0.5 * where.height / math.tan(0.5 * float(where.fov)) / float(where.distance)


def area_and_slope(image: Tensor, size: Tensor) -> tuple[float, float]:
    return float(image.detach().sum()), float(torch.autograd.grad(image.sum(), size)[0])


def test_area_of_triangles_and_its_derivative() -> None:
    """Oracle: area s^2 A and 2 s A in closed form, at 64 x 64 pooled from twice that, turned in 12 ways.

    Areas are within 0.2%.  A tip narrower than a pixel has no pixel that could lose or win, which costs a
    triangle 0.6% of its slope; how many rows an edge spans is a whole number, a percent either way.
    """
    where, slopes = camera(0, size=128), []
    for turn in range(0, 120, 10):
        angles = torch.tensor([turn, turn + 110, turn + 250]).double().deg2rad()
        corners = 0.6 * torch.stack([angles.cos(), angles.sin()], 1)
        size = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        area, slope = area_and_slope(shown(polygon(size * corners), where), size)
        u, v = corners[1] - corners[0], corners[2] - corners[0]
        truth = 0.5 * float(u[0] * v[1] - u[1] * v[0]) * pixels_per_unit(where) ** 2
        assert area == pytest.approx(truth, rel=0.002)
        slopes.append(slope / (2 * truth))
    assert max(abs(slope - 1) for slope in slopes) < 0.02
    assert abs(sum(slopes) / len(slopes) - 1) < 0.01


def test_area_of_a_ball_and_its_derivative() -> None:
    """Oracle: a circle of the tangent r / sqrt(d^2 - r^2) and its slope, within 1% at 64 x 64 from 8 sides.

    Its triangles are as small as a pixel, and smaller where they are seen from the side.
    """
    for radius in (0.31, 0.463):
        for azimuth, elevation in ((0, 0), (77, 0), (30, 20), (123, 40)):
            size = torch.tensor(radius, dtype=torch.float64, requires_grad=True)
            where = camera(azimuth, elevation)
            area, slope = area_and_slope(shown(ball(size, 40, 0.6), where), size)
            truth = disc_area(radius, where)
            assert area == pytest.approx(truth[0], rel=0.01)
            assert slope == pytest.approx(truth[1], rel=0.01)


def test_upright_edges_cover_pixels_by_their_share() -> None:
    """Oracle: a rectangle's own area in every pixel, away from its corners, exact."""
    left, right, low, high = -9.3, 12.45, -7.8, 5.25  # pixels from the middle
    scale = pixels_per_unit(FACING)
    corners = torch.tensor([[left, low], [right, low], [right, high], [left, high]], dtype=torch.float64)
    image = shown(polygon(corners / scale), FACING)[..., 0]
    edge = torch.arange(65).double() - 32

    def share(first: float, last: float) -> Tensor:
        return (edge.clamp(first, last)[1:] - edge.clamp(first, last)[:-1]).clamp(min=0)

    truth = share(-high, -low)[:, None] * share(left, right)
    corner = (
        (truth > 0) & (truth < 1) & (truth != share(left, right)) & (truth != share(-high, -low)[:, None])
    )
    assert int(corner.sum()) == 4
    torch.testing.assert_close(image[~corner], truth[~corner], rtol=0, atol=1e-9)


def test_pictures_change_with_places_as_their_gradient_says() -> None:
    """Oracle: finite differences in float64 of every pixel, while a ball moves before a background and grows.

    Turning outlines change the squares that weigh rows against columns, which counts as constant, so what
    moves are its vertices' places on the screen, all alike.
    """
    mesh, where = ball(0.4, 6, 0.6), camera(33, 21, size=16)
    around = edges(mesh)
    places = to_screen(where, mesh.vertices)
    behind = torch.rand(1, 16, 16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    color = torch.rand(len(mesh.faces), 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def image(shift: Tensor, size: Tensor) -> Tensor:
        moved = torch.cat([(places[..., :2] - 8) * size + 8 + shift, places[..., 2:]], -1)
        seen = rasterize(moved, mesh.faces, 16, 16)
        return antialias(picture(seen, color[seen.face], behind), seen.depth, moved, mesh, around)

    shift = torch.tensor([0.0123, -0.0321], dtype=torch.float64, requires_grad=True)
    size = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(image, (shift, size), eps=1e-7, atol=1e-5)


def test_what_is_hidden_has_no_outline() -> None:
    """Oracle: a small square behind a large one of the same picture changes nothing, bitwise; before it, it
    shows.
    """
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]).double()
    large, small = polygon(0.4 * square), polygon(0.17 * square)
    alone = shown(large, FACING)
    for depth, hidden in ((-0.1, True), (0.1, False)):
        moved = small.vertices + torch.tensor([depth, 0, 0]).double()
        both = Mesh(torch.cat([large.vertices, moved]), torch.cat([large.faces, small.faces + 4]))
        places = to_screen(FACING, both.vertices)
        seen = rasterize(places, both.faces, 64, 64)
        color = torch.where(seen.face < 2, 1.0, 0.5).double()[:, None]
        plain = picture(seen, color, torch.zeros(1, 64, 64, 1, dtype=torch.float64))
        image = antialias(plain, seen.depth, places, both, edges(both))[0]
        assert torch.equal(image, alone) is hidden
        # A square of half the brightness: the area it takes is that of its own, nearer, outline.
        if not hidden:
            area = (0.34 * pixels_per_unit(FACING) * 1.5 / 1.4) ** 2
            assert float((alone - image).sum()) == pytest.approx(0.5 * area, rel=0.01)


def test_pictures_stay_between_their_colors() -> None:
    """Oracle: a bumpy closed surface, whose outlines fold, in front of grey: nothing leaves [0.3, 1]."""
    mesh = ball(0.45, 20, 0.6)
    noise = torch.randn(mesh.vertices.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image = shown(Mesh(mesh.vertices + 0.02 * noise, mesh.faces), camera(15, 30), behind=0.3)
    assert float(image.min()) >= 0.3 - 1e-9
    assert float(image.max()) <= 1 + 1e-9
