"""A rough shape from a file, that a scene is to keep to: Latent-NeRF's Sketch-Shape (Metzer et al. 2022).

The file is asked once: signed distances on a lattice answer ever after.  Inside and outside are told by
winding numbers, so that a sketch may consist of parts that run into each other, and have small holes.
"""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from src.arguments import typed_path
from src.errors import UserError
from src.scene.lattice import Lattice
from src.scene.regularizers import QUOTED_FOR

Y_UP = (".glb", ".obj")  # as src/export/mesh.py writes them
ENDINGS = (*Y_UP, ".ply", ".stl")
CELLS = 48  # of the lattice that keeps the distances
SCATTERED = 100_000  # points of the surface that distances are measured to
POINTS = 4096  # of the cube, drawn anew at every step
LARGEST = 0.875  # of the field: a sketch that reached beyond it would be cut off
THICKNESS = 0.2  # world units: what is asked for is the opacity of so much of the density
CLAMP = 0.01  # of an opacity, below which wanting more of it pulls no harder


@dataclass
class SketchConfig:
    """The file, and how strictly it holds; Latent-NeRF's own slack of 0.3 lets thin parts go.

    The shape is put in the middle, its farthest point at `radius` (world units), or at LARGEST of the field's
    where that is less.  Within about `slack` of its surface it says little, and a NeRF is free.  `weight` is
    quoted as those of the regularisers are.
    """

    mesh: str | None = None  # .glb or .obj with y up, .ply or .stl with z up
    weight: float = 100_000.0
    slack: float = 0.1
    radius: float = 0.7

    def __post_init__(self) -> None:
        for name in ("weight", "slack", "radius"):
            value = getattr(self, name)
            if not value > 0:
                raise UserError(f"sketch.{name}={value} is out of range: choose more than 0")
        if self.mesh is None:
            return
        self.mesh = typed_path(self.mesh, "sketch.mesh")
        path = Path(self.mesh)
        if path.suffix.lower() not in ENDINGS:
            raise UserError(f"sketch.mesh={path} has no ending that we know: choose {', '.join(ENDINGS)}")
        if missing := [name for name in ("scipy", "trimesh") if not find_spec(name)]:
            raise UserError(
                f"sketch.mesh needs {missing[0]}, which is not installed: pip install -e '.[mesh]'"
            )


def enclosed(lattice: Lattice, triangles: Float[Tensor, "F 3 3"]) -> Bool[Tensor, " V"]:
    """Which vertices the triangles wind around, as at least two of the three axes see it.

    Along an axis the winding number of a point is the sum over the triangles beyond it of +1 where they look
    along the axis and -1 where they look back.  A hole misleads the lines through it, but hardly two axes.
    """
    size = lattice.cells + 1
    votes = torch.zeros(size, size, size, dtype=torch.int64)  # by z, y, x
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        winding = _along(lattice, triangles[..., [u, v, axis]])  # by their places along u, v, axis
        votes += (winding > 0).long().permute(*((2 - each - axis) % 3 for each in (1, 2, 3)))
    return votes.view(-1) >= 2


