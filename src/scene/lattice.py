"""A cube cut into tetrahedra by formula, and the surface of a signed distance on them, by rule.

Kuhn's subdivision: every cubic cell falls into six tetrahedra, one for each order in which a path along the
axes can lead from its lowest corner to its highest.  Neighbouring cells cut their common face alike, so no
parity is to be kept, and an edge is a vertex and one of seven offsets.

Corner c of a cell (0 to 7) is its lowest vertex + (c & 1, c >> 1 & 1, c >> 2 & 1); x is the fastest axis.
V vertices, T tetrahedra, P vertices and F faces of the surface.
"""

import itertools

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from src.scene.mesh import Mesh

MARGIN = 1e-3  # of a cell: how far outside the lattice's own boundary counts as, at least


def _paths() -> Int[Tensor, "6 4"]:
    """Corners of a cell's six tetrahedra, each positively oriented (det(b - a, c - a, d - a) > 0)."""
    paths = []
    for first, second, third in itertools.permutations(range(3)):
        path = [0, 1 << first, 1 << first | 1 << second, 7]
        odd = (first > second) ^ (first > third) ^ (second > third)
        paths.append([path[0], path[2], path[1], path[3]] if odd else path)
    return torch.tensor(paths)


class Lattice(nn.Module):
    """Vertices and tetrahedra of the cube of half-size `radius`, `cells` cells along an edge.

    Nothing of it belongs in a checkpoint.
    """

    vertices: Float[Tensor, "V 3"]  # world units
    boundary: Bool[Tensor, " V"]
    step: Int[Tensor, "8"]  # from a cell's lowest vertex to its corner c
    paths: Int[Tensor, "6 4"]
    edges: Int[Tensor, "19 2"]  # of a cell and its diagonals, by their corners, the lower one first

    def __init__(self, cells: int, radius: float) -> None:
        super().__init__()
        self.cells, self.radius = cells, radius
        axis = torch.linspace(-radius, radius, cells + 1, dtype=torch.float64)
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        vertices = torch.stack([x, y, z], -1).view(-1, 3)
        corner, size = torch.arange(8), cells + 1
        self.register_buffer("vertices", vertices.to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("boundary", (vertices.abs() == radius).any(1), persistent=False)
        steps = (corner & 1) + (corner >> 1 & 1) * size + (corner >> 2 & 1) * size**2
        self.register_buffer("step", steps, persistent=False)
        self.register_buffer("paths", _paths(), persistent=False)
        pairs = torch.combinations(corner)
        upward = (pairs[:, 0] & pairs[:, 1]) == pairs[:, 0]
        self.register_buffer("edges", pairs[upward], persistent=False)

    @property
    def cell(self) -> float:
        """Length of a cell's edge (world units)."""
        return 2 * self.radius / self.cells

    def tetrahedra(self, cells: Int[Tensor, " N"]) -> Int[Tensor, "N 6 4"]:
        """Vertices of these cells' tetrahedra; a cell is known by its lowest vertex."""
        return cells[:, None, None] + self.step[self.paths]

    def cut_cells(self, outside: Bool[Tensor, " V"]) -> Int[Tensor, " N"]:
        """The cells, by their lowest vertices, some of whose corners are outside and some are not."""
        size = self.cells + 1
        flags = outside.view(size, size, size)
        some, all_ = flags, flags
        for axis in range(3):
            head, tail = (slice(None),) * axis + (slice(-1),), (slice(None),) * axis + (slice(1, None),)
            some, all_ = some[head] | some[tail], all_[head] & all_[tail]
        z, y, x = (some & ~all_).nonzero().unbind(1)
        return x + y * size + z * size**2

    def crossings(self, outside: Bool[Tensor, " V"]) -> Int[Tensor, "E 2"]:
        """Both ends, lower vertex first, of the edges that lead from inside to outside or back."""
        low = self.cut_cells(outside)
        ends = (low[:, None, None] + self.step[self.edges]).view(-1, 2)
        ends = ends[outside[ends[:, 0]] != outside[ends[:, 1]]]
        key = (ends[:, 0] * len(self.vertices) + ends[:, 1]).unique()
        return torch.stack([key // len(self.vertices), key % len(self.vertices)], 1)

    def closed(self, distance: Float[Tensor, " V"]) -> Float[Tensor, " V"]:
        """The same signed distance, but outside on the cube's own boundary, which closes any surface."""
        return torch.where(self.boundary, distance.clamp(min=MARGIN * self.cell), distance)


def surface(
    lattice: Lattice, distance: Float[Tensor, " V"], vertices: Float[Tensor, "V 3"] | None = None
) -> Mesh:
    """The surface {distance = 0}, positive outside, on the lattice (or on moved vertices of it).

    Marching tetrahedra (Doi & Koide 1991) by rule: with the corners P outside and N not, one corner against
    three is a triangle, two against two the quadrilateral P0N0, P1N0, P1N1, P0N1; PN is the place
    (p d(N) - n d(P)) / (d(N) - d(P)).  Gradients reach distances and vertices.  Which way a face looks
    follows from the order of the corners alone, so it holds for faces without an area.  Watertight where
    the boundary is outside (`Lattice.closed`); without faces where nothing is inside.
    """
    vertices = lattice.vertices if vertices is None else vertices
    outside = distance > 0
    tetrahedra = lattice.tetrahedra(lattice.cut_cells(outside)).view(-1, 4)
    signs = outside[tetrahedra]
    count = signs.sum(1)
    cut = (count > 0) & (count < 4)
    tetrahedra, signs, count = tetrahedra[cut], signs[cut].long(), count[cut]
    # Outside first; parity is that of the pairs which this puts the other way round.
    order = signs.argsort(dim=1, descending=True, stable=True)
    odd = ((1 - signs) * (signs.flip(1).cumsum(1).flip(1) - signs)).sum(1) % 2 == 1
    corners = tetrahedra.gather(1, order)
    # Two corners on the same side change places where the order was odd: then all are positively oriented.
    swapped = torch.where((count == 1)[:, None], corners[:, [0, 1, 3, 2]], corners[:, [1, 0, 2, 3]])
    corners = torch.where(odd[:, None], swapped, corners)

    def faces(outside_corners: int, triangle: list[tuple[int, int]]) -> Tensor:
        chosen = corners[count == outside_corners]
        return torch.stack([chosen[:, list(pair)] for pair in triangle], 1)  # [N, 3, 2]

    half_edges = torch.cat(
        [
            faces(1, [(0, 1), (0, 3), (0, 2)]),
            faces(2, [(0, 2), (1, 2), (1, 3)]),
            faces(2, [(0, 2), (1, 3), (0, 3)]),
            faces(3, [(0, 3), (2, 3), (1, 3)]),
        ]
    )
    total = len(vertices)
    key, index = (half_edges[..., 0] * total + half_edges[..., 1]).unique(return_inverse=True)
    p, n = key // total, key % total
    share = (distance[p] / (distance[p] - distance[n]))[:, None]
    return Mesh(vertices[p] + share * (vertices[n] - vertices[p]), index)
