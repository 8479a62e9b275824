"""Pictures of a mesh: the same maps as of a volume (src/scene/rendering.py), from triangles.

A mesh is a signed distance on a lattice whose vertices may move (Shen et al. 2021, "Deep marching
tetrahedra"), and what it looks like is asked for at its points.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from src.errors import UserError
from src.scene.background import Background
from src.scene.cameras import Cameras
from src.scene.coverage import antialias
from src.scene.field import FieldConfig, dense_layer
from src.scene.hash_grid import HashGrid
from src.scene.lattice import Lattice, surface
from src.scene.mesh import Edges, Mesh, vertex_normals
from src.scene.rasterize import interpolate, picture, rasterize, to_screen
from src.scene.rendering import Rendering
from src.scene.skin import Skin
from src.streams import Streams

OVERSAMPLE = 2  # pixels of the rasteriser along a pixel's edge: outlines thinner than one are lost


class Shows(StrEnum):
    """What a mesh shows the prior, and thereby what of it learns."""

    texture = "texture"  # its colours: surface and texture
    normals = "normals"  # its normals as colours, before black: the surface alone
    material = "material"  # a physical material in daylight: surface and material


@dataclass
class MeshConfig:
    """The lattice and what keeps its surface smooth (closest public config: threestudio's magic3d-refine-sd).

    `cells` along the cube's edge; their grid of "128" has as many vertices as 64.  Weights as those of the
    regularisers (src/scene/regularizers.py).  A mesh begins from a run (source=RUN) or as a ball with a
    radius of `ball` (world units).  In the first `latent_steps` steps normals and mask are themselves what
    the prior takes for latents (Fantasia3D, Chen et al. 2023, section 3.2).  What pulls at a vertex of the
    lattice pulls at those within `spread` cells as well, the less the farther.  With `network` what is
    learnt are no numbers of the lattice's but a hash grid and a network (field.hash_grid, field.hidden), as
    in Fantasia3D; optimizer.lr_surface then is theirs.
    """

    cells: int = 64
    normal_consistency: float = 10_000.0
    laplacian: float = 0.0
    shows: Shows = field(default=Shows.texture, metadata={"later": True})
    ball: float | None = field(default=None, metadata={"later": True})
    latent_steps: int = field(default=0, metadata={"later": True})
    spread: int = field(default=0, metadata={"later": True})
    network: bool = field(default=False, metadata={"later": True})

    def __post_init__(self) -> None:
        if not 4 <= self.cells <= 256:
            raise UserError(f"mesh.cells={self.cells} is out of range: choose 4 to 256")
        if not 0 <= self.spread <= 16:
            raise UserError(f"mesh.spread={self.spread} is out of range: choose 0 to 16 cells")
        for name in ("normal_consistency", "laplacian", "latent_steps"):
            if not getattr(self, name) >= 0:
                raise UserError(f"mesh.{name}={getattr(self, name)} must be a number not below 0.")
        if self.ball is not None and not self.ball > 0:
            raise UserError(f"mesh.ball={self.ball} must be greater than 0: it is the radius to begin with")


class SurfaceNetwork(nn.Module):
    """What a hash grid and a small head add to distances and displacements (Chen et al. 2023, section 3.2).

    What pulls at one place moves all that its cells of the grid reach, and the coarse ones reach far: so a
    ball grows limbs, where numbers of their own grow spines.
    """

    def __init__(self, cfg: FieldConfig, streams: Streams) -> None:
        super().__init__()
        self.radius = cfg.radius
        self.encoding = HashGrid(cfg.hash_grid, streams)
        self.hidden = dense_layer(cfg.hidden, self.encoding.output_size, "surface_hidden", streams)
        self.out = dense_layer(4, cfg.hidden, "surface_out", streams)

    def forward(self, points: Float[Tensor, "V 3"]) -> tuple[Float[Tensor, " V"], Float[Tensor, "V 3"]]:
        """Distances (world units) and displacements, near 0 at first."""
        encoded = self.encoding(points / (2 * self.radius) + 0.5)
        found = functional.linear(functional.linear(encoded, self.hidden).relu(), self.out)
        return found[:, 0], found[:, 1:]


class Surface(nn.Module):
    """A signed distance and a displacement at every vertex of a lattice, both in cells.

    In cells, so that a learning rate means the same on every lattice: of 0.01, a hundredth of one a step.
    A ball of the radius `ball` (world units; default: half the cube's half-size) until told otherwise.  With
    a network, the numbers stay what they are and the network's are added.
    """

    def __init__(
        self,
        cells: int,
        radius: float,
        ball: float | None = None,
        spread: int = 0,
        network: SurfaceNetwork | None = None,
    ) -> None:
        super().__init__()
        self.lattice, self.spread, self.network = Lattice(cells, radius), spread, network
        distance = self.lattice.vertices.norm(dim=1) - (0.5 * radius if ball is None else ball)
        own = network is None
        self.distance = nn.Parameter(distance / self.lattice.cell, requires_grad=own)
        self.shift = nn.Parameter(torch.zeros_like(self.lattice.vertices), requires_grad=own)

    def values(self) -> tuple[Float[Tensor, " V"], Float[Tensor, "V 3"]]:
        """Distances and displacements; of the latter a vertex follows half a cell's hyperbolic tangent."""
        if self.network is None:
            return self._together(self.distance), self.shift
        distance, shift = self.network(self.lattice.vertices)
        return self.distance + distance / self.lattice.cell, self.shift + shift

    def mesh(self) -> Mesh:
        """The surface; the lattice's vertices move by less than half a cell each way."""
        cell, (distance, shift) = self.lattice.cell, self.values()
        moved = self.lattice.vertices + 0.5 * cell * shift.tanh()
        return surface(self.lattice, self.lattice.closed(cell * distance), moved)

    def _together(self, values: Float[Tensor, " V"]) -> Float[Tensor, " V"]:
        """The same values, but their gradient is blurred, `spread` times over a vertex's 26 neighbours.

        Only vertices beside the surface have a gradient: without this, each finds its own way and a ball
        grows spines.  (Nicolet et al. 2021, "Large steps in inverse rendering", do so on the surface.)
        """
        still = values.detach()
        moving = (values - still).view(1, 1, *(self.lattice.cells + 1,) * 3)  # 0, with a gradient
        for _ in range(self.spread):
            moving = functional.avg_pool3d(moving, 3, stride=1, padding=1)
        return still + moving.view(-1)


def render_mesh(
    mesh: Mesh,
    edges: Edges,
    skin: Skin,
    background: Background | None,
    camera: Cameras,
    draw: Streams | None,
    radius: float,
) -> Rendering:
    """Picture of a mesh in front of the background (None: black) from each camera; `draw` None is evaluation.

    Everything has been seen with OVERSAMPLE times the resolution, with its outlines' coverage, and averaged.
    What passes by ends at the back of the sphere of this radius (world units).
    """
    batch, height, width = len(camera.azimuth), camera.height, camera.width
    large = camera._replace(height=OVERSAMPLE * height, width=OVERSAMPLE * width)
    places = to_screen(large, mesh.vertices)
    seen = rasterize(places, mesh.faces, large.height, large.width)
    points = interpolate(seen, mesh.faces, mesh.vertices)
    view = seen.pixel // (large.height * large.width)
    normal = functional.normalize(interpolate(seen, mesh.faces, vertex_normals(mesh)), dim=1, eps=1e-6)
    along = points - camera.poses()[view, :, 3]
    distance = along.norm(dim=1, keepdim=True).detach()
    color = skin(points, normal, along / distance, view)
    maps = torch.cat([color, torch.ones_like(distance), distance], 1)
    nothing = maps.new_zeros(batch, large.height, large.width, maps.shape[1])
    image = antialias(picture(seen, maps, nothing), seen.depth, places, mesh, edges)
    pooled = functional.avg_pool2d(image.permute(0, 3, 1, 2), OVERSAMPLE)
    foreground, opacity, distances = pooled.split([color.shape[1], 1, 1], 1)
    shown = foreground
    if background is not None:
        shown = foreground + (1 - opacity) * _behind(background, camera, draw)
    far = (camera.distance + radius).view(-1, 1, 1, 1)
    depth = distances + (1 - opacity) * far
    none = torch.zeros_like(opacity)
    return Rendering(shown, opacity, depth, none, foreground, none)


def mesh_normals(mesh: Mesh, camera: Cameras) -> Float[Tensor, "B 3 H W"]:
    """Unit normals of what is seen, in each camera's axes (right, up, towards it); 0 where nothing is."""
    seen = rasterize(to_screen(camera, mesh.vertices), mesh.faces, camera.height, camera.width)
    normal = functional.normalize(interpolate(seen, mesh.faces, vertex_normals(mesh)), dim=1, eps=1e-6)
    axes = camera.poses()[seen.pixel // (camera.height * camera.width), :, :3]
    own = torch.einsum("nc,nca->na", normal, axes)
    nothing = own.new_zeros(len(camera.azimuth), camera.height, camera.width, 3)
    return picture(seen, own, nothing).permute(0, 3, 1, 2)


def _behind(background: Background, camera: Cameras, draw: Streams | None) -> Float[Tensor, "B C H W"]:
    """What is behind, along each pixel's own ray; solid colours as in a volume's picture."""
    directions = camera.rays().directions
    behind = background(directions.reshape(-1, 3)).view(*directions.shape[:3], -1).permute(0, 3, 1, 2)
    solid = background.draw(len(directions), None if draw is None else draw("background"))
    if solid is None:
        return behind
    return torch.where(solid.chosen[:, None, None, None], solid.color[:, :, None, None], behind)