def _along(lattice: Lattice, triangles: Float[Tensor, "F 3 3"]) -> Int[Tensor, "n n n"]:
    """Winding numbers by lines along the third axis, at the lattice's places along each."""
    size = lattice.cells + 1
    # Lines a little beside the lattice's own do not meet the corners and edges of what stands straight.
    beside = lattice.cell * triangles.new_tensor([1e-3 * math.sqrt(2), 1e-3 * math.sqrt(3)])
    corners = (triangles[..., :2] - beside + lattice.radius) / lattice.cell  # in cells
    low = corners.amin(1).ceil().long().clamp(min=0)
    counts = (corners.amax(1).floor().long().clamp(max=lattice.cells) - low + 1).clamp(min=0)
    total = counts.prod(1)
    face = torch.arange(len(triangles)).repeat_interleave(total)
    rank = torch.arange(len(face)) - (total.cumsum(0) - total)[face]
    line = low[face] + torch.stack([rank // counts[face, 1], rank % counts[face, 1]], 1)
    a, b, c = (corners[face] - line[:, None]).unbind(1)

    def cross(one: Tensor, other: Tensor) -> Tensor:
        return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]

    shares = torch.stack([cross(b, c), cross(c, a), cross(a, b)], 1)
    area = shares.sum(1)
    hit = ((shares > 0).all(1) & (area > 0)) | ((shares < 0).all(1) & (area < 0))
    line, shares, area, face = line[hit], shares[hit], area[hit], face[hit]
    height = (shares * triangles[face][..., 2]).sum(1) / area
    below = ((height + lattice.radius) / lattice.cell).ceil().long().clamp(0, size)  # places lower than it
    steps = torch.zeros(size, size, size + 1, dtype=torch.int64)
    steps.index_put_((line[:, 0], line[:, 1], below), area.sign().long(), accumulate=True)
    return steps.flip(2).cumsum(2).flip(2)[..., 1:]


class Sketch:
    """Signed distances from the shape in a file, anywhere in the cube of half-size `radius`."""

    def __init__(self, cfg: SketchConfig, radius: float, device: torch.device) -> None:
        """Raises UserError where the file cannot be read, or nothing of the lattice lies inside."""
        self.cfg, self.radius = cfg, radius
        triangles = _triangles(cfg, min(cfg.radius, LARGEST * radius))
        lattice = Lattice(CELLS, radius)
        inside = enclosed(lattice, triangles)
        if not inside.any():
            raise UserError(
                f"sketch.mesh={cfg.mesh} encloses nothing: its triangles must be closed enough to have an "
                "inside, and look outwards"
            )
        distance = _distance(triangles, lattice.vertices) * torch.where(inside, -1, 1)
        self._distance = distance.view(1, 1, *(CELLS + 1,) * 3).to(device)

    def signed_distance(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """World units, negative inside; between the lattice's vertices linear along each axis."""
        place = (points / self.radius)[None, None, None]
        found = functional.grid_sample(self._distance, place, padding_mode="border", align_corners=True)
        return found[0, 0, 0, 0]

    def penalty(
        self, density: Float[Tensor, " n"], points: Float[Tensor, "n 3"], latents_numel: int
    ) -> Float[Tensor, ""]:
        """Mean over the points of u CE(o, inside), with o = 1 - exp(-THICKNESS density) and
        u = 1 - exp(-distance^2 / (2 slack^2)): free near the surface, strict far from it.
        """
        distance = self.signed_distance(points)
        strictness = 1 - (-distance.square() / (2 * self.cfg.slack**2)).exp()
        amount = THICKNESS * density  # -log(1 - o)
        filled = -(-torch.expm1(-amount)).clamp(min=CLAMP).log()
        wrong = torch.where(distance < 0, filled, amount)
        return self.cfg.weight * (strictness * wrong).mean() * (latents_numel / QUOTED_FOR)


def _triangles(cfg: SketchConfig, radius: float) -> Float[Tensor, "F 3 3"]:
    """A file's triangles, z up, in their place; raises UserError for a file that holds none."""
    import trimesh

    path = Path(str(cfg.mesh))
    try:
        corners = np.asarray(trimesh.load_mesh(path, process=False).triangles, dtype=np.float64)
    except Exception as error:  # a broken file breaks its reader in any way it likes
        raise UserError(f"sketch.mesh={path} cannot be read ({error}): give a mesh of triangles") from error
    if not len(corners) or not np.isfinite(corners).all():
        raise UserError(f"sketch.mesh={path} holds no triangles that can be used: give a mesh of triangles")
    if path.suffix.lower() in Y_UP:
        corners = corners[..., [2, 0, 1]]
    low, high = corners.min((0, 1)), corners.max((0, 1))
    corners = corners - (low + high) / 2
    reach = np.linalg.norm(corners, axis=-1).max()
    if not reach > 0:
        raise UserError(f"sketch.mesh={path} is a single point: give a mesh of triangles")
    return torch.from_numpy(corners * (radius / reach))


def _distance(triangles: Float[Tensor, "F 3 3"], points: Float[Tensor, "V 3"]) -> Float[Tensor, " V"]:
    """How far each point is from the nearest of many places spread evenly over the surface."""
    from scipy.spatial import KDTree

    area = torch.linalg.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]).norm(
        dim=1
    )
    # Low-discrepancy numbers (Roberts 2018): the same points every time, and evener than random ones.
    steps = torch.arange(1, SCATTERED + 1, dtype=torch.float64)[:, None]
    u, v, w = (steps * torch.tensor([0.8191725, 0.6710436, 0.5497005], dtype=torch.float64) % 1).unbind(1)
    face = torch.searchsorted(area.cumsum(0), u * area.sum()).clamp(max=len(area) - 1)
    root = v.sqrt()
    weights = torch.stack([1 - root, root * (1 - w), root * w], 1)
    places = (weights[..., None] * triangles[face]).sum(1)
    found, _ = KDTree(places.numpy()).query(points.double().numpy())
    return torch.from_numpy(found).to(points)
