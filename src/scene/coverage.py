"""What a moving outline does to pixels: how much of its neighbour an edge gives each of them.

A picture sampled at the centres of pixels jumps when an outline passes one.  Between the centres of two
neighbours, of which the nearer one sees the object, the outline crosses at some place r; with r < 1/2 the
nearer shows (1/2 - r) of what the other sees, with r > 1/2 the other (r - 1/2) of the object.  Along a
straight edge that is, row by row, the area which a picture of point samples lacks, and column by column as
well; rows count with the square of the edge's normal along x, columns with that along y.  For edges along the
axes, then, every pixel's share is exact, and no outline is counted twice or missed where it turns from steep
to flat.  r moves with the vertices, which is the gradient (the idea is Laine et al. 2020's, section 3.6; what
the squares do is seen as constant).  Here the outline's own edges say where they cross, whatever faces the
pixels see, so triangles may be smaller than pixels.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from src.scene.mesh import Edges, Mesh, scaled_normals
from src.scene.nearest import nearest
from src.scene.rasterize import NEAR


@torch.no_grad()
def ridges(mesh: Mesh, edges: Edges) -> Bool[Tensor, " E"]:
    """Edges that may be an outline from somewhere: the surface's ends, and all not folded inwards."""
    normal = scaled_normals(mesh)[edges.faces[:, 0]]
    offset = mesh.vertices[edges.opposite[:, 1]] - mesh.vertices[edges.ends[:, 0]]
    return ((normal * offset).sum(1) <= 0) | ~edges.inner


def antialias(
    image: Float[Tensor, "B H W C"],
    depth: Float[Tensor, "B H W"],
    places: Float[Tensor, "B V 3"],
    mesh: Mesh,
    edges: Edges,
) -> Float[Tensor, "B H W C"]:
    """The picture with its outlines spread over the pixels that they cut; `places` as of `to_screen`."""
    height, width = depth.shape[1:]
    view, edge, left = _outlines(places.detach(), mesh, edges)
    ends = places[view[:, None], edges.ends[edge]]  # [O, 2, 3]
    ahead = (ends[:, 1] - ends[:, 0]).detach()[:, :2].square()
    steepness = ahead / ahead.sum(1, keepdim=True)  # squares of the normal's y and x
    flat, depths = image.reshape(-1, image.shape[-1]), depth.reshape(-1)
    onto = flat
    for along in (1, 0):  # rows, then columns
        crossing = _crossings(ends, view, left, along, height, width)
        outline, before, after, part, object_before, z = crossing
        nearer_before = depths[before] <= depths[after]
        front, back = (torch.where(nearer_before == flag, before, after) for flag in (True, False))
        r = torch.where(nearer_before, part, 1 - part)
        # Seen: before what is behind, and no deeper behind what is in front than a ball's outline would be.
        deepest = depths[front] + z * (2 / height) ** 0.5
        seen = (object_before == nearer_before) & (z < depths[back]) & (z <= deepest)
        r, front, back, share = r[seen], front[seen], back[seen], steepness[outline[seen], along]
        # Of a bumpy surface's outlines between two pixels only the outermost is against what is behind.
        outermost = nearest(before[seen], 1 - r.detach(), len(depths))
        outermost = outermost[outermost >= 0]
        more, front, back = (share * (r - 0.5))[outermost], front[outermost], back[outermost]
        target, other = (torch.where((more > 0) == flag, back, front) for flag in (True, False))
        onto = onto.index_add(0, target, more.abs()[:, None] * (flat[other] - flat[target]))
    return onto.view(image.shape)


def _outlines(
    places: Float[Tensor, "B V 3"], mesh: Mesh, edges: Edges
) -> tuple[Int[Tensor, " O"], Int[Tensor, " O"], Float[Tensor, " O"]]:
    """View and number of every edge with its faces on one side of it, and which side that is.

    Told by the sign of the cross product of the edge and the way to that side.
    """
    corners = places[:, mesh.faces]
    x, y = (corners[:, :, 1:, :2] - corners[:, :, :1, :2]).unbind(-1)
    towards = x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0] < 0  # counter-clockwise, y being down
    first, second = towards[:, edges.faces[:, 0]], towards[:, edges.faces[:, 1]]
    ahead = (places[..., 2] > NEAR)[:, edges.ends].all(2)
    outline = ((first != second) | ~edges.inner) & ridges(mesh, edges) & ahead
    view, edge = outline.nonzero().unbind(1)
    # The face that is looked at is the one whose outline this is.
    opposite = torch.where(first[view, edge], edges.opposite[edge, 0], edges.opposite[edge, 1])
    a, b, c = (places[view, each, :2] for each in (*edges.ends[edge].unbind(1), opposite))
    ahead, side = b - a, c - a
    return view, edge, ahead[:, 0] * side[:, 1] - ahead[:, 1] * side[:, 0]


def _crossings(
    ends: Float[Tensor, "O 2 3"], view: Tensor, left: Tensor, along: int, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Where outlines meet the lines through the centres of rows (along = 1) or columns (along = 0).

    Returns the outline, the pixels before and after, how far it is from the one to the other, whether the
    object is before, and the depth.
    """
    across, limit, wide = 1 - along, (width, height)[along], (width, height)[1 - along]
    a, b = ends.unbind(1)
    with torch.no_grad():
        low, high = torch.stack([a[:, along], b[:, along]], 1).aminmax(dim=1)
        first = (low - 0.5).ceil().clamp(0, limit)
        count = ((high - 0.5).ceil().clamp(0, limit) - first).clamp(min=0).long()
        number = torch.repeat_interleave(count)
        rank = torch.arange(len(number), device=count.device) - (count.cumsum(0) - count)[number]
        line = first[number].long() + rank
    a, b = a[number], b[number]
    t = (line + 0.5 - a[:, along]) / (b - a)[:, along]
    place = a[:, across] + t * (b - a)[:, across] - 0.5
    with torch.no_grad():
        cell = place.floor().long()
        z = 1 / ((1 - t) / a[:, 2] + t / b[:, 2])
        # y being down, the object is before a steep line if cross * dy > 0, a flat one if cross * dx < 0.
        before = left[number] * (b - a)[:, along] * (1 if along else -1) > 0
        kept = ((cell >= 0) & (cell + 1 < wide)).nonzero()[:, 0]
        pixel = [cell, line] if along else [line, cell]
        start = ((view[number] * height + pixel[1]) * width + pixel[0])[kept]
    step = 1 if along else width
    return number[kept], start, start + step, (place - cell)[kept], before[kept], z[kept]
