"""Triangles: their normals, who is whose neighbour, and penalties for a rough surface.

V vertices, F faces, E edges.  Faces are counter-clockwise seen from outside.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


class Mesh(NamedTuple):
    """A surface; vertices are shared by the faces around them."""

    vertices: Float[Tensor, "V 3"]  # world units
    faces: Int[Tensor, "F 3"]


class Edges(NamedTuple):
    """Every edge once; an edge of one face alone has that face twice."""

    ends: Int[Tensor, "E 2"]
    faces: Int[Tensor, "E 2"]
    opposite: Int[Tensor, "E 2"]  # the vertex of each of these faces that is not on the edge

    @property
    def inner(self) -> Tensor:
        """Which edges lie between two faces."""
        return self.faces[:, 0] != self.faces[:, 1]


@torch.no_grad()
def edges(mesh: Mesh) -> Edges:
    """The edges of a mesh; where more than two faces meet in one, two of them."""
    vertices, faces = len(mesh.vertices), mesh.faces
    low, high = torch.stack([faces, faces.roll(-1, 1)], -1).view(-1, 2).aminmax(dim=1)
    key, order = (low * vertices + high).sort(stable=True)
    starts = torch.ones_like(key, dtype=torch.bool)
    starts[1:] = key[1:] != key[:-1]
    ends = starts.roll(-1)
    pair = torch.stack([order[starts], order[ends]], 1)  # half-edge 3 f + c leads from corner c to corner c+1
    return Edges(
        torch.stack([low[pair[:, 0]], high[pair[:, 0]]], 1),
        pair // 3,
        faces.roll(-2, 1).reshape(-1)[pair],
    )


def scaled_normals(mesh: Mesh) -> Float[Tensor, "F 3"]:
    """Outward normals of the faces, twice as long as the faces are large."""
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return torch.linalg.cross(b - a, c - a)


def vertex_normals(mesh: Mesh) -> Float[Tensor, "V 3"]:
    """Unit normals at the vertices: those of the faces around them, by area; 0 where nothing is."""
    per_face = scaled_normals(mesh)
    total = torch.zeros_like(mesh.vertices)
    for corner in range(3):
        total = total.index_add(0, mesh.faces[:, corner], per_face)
    return functional.normalize(total, dim=1, eps=1e-12)


def normal_consistency(mesh: Mesh, edges: Edges) -> Float[Tensor, ""]:
    """Mean of 1 - cos between the vertex normals at the two ends of an edge (as threestudio has it)."""
    a, b = vertex_normals(mesh)[edges.ends].unbind(1)
    return (1 - (a * b).sum(1)).mean()


def laplacian(mesh: Mesh, edges: Edges) -> Float[Tensor, ""]:
    """Mean distance (world units) of a vertex from the middle of its neighbours, all counting the same."""
    total, count = torch.zeros_like(mesh.vertices), torch.zeros_like(mesh.vertices[:, :1])
    for here, there in (edges.ends.unbind(1), edges.ends.flip(1).unbind(1)):
        total = total.index_add(0, here, mesh.vertices[there])
        count = count.index_add(0, here, torch.ones_like(mesh.vertices[there][:, :1]))
    offset = mesh.vertices - total / count.clamp(min=1)
    # A vertex in the very middle has no direction to be pulled in, and a norm no gradient there.
    return (offset.square().sum(1) + 1e-16).sqrt().mean()
