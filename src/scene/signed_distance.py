"""From a density to a signed distance on a lattice: how a NeRF becomes the start of a mesh.

A density is steep here and flat there, so its own values say little about how far away its level is: given to
marching tetrahedra as they are (cut off at 1, as is the custom) they make a sphere's faces lean by 30
degrees.  Where an edge of the lattice crosses the level can be found as exactly as one likes, though.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from src.errors import UserError
from src.scene.lattice import Lattice
from src.scene.nearest import nearest

BISECTIONS = 16  # to 1e-5 of an edge
POINTS = 2**18  # evaluated together

Values = Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]


@torch.no_grad()
def signed_distance(lattice: Lattice, values: Values, level: float) -> Float[Tensor, " V"]:
    """Distance (world units) from {values = level}, negative where values are larger; positive on the cube.

    Bisection finds a root on every edge that crosses the level; a vertex's distance is that from its nearest
    root.  Raises UserError where nothing is larger than the level, or everything is.
    """
    vertices = lattice.vertices
    seen = torch.cat([values(points) for points in vertices.split(POINTS)])
    inside = (seen > level) & ~lattice.boundary
    if not inside.any():
        raise UserError(
            f"no surface at level={level:g}: the largest value is {float(seen.max()):.3g}; choose a lower "
            "level, or train what it is to be taken from for longer"
        )
    ends = lattice.crossings(~inside)
    here, there = vertices[ends].unbind(1)
    below, above = (torch.where(inside[ends[:, :1]] == flag, here, there) for flag in (False, True))
    for _ in range(BISECTIONS):
        middle = 0.5 * (below + above)
        larger = (torch.cat([values(points) for points in middle.split(POINTS)]) > level)[:, None]
        below, above = torch.where(larger, below, middle), torch.where(larger, middle, above)
    roots = 0.5 * (below + above)
    distance = (vertices - roots[nearest_root(lattice, ends, roots)]).norm(dim=1)
    # A vertex in the surface is on neither side, and a share of nothing in nothing is no place.
    return torch.where(inside, -1, 1) * distance.clamp(min=1e-6 * lattice.cell)


def nearest_root(
    lattice: Lattice, ends: Int[Tensor, "E 2"], roots: Float[Tensor, "E 3"]
) -> Int[Tensor, " V"]:
    """For every vertex the root nearest to it, as jump flooding finds it (Rong & Tan 2006).

    Roots are first told to all vertices within a cell of their edge, of which each keeps the nearest; then
    everyone asks neighbours at half the lattice's width, a quarter ... one cell for theirs.
    """
    vertices, size = lattice.vertices, lattice.cells + 1
    around = torch.cartesian_prod(*[torch.arange(-1, 2, device=vertices.device)] * 3)
    end = torch.stack([ends % size, ends // size % size, ends // size**2], -1)  # [E, 2, 3]
    place = (end[:, :, None] + around).view(len(ends), -1, 3)
    known = ((place >= 0) & (place < size)).all(2)
    slot = (place * place.new_tensor([1, size, size**2])).sum(2)[known]
    root = torch.arange(len(ends), device=known.device)[:, None].expand_as(known)[known]
    places = torch.cat([roots, roots.new_full((1, 3), torch.inf)])  # the last is nobody's
    found = nearest(slot, (vertices[slot] - roots[root]).norm(dim=1), len(vertices))
    found = torch.where(found < 0, len(roots), root[found])
    squared = (vertices - places[found]).square().sum(1)
    jumps, jump = [], lattice.cells
    while jump > 1:
        jump = (jump + 1) // 2
        jumps.append(jump)
    for jump in jumps:
        padded = functional.pad(found.view(size, size, size), (jump,) * 6, value=len(roots))
        for offset in around.tolist():
            window = tuple(slice((each + 1) * jump, (each + 1) * jump + size) for each in offset)
            other = padded[window].reshape(-1)
            theirs = (vertices - places[other]).square().sum(1)
            closer = theirs < squared
            found, squared = torch.where(closer, other, found), torch.where(closer, theirs, squared)
    return found
