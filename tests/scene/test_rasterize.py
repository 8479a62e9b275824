import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from src.scene.mesh import Mesh
from src.scene.nearest import nearest
from src.scene.rasterize import interpolate, picture, rasterize, to_screen
from tests.scene.meshes import ball, camera


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1e6, width=32)), max_size=12))
def test_nearest_is_the_first_of_the_least(things: list[tuple[int, float]]) -> None:
    """Oracle: a loop in Python."""
    slot = torch.tensor([each[0] for each in things], dtype=torch.long)
    distance = torch.tensor([each[1] for each in things])
    expected = []
    for number in range(5):
        mine = [(away, i) for i, (where, away) in enumerate(things) if where == number]
        expected.append(min(mine)[1] if mine else -1)
    assert nearest(slot, distance, 5).tolist() == expected


def test_the_screen_agrees_with_the_cameras_rays() -> None:
    """Oracle: a point on the ray through a pixel's centre falls on that centre, at its depth."""
    where = camera(40, 25, size=8)
    rays = where.rays()
    points = (rays.origins + 1.3 * rays.directions)[0]
    place = to_screen(where, points.view(-1, 3)).view(8, 8, 3)
    row, column = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    torch.testing.assert_close(place[..., :2], torch.stack([column, row], -1).double() + 0.5)
    axis = -where.poses()[0, :, 2]
    torch.testing.assert_close(place[..., 2], 1.3 * rays.directions[0] @ axis)


def test_depths_and_places_are_those_of_the_rays() -> None:
    """Oracle: pixel by pixel, the nearest of all ray-triangle intersections by Cramer's rule; float64."""
    mesh, where = ball(0.6, 6), camera(20, 10, size=24)
    seen = rasterize(to_screen(where, mesh.vertices), mesh.faces, 24, 24)
    rays = where.rays()
    origin, direction = rays.origins.view(-1, 3)[0], rays.directions.view(-1, 3)
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    columns = (
        (a - b).expand(576, -1, -1),
        (a - c).expand(576, -1, -1),
        direction[:, None].expand(-1, len(a), -1),
    )
    matrix = torch.stack(columns, -1)
    solved = torch.linalg.solve(matrix, (a - origin)[None, :, :, None].expand(576, -1, -1, -1))[..., 0]
    met = (solved[..., 0] >= 0) & (solved[..., 1] >= 0) & (solved[..., :2].sum(-1) <= 1)
    distance, face = torch.where(met, solved[..., 2], math.inf).min(1)
    covered = distance.isfinite().nonzero()[:, 0]
    assert torch.equal(seen.pixel, covered)
    assert torch.equal(seen.face, face[covered])
    points = origin + distance[covered, None] * direction[covered]
    torch.testing.assert_close(interpolate(seen, mesh.faces, mesh.vertices), points)
    axis = -where.poses()[0, :, 2]
    torch.testing.assert_close(seen.depth.view(-1)[covered], (points - origin) @ axis)
    assert seen.depth.view(-1)[~distance.isfinite()].isinf().all()


def test_a_closed_surface_has_no_cracks() -> None:
    """Oracle: seen from any side in float32, all pixels whose rays pass well inside a ball see it."""
    mesh = ball(0.5, 20)
    for azimuth in (0.0, 45.0, 90.0, 200.0):  # along the axes, edges run through the centres of pixels
        where = camera(azimuth, 0.0, size=65)
        single = Mesh(mesh.vertices.float(), mesh.faces)
        seen = rasterize(to_screen(where, single.vertices.double()).float(), single.faces, 65, 65)
        rays = where.rays()
        missed = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1)
        assert seen.depth[missed < 0.48].isfinite().all()


def test_views_do_not_know_of_each_other() -> None:
    """Oracle: two views at once are two views one by one, bitwise; also where memory makes pieces of them."""
    mesh = ball(0.5, 8)
    both = torch.cat([to_screen(camera(azimuth, size=16), mesh.vertices) for azimuth in (10.0, 120.0)])
    together = rasterize(both, mesh.faces, 16, 16)
    apart = [rasterize(each[None], mesh.faces, 16, 16) for each in both]
    assert torch.equal(together.depth, torch.cat([each.depth for each in apart]))
    assert torch.equal(together.weights, torch.cat([each.weights for each in apart]))
    assert torch.equal(together.face, torch.cat([each.face for each in apart]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.scene.rasterize.CANDIDATES", 7)
        pieces = rasterize(both, mesh.faces, 16, 16)
    assert all(torch.equal(a, b) for a, b in zip(together, pieces, strict=True))


def test_faces_behind_the_camera_and_without_area_are_not_seen() -> None:
    """Oracle: nothing is."""
    points = torch.tensor([[2.0, 0, 0], [2, 1, 0], [2, 0, 1], [0, 0, 0], [0, 0.1, 0], [0, 0.2, 0]]).double()
    place = to_screen(camera(0, distance=1.0, size=9), points)
    for faces in ([[0, 1, 2]], [[3, 4, 5]], [[3, 3, 4]]):
        assert not len(rasterize(place, torch.tensor(faces), 9, 9).pixel)
    assert not len(rasterize(place, torch.zeros(0, 3, dtype=torch.long), 9, 9).pixel)


def test_gradients_of_what_is_seen() -> None:
    """Oracle: finite differences in float64, of interpolated values with respect to places and to values."""
    mesh, where = ball(0.6, 4), camera(33, 21, size=10)
    values = torch.randn(
        len(mesh.vertices), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )

    def image(vertices: Tensor, values: Tensor) -> Tensor:
        seen = rasterize(to_screen(where, vertices), mesh.faces, 10, 10)
        return picture(
            seen, interpolate(seen, mesh.faces, values), torch.zeros(1, 10, 10, 2, dtype=torch.float64)
        )

    inputs = (mesh.vertices.clone().requires_grad_(), values.requires_grad_())
    assert torch.autograd.gradcheck(image, inputs, fast_mode=True)
