import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from src.scene.lattice import Lattice, surface
from src.scene.mesh import Mesh, edges, scaled_normals
from tests.scene.meshes import ball, lattice


def euler(mesh: Mesh) -> int:
    return len(mesh.vertices) - len(edges(mesh).ends) + len(mesh.faces)


def closed_and_consistent(mesh: Mesh) -> bool:
    """Every half-edge has exactly one of the opposite direction."""
    here, there = mesh.faces.reshape(-1), mesh.faces.roll(-1, 1).reshape(-1)
    total = len(mesh.vertices)
    forth, back = (here * total + there).sort()[0], (there * total + here).sort()[0]
    return bool((forth == back).all()) and len(forth.unique()) == len(forth)


def volume(mesh: Mesh) -> float:
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def test_tetrahedra_fill_the_cube_once() -> None:
    """Oracle: all volumes are a sixth of a cell's, positive; any point lies in just one of them."""
    grid = lattice(2)
    flags = torch.zeros(27, dtype=torch.bool)
    flags[13] = True  # the middle vertex is a corner of all eight cells
    corners = grid.vertices[grid.tetrahedra(grid.cut_cells(flags)).view(-1, 4)]
    spans = corners[:, 1:] - corners[:, :1]
    torch.testing.assert_close(
        torch.linalg.det(spans), torch.ones(48, dtype=torch.float64)
    )  # cells are 1 wide
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    # Barycentric coordinates of every point in every tetrahedron.
    shares = torch.linalg.solve(
        spans.transpose(1, 2), (points[:, None] - corners[:, 0]).transpose(0, 1).transpose(1, 2)
    )
    inside = (shares >= 0).all(1) & (shares.sum(1) <= 1)
    assert (inside.sum(0) == 1).all()


@pytest.mark.parametrize("radius", [0.3, 0.62, 0.9])
def test_a_ball_is_watertight_without_handles_and_looks_outwards(radius: float) -> None:
    """Oracle: half-edges pair up, Euler characteristic 2, normals along the radius, volume and places known.

    A chord of a cell's diagonal lies h^2 / (8 r) deep at most, of which a face loses less.
    """
    mesh, cell = ball(radius), 2 / 24
    assert closed_and_consistent(mesh)
    assert euler(mesh) == 2
    assert (scaled_normals(mesh) * mesh.vertices[mesh.faces].mean(1)).sum(1).min() > 0
    depth = 3 * cell**2 / (8 * radius)
    distance = mesh.vertices.norm(dim=1)
    assert distance.max() <= radius + 1e-12
    assert distance.min() >= radius - depth
    assert 1 - 3 * depth / radius < volume(mesh) / (4 / 3 * math.pi * radius**3) < 1


def test_a_ring_has_a_hole_and_two_balls_are_two() -> None:
    """Oracle: Euler characteristics 0 and 4."""
    grid = lattice(24)
    x, y, z = grid.vertices.unbind(1)
    ring = surface(grid, (((x * x + y * y).sqrt() - 0.55).square() + z * z).sqrt() - 0.25)
    both = surface(
        grid, torch.minimum((grid.vertices - 0.4).norm(dim=1), (grid.vertices + 0.4).norm(dim=1)) - 0.3
    )
    assert [euler(ring), euler(both)] == [0, 4]


@given(st.integers(0, 2**31), st.floats(0.1, 0.9))
def test_any_closed_signs_give_a_closed_surface(seed: int, share: float) -> None:
    """Oracle: half-edges pair up whatever the values, zeros included; a volume between none and all."""
    grid = lattice(4)
    values = torch.rand(125, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - share
    values[values.abs() < 0.02] = 0.0
    mesh = surface(grid, grid.closed(values))
    assert closed_and_consistent(mesh)
    assert 0 <= volume(mesh) <= 8
    assert mesh.vertices.isfinite().all()


def test_nothing_inside_is_no_face_and_all_inside_is_the_cube() -> None:
    """Oracle: no faces; more than the inner vertices' cube and less than the whole (edges are bevelled)."""
    grid = lattice(4)
    assert len(surface(grid, torch.ones(125, dtype=torch.float64)).faces) == 0
    whole = surface(grid, grid.closed(torch.full((125,), -1.0, dtype=torch.float64)))
    assert closed_and_consistent(whole)
    assert 1 < volume(whole) < 8


def test_a_plane_is_met_exactly_with_its_gradient() -> None:
    """Oracle: a linear distance is interpolated without error, so vertices lie in n.x = c and n.dx = dc."""
    grid, normal = lattice(6), torch.tensor([0.48, -0.6, 0.64], dtype=torch.float64)
    level = torch.tensor(0.123, dtype=torch.float64, requires_grad=True)
    mesh = surface(grid, grid.vertices @ normal - level)
    torch.testing.assert_close(mesh.vertices @ normal, level.detach().expand(len(mesh.vertices)))
    (speed,) = torch.autograd.grad((mesh.vertices @ normal).sum(), level)
    torch.testing.assert_close(speed, torch.tensor(float(len(mesh.vertices)), dtype=torch.float64))


def test_gradients_reach_distances_and_moved_vertices() -> None:
    """Oracle: finite differences in float64."""
    grid = lattice(3)
    draw = torch.Generator().manual_seed(1)
    distance = grid.vertices.norm(dim=1) - 0.7 + 0.1 * torch.rand(64, generator=draw, dtype=torch.float64)
    moved = grid.vertices + 0.05 * torch.rand(64, 3, generator=draw, dtype=torch.float64)

    def places(distance: Tensor, moved: Tensor) -> Tensor:
        return surface(grid, distance, moved).vertices

    assert torch.autograd.gradcheck(
        places, (distance.requires_grad_(), moved.requires_grad_()), fast_mode=True
    )


def test_crossings_are_the_vertices_of_the_surface() -> None:
    """Oracle: the surface has one vertex on each edge with a sign change, and no other."""
    grid = lattice(8)
    distance = grid.vertices.norm(dim=1) - 0.6
    ends = grid.crossings(distance > 0)
    a, b = distance[ends].unbind(1)
    here, there = grid.vertices[ends].unbind(1)
    expected = here + (a / (a - b))[:, None] * (there - here)
    found = surface(grid, distance).vertices
    assert len(found) == len(expected)
    assert torch.cdist(found, expected, compute_mode="donot_use_mm_for_euclid_dist").amin(1).max() < 1e-12


def test_a_lattice_leaves_nothing_in_a_checkpoint() -> None:
    """Oracle: an empty state."""
    assert not Lattice(2, 1.0).state_dict()
