import math

import torch
from torch import Tensor

from src.scene.mesh import (
    Mesh,
    edges,
    laplacian,
    normal_consistency,
    scaled_normals,
    vertex_normals,
)
from tests.scene.meshes import ball

# A regular tetrahedron's corners, all faces counter-clockwise from outside.
CORNERS = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
FACES = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def test_edges_know_their_faces_and_what_is_opposite() -> None:
    """Oracle: a tetrahedron's six edges, told by hand; two triangles' one inner and four outer ones."""
    found = edges(Mesh(CORNERS, FACES))
    assert found.ends.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert found.inner.all()
    for ends, faces, opposite in zip(found.ends, found.faces, found.opposite, strict=True):
        for face, corner in zip(faces, opposite, strict=True):
            assert {*ends.tolist(), int(corner)} == set(FACES[face].tolist())
    open_ = edges(Mesh(CORNERS, FACES[:2]))
    assert open_.inner.tolist() == [False, True, False, False, False]


def test_normals_of_a_tetrahedron() -> None:
    """Oracle: twice the area of a face of side sqrt(8); vertex normals lead through the corners."""
    mesh = Mesh(CORNERS, FACES)
    torch.testing.assert_close(scaled_normals(mesh).norm(dim=1), torch.full((4,), 4 * math.sqrt(3)).double())
    torch.testing.assert_close(vertex_normals(mesh), CORNERS / math.sqrt(3))


def test_penalties_in_closed_form() -> None:
    """Oracle: a tetrahedron's normals meet at arccos(-1/3), and its vertices are 4/3 of their own length from
    their neighbours' middle; a flat sheet has no penalty.
    """
    mesh = Mesh(CORNERS, FACES)
    around = edges(mesh)
    torch.testing.assert_close(normal_consistency(mesh, around), torch.tensor(4 / 3).double())
    torch.testing.assert_close(laplacian(mesh, around), torch.tensor(4 / 3 * math.sqrt(3)).double())
    flat = Mesh(torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]).double(), FACES[:2])
    assert normal_consistency(flat, edges(flat)) < 1e-12


def test_penalties_are_smaller_for_smoother_balls() -> None:
    """Oracle: order: a finer ball is smoother, one with noise is not; gradients are finite."""
    coarse, fine = ball(0.71, 8), ball(0.71, 20)
    noise = torch.randn(fine.vertices.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rough = Mesh((fine.vertices + 0.01 * noise).requires_grad_(), fine.faces)
    for penalty in (normal_consistency, laplacian):
        values: list[Tensor] = [penalty(mesh, edges(mesh)) for mesh in (fine, coarse)]
        assert values[0] < values[1]
        worse = penalty(rough, edges(rough))
        assert worse > values[0]
        (gradient,) = torch.autograd.grad(worse, rough.vertices)
        assert gradient.isfinite().all()
