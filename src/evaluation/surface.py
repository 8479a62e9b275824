"""From maps to space and back: surface points behind pixels, the pixels of points, and the visual hull.

Pixel places are in [-1, 1], x to the right and y down, as `torch.nn.functional.grid_sample` has them with
`align_corners=False`.  N cameras, P points, n cells along an edge.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from src.evaluation.views import Views
from src.scene.cameras import Cameras

OPAQUE = 0.5  # a ray ends in the object where its opacity is at least this
CELLS = 40  # along an edge of the hull's cube: a cell is about as wide as two pixels


def reach(camera: Cameras) -> float:
    """Half-size of the cube that pictures show at the object's distance (world units)."""
    return float(camera.distance[0] * (0.5 * camera.fov[0]).tan())


def pixel_width(camera: Cameras) -> float:
    """Width of a pixel at the object's distance (world units)."""
    return 2 * reach(camera) / camera.height


def project(
    camera: Cameras, points: Float[Tensor, "N P 3"]
) -> tuple[Float[Tensor, "N P 2"], Float[Tensor, "N P"]]:
    """Where each camera sees its points, and how far away (along the ray; world units)."""
    right, up, backward, origin = camera.poses().unbind(-1)
    offset = points - origin[:, None]
    x, y, z = (torch.einsum("npc,nc->np", offset, axis) for axis in (right, up, -backward))
    scale = 1 / ((0.5 * camera.fov).tan()[:, None] * z.clamp(min=1e-6))
    return torch.stack([x * scale * camera.height / camera.width, -y * scale], -1), offset.norm(dim=-1)


def endpoints(views: Views) -> Float[Tensor, "N H W 3"]:
    """Where in space each pixel's ray ends on average, if it ends in the object at all."""
    rays = views.camera.rays()
    return rays.origins + rays.directions * views.depth[:, 0, :, :, None]


def silhouettes(views: Views) -> Bool[Tensor, "N 1 H W"]:
    """Which rays end in the object."""
    return views.opacity >= OPAQUE


def points(views: Views) -> Float[Tensor, "P 3"]:
    """The surface as all the views together see it, pixel by pixel; empty if nothing is opaque."""
    return endpoints(views)[silhouettes(views)[:, 0]]


def thinned(cloud: Float[Tensor, "P 3"], cell: float) -> Float[Tensor, "Q 3"]:
    """The first point of every cubic cell that holds any: even coverage, however often a place was seen.

    A cloud thinned to cells of a multiple of `cell` is a subset of this one.
    """
    corner = (cloud / cell).floor().long() + 2**20
    _, where = (corner @ torch.tensor([1, 2**21, 2**42])).unique(return_inverse=True)
    first = torch.full((int(where.max()) + 1 if len(cloud) else 0,), len(cloud))
    return cloud[first.scatter_reduce(0, where, torch.arange(len(cloud)), "amin")]


def thinness(views: Views) -> float:
    """Least over largest horizontal standard deviation of the surface; 1 if round, or without a surface."""
    cloud = thinned(points(views), pixel_width(views.camera))[:, :2]
    if len(cloud) < 3:
        return 1.0
    variance = torch.linalg.eigvalsh(torch.cov(cloud.T)).clamp(min=1e-12)
    return float((variance[0] / variance[1]).sqrt())


def hull_points(camera: Cameras) -> Float[Tensor, "cells 3"]:
    """Centres of the hull's cells, x fastest and z slowest."""
    axis = ((torch.arange(CELLS) + 0.5) / CELLS * 2 - 1) * reach(camera)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([x, y, z], -1).view(-1, 3)


def hull(views: Views) -> Float[Tensor, "n n n"]:
    """The visual hull (Laurentini 1994): of every cell (z, y, x) the least opacity that any view shows there.

    It is what silhouettes tell of a solid: cavities that no outline shows are filled, and so is the inside.
    """
    least, cells = torch.ones(CELLS**3), hull_points(views.camera)
    alive = torch.arange(CELLS**3)
    for i in range(len(views.opacity)):
        places, _ = project(views.camera.one(i), cells[alive][None])
        seen = functional.grid_sample(views.opacity[i : i + 1], places[:, None], align_corners=False)
        least[alive] = torch.minimum(least[alive], seen.view(-1))
        alive = alive[least[alive] > 0]  # what one view has carved away needs no other
    return least.view(CELLS, CELLS, CELLS)
