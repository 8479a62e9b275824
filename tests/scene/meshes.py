"""Meshes whose areas and outlines are known, and cameras to see them; float64 throughout."""

import math

import torch
from torch import Tensor

from src.scene.cameras import Cameras
from src.scene.coverage import antialias
from src.scene.lattice import Lattice, surface
from src.scene.mesh import Mesh, edges
from src.scene.rasterize import picture, rasterize, to_screen


def lattice(cells: int, radius: float = 1.0) -> Lattice:
    """A 64-bit lattice: vertices are exact before they are rounded, so a cast alone is not enough."""
    made = Lattice(cells, radius).double()
    axis = torch.linspace(-radius, radius, cells + 1, dtype=torch.float64)
    made.vertices = torch.cartesian_prod(axis, axis, axis).flip(1).contiguous()
    return made


def ball(radius: float | Tensor, cells: int = 24, half: float = 1.0) -> Mesh:
    """A ball's surface on a lattice; its gradient, if it has one, reaches the radius."""
    grid = lattice(cells, half)
    return surface(grid, grid.vertices.norm(dim=1) - radius)


def camera(
    azimuth: float, elevation: float = 0.0, distance: float = 1.5, fov: float = 50.0, size: int = 64
) -> Cameras:
    """One camera; angles in degrees."""
    one = torch.tensor([[elevation, azimuth, distance, fov]], dtype=torch.float64).unbind(1)
    return Cameras(one[0].deg2rad(), one[1].deg2rad(), one[2], one[3].deg2rad(), size, size)


def shown(mesh: Mesh, where: Cameras, color: Tensor | None = None, behind: float = 0.0) -> Tensor:
    """Antialiased picture [H, W, C] of a mesh with a colour [C] (white), before a grey."""
    color = torch.ones(1, dtype=torch.float64) if color is None else color
    places = to_screen(where, mesh.vertices)
    seen = rasterize(places, mesh.faces, where.height, where.width)
    ground = torch.full((1, where.height, where.width, len(color)), behind, dtype=torch.float64)
    plain = picture(seen, color.expand(len(seen.pixel), -1), ground)
    return antialias(plain, seen.depth, places, mesh, edges(mesh))[0]


def disc_area(radius: float, where: Cameras) -> tuple[float, float]:
    """Pixels that a ball at the origin covers, and how many more per unit of radius, in closed form.

    Its outline is a circle of the tangent r / sqrt(d^2 - r^2).
    """
    distance = float(where.distance)
    focal = 0.5 * where.height / math.tan(0.5 * float(where.fov))
    squared = distance**2 - radius**2
    return math.pi * focal**2 * radius**2 / squared, math.pi * focal**2 * 2 * radius * (
        distance / squared
    ) ** 2
