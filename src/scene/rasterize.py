"""Triangles to pixels: which face a pixel's centre sees, where on it, and how far away.

Visibility is a whole number and has no gradient; where on its face a ray ends does (after Laine et al. 2020,
"Modular primitives for high-performance differentiable rendering", in plain torch).  What a moving outline
does to pixels is coverage's business (src/scene/coverage.py).

Places on the screen are (x, y, z): pixels from the left and from the top, and the distance along the optical
axis (world units).  A pixel is known by its number among batch * height * width.  B views, V vertices, F
faces, N pixels that see something.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.scene.cameras import Cameras
from src.scene.nearest import nearest

NEAR = 1e-2  # world units: faces that reach further towards the camera are left out
CANDIDATES = 2**22  # pairs of a face and a pixel looked at together, for memory's sake


class Fragments(NamedTuple):
    """What the pixels see; the weights carry the gradient to the screen's places."""

    pixel: Int[Tensor, " N"]
    face: Int[Tensor, " N"]
    weights: Float[Tensor, "N 3"]  # barycentric on the face in space, not on the screen
    depth: Float[Tensor, "B H W"]  # along the optical axis, inf where nothing is; without gradient


def to_screen(camera: Cameras, points: Float[Tensor, "V 3"]) -> Float[Tensor, "B V 3"]:
    """Places of points (world units) on each camera's screen."""
    right, up, backward, origin = camera.poses().unbind(-1)
    offset = points - origin[:, None]
    x, y, z = (torch.einsum("bvc,bc->bv", offset, axis) for axis in (right, up, -backward))
    scale = 0.5 * camera.height / (0.5 * camera.fov).tan()[:, None] / z
    return torch.stack([0.5 * camera.width + scale * x, 0.5 * camera.height - scale * y, z], -1)


def rasterize(
    places: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"], height: int, width: int
) -> Fragments:
    """The nearest face behind each pixel's centre, from both sides; of equally near ones the first.

    A centre on an edge belongs to both its faces, so a closed surface has no cracks.
    """
    batch = len(places)
    pixel, face, depth = _visible(places.detach(), faces, height, width)
    view = pixel // (height * width)
    corners = places.view(-1, 3)[(view * places.shape[1])[:, None] + faces[face]]
    return Fragments(
        pixel, face, _weights(corners, _centres(pixel, height, width))[0], depth.view(batch, height, width)
    )


def interpolate(
    fragments: Fragments, faces: Int[Tensor, "F 3"], values: Float[Tensor, "V C"]
) -> Float[Tensor, "N C"]:
    """What vertices carry, where each pixel's ray ends."""
    return (fragments.weights[..., None] * values[faces[fragments.face]]).sum(1)


def picture(
    fragments: Fragments, seen: Float[Tensor, "N C"], behind: Float[Tensor, "B H W C"]
) -> Float[Tensor, "B H W C"]:
    """Fragments' values in front of what is behind them."""
    return behind.reshape(-1, behind.shape[-1]).index_copy(0, fragments.pixel, seen).view(behind.shape)


def _centres(pixel: Int[Tensor, " N"], height: int, width: int) -> Int[Tensor, "N 2"]:
    """Column and row."""
    return torch.stack([pixel % width, pixel // width % height], 1)


def _weights(corners: Float[Tensor, "N 3 3"], cell: Int[Tensor, "N 2"]) -> tuple[Tensor, Tensor]:
    """Barycentric weights in space of what lies behind a pixel's centre, and its depth.

    On the screen weight i is the area e_i of the triangle that the centre makes with the two other corners;
    in space, since 1 / z is linear on the screen, it is e_i / z_i over the sum of these.  Swapping an edge's
    ends changes nothing but a sign, so two faces agree on which side of their edge a centre lies.
    """
    x, y = (corners[..., :2] - (cell + 0.5)[:, None]).unbind(-1)
    z = corners[..., 2]
    area = x.roll(-1, 1) * y.roll(-2, 1) - x.roll(-2, 1) * y.roll(-1, 1)
    over_depth = area / z
    total = over_depth.sum(1, keepdim=True)
    return over_depth / total, area.sum(1) / total[:, 0]


@torch.no_grad()
def _visible(
    places: Float[Tensor, "B V 3"], faces: Int[Tensor, "F 3"], height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels that see a face, that face, and the depth [B * H * W] of all pixels."""
    batch, size = len(places), places.new_tensor([width, height])
    corners = places[:, faces].view(-1, 3, 3)  # face f of view b is number b F + f
    # The centres in a triangle's box: first and number, along x and along y.
    first = (corners[..., :2].amin(1) - 0.5).ceil().clamp(min=0).minimum(size)
    count = ((corners[..., :2].amax(1) - 0.5).floor().minimum(size - 1) + 1 - first).clamp(min=0).long()
    count *= (corners[..., 2].amin(1) > NEAR)[:, None]
    first = first.long()
    through = count.prod(1).cumsum(0).cpu()  # the one wait: how much memory it takes
    found = []
    start, done = 0, 0
    while start < len(through) and done < int(through[-1]):
        stop = int(torch.searchsorted(through, done + CANDIDATES, right=True))
        stop = min(max(stop, start + 1), len(through))
        found.append(
            _covered(
                corners,
                first,
                count,
                slice(start, stop),
                int(through[stop - 1]) - done,
                (height, width, len(faces)),
            )
        )
        start, done = stop, int(through[stop - 1])
    if not found:
        none = faces.new_empty(0)
        return none, none, places.new_full((batch * height * width,), torch.inf)
    pixel, number, depth = (torch.cat(parts) for parts in zip(*found, strict=True))
    winner = nearest(pixel, depth, batch * height * width)
    seen = (winner >= 0).nonzero()[:, 0]
    winner = winner[seen]
    depths = depth.new_full((batch * height * width,), torch.inf).index_copy(0, seen, depth[winner])
    return seen, number[winner] % len(faces), depths


def _covered(
    corners: Tensor, first: Tensor, count: Tensor, some: slice, total: int, shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixel, triangle and depth of every centre that lies in one of these triangles."""
    height, width, faces = shape
    area = count[some].prod(1)
    local = torch.repeat_interleave(area, output_size=total)
    rank = torch.arange(total, device=area.device) - (area.cumsum(0) - area)[local]
    number = local + some.start
    wide = count[number, 0]
    cell = first[number] + torch.stack([rank % wide, rank // wide], 1)
    weights, depth = _weights(corners[number], cell)
    # Not a number, hence nowhere, for triangles that have no area on the screen.
    inside = (weights >= 0).all(1).nonzero()[:, 0]
    cell, number = cell[inside], number[inside]
    pixel = (number // faces * height + cell[:, 1]) * width + cell[:, 0]
    return pixel, number, depth[inside]
