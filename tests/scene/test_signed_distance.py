import pytest
import torch
from torch import Tensor
from torch.nn import functional

from src.errors import UserError
from src.scene.lattice import surface
from src.scene.mesh import scaled_normals
from src.scene.signed_distance import nearest_root, signed_distance
from tests.scene.meshes import lattice


def steep(points: Tensor) -> Tensor:
    """A density of 10 at radius 0.6 that rises as a trained one does: nothing outside, thousands inside."""
    return functional.softplus(300 * (1 - points.norm(dim=1) / 0.6) + 10.0)


@pytest.mark.parametrize("cells", [24, 32])
def test_normals_of_a_steep_ball_are_as_those_of_its_true_distance(cells: int) -> None:
    """Oracle: the direction from the middle; a mean error below 4 degrees, and 1 above the truth's."""
    grid = lattice(cells)

    def error(distance: Tensor) -> float:
        mesh = surface(grid, distance)
        middle = functional.normalize(mesh.vertices[mesh.faces].mean(1), dim=1)
        normal = functional.normalize(scaled_normals(mesh), dim=1)
        return float((normal * middle).sum(1).clamp(-1, 1).acos().mean().rad2deg())

    found = error(signed_distance(grid, steep, 10.0))
    assert found < 4
    assert found < error(grid.vertices.norm(dim=1) - 0.6) + 1
    assert error((10.0 - steep(grid.vertices)).clamp(-1, 1)) > 15  # what the peers hand over


def test_distances_are_those_of_the_nearest_root() -> None:
    """Oracle: all distances by brute force; the truth, which is less by half an edge's share at most."""
    grid = lattice(16)
    distance = signed_distance(grid, steep, 10.0)
    ends = grid.crossings(distance > 0)
    here, there = grid.vertices[ends].unbind(1)
    away = (0.6 - here.norm(dim=1)) / (there.norm(dim=1) - here.norm(dim=1))
    roots = here + away[:, None] * (there - here)
    every = torch.cdist(grid.vertices, roots)
    flooded = (grid.vertices - roots[nearest_root(grid, ends, roots)]).norm(dim=1)
    excess = flooded - every.amin(1)  # jump flooding may miss the nearest, by little, but not at the surface
    assert excess[ends.view(-1)].max() < 1e-12
    assert excess.max() < 0.25 * grid.cell
    assert excess.mean() < 3e-3 * grid.cell
    truth = grid.vertices.norm(dim=1) - 0.6
    inner = ~grid.boundary
    assert (distance.sign() == truth.sign())[inner].all()
    assert (distance.abs() - truth.abs()).abs()[inner].max() < 0.6 * grid.cell


def test_what_the_cube_cuts_off_is_closed() -> None:
    """Oracle: a ball that reaches beyond the cube still has every vertex of the cube outside."""
    grid = lattice(8)
    distance = signed_distance(grid, lambda points: 1.2 - points.norm(dim=1), 0.0)
    assert (distance[grid.boundary] > 0).all()
    assert (distance < 0).any()


def test_no_surface_is_said_with_the_largest_value_seen() -> None:
    """Oracle: the error names the level and what there is."""
    with pytest.raises(UserError, match=r"level=500.*largest value is 3"):
        signed_distance(lattice(4), lambda points: 3.0 - points.norm(dim=1), 500.0)
