"""From a field to closed triangles: where the surface of a soft density lies is read off rendered views.

A distilled density has no surface of its own: it rises over a tenth of the object, to a different height in
every run.  What has one is the picture, where a ray ends in the object or does not.  So the level is that
whose outlines agree best with the rendered silhouettes.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from skimage.measure import marching_cubes
from torch import Tensor
from torch.nn import functional
from trimesh import Trimesh
from trimesh.graph import connected_component_labels

from src.errors import UserError
from src.evaluation.failures import EMPTY, FLOATERS
from src.evaluation.surface import OPAQUE, project, silhouettes
from src.evaluation.views import Views
from src.export.texture import rasterise
from src.model import MeshModel, Model
from src.scene.cameras import Cameras

# Both are shares of the radius.  Density as such is a poor measure of where rays end: thick haze stops them
# and a thin dense wisp does not.  Of the thicknesses and blurs tried on a dozen bench runs these had the best
# outlines: an IoU of 0.94 to 0.99, where bare density had 0.92 to 0.99.
WALL = 1 / 6
BLUR = 1 / 50
POINTS = 2**18  # evaluated together


@torch.no_grad()
def wall_opacity(model: Model, resolution: int) -> Float[Tensor, "n n n"]:
    """What a wall of the local density would stop of a ray, 1 - exp(-density * thickness), slightly blurred.

    Values in [0, 1] on a grid over the field's cube, x first; 0 wherever the renderer does not look.
    """
    radius = model.field.radius
    axis = torch.linspace(-radius, radius, resolution, device=model.occupancy.bits.device)
    density = torch.cat(
        [
            model.field.density(points) * (model.occupancy.occupied(points) & (points.norm(dim=-1) <= radius))
            for points in torch.cartesian_prod(axis, axis, axis).split(POINTS)
        ]
    )
    opacity = -torch.expm1(-density * WALL * radius).view(resolution, resolution, resolution)
    cells = BLUR * radius / float(axis[1] - axis[0])
    return torch.from_numpy(ndimage.gaussian_filter(opacity.cpu().numpy(), cells, mode="constant"))


def peaks(volume: Float[Tensor, "n n n"], radius: float, camera: Cameras) -> Float[Tensor, "N H W"]:
    """The largest value of a volume (x first, over the cube) that each ray meets; two looks a cell."""
    looks = 2 * len(volume)
    along = torch.linspace(-radius, radius, looks)[:, None, None, None]
    found = []
    for i in range(len(camera.azimuth)):
        here = camera.one(i)
        rays = here.rays()
        points = rays.origins + rays.directions * (here.distance + along)
        # grid_sample's own order is z, y, x, so the axes are named from the last.
        place = (points / radius).flip(-1)[None]
        found.append(functional.grid_sample(volume[None, None], place, align_corners=True)[0, 0].amax(0))
    return torch.stack(found)


def best_level(peak: Float[Tensor, "*pixels"], inside: Bool[Tensor, "*pixels"]) -> float:
    """The threshold of the peaks whose mask has the largest intersection over union with the one given.

    A ray meets the surface {value = level} exactly where its peak exceeds the level, so no mesh is needed to
    compare all levels.  They lie half-way between neighbouring peaks.
    """
    descending, order = peak.flatten().sort(descending=True)
    both = inside.flatten()[order].cumsum(0)
    either = torch.arange(1, len(both) + 1) + inside.sum() - both
    best = int((both / either).argmax())
    return float(descending[best : best + 2].mean())


def levelled(model: Model, views: Views, resolution: int) -> tuple[Float[Tensor, "n n n"], float]:
    """The volume of `wall_opacity`, and the level at which it has the surface that the views show.

    Raises UserError where they show none.
    """
    inside = silhouettes(views)[:, 0]
    share = float(inside.float().mean())
    if share < EMPTY:
        raise UserError(
            f"there is no surface to take: only {share:.1%} of all rays end in the object, having met an "
            f"opacity of {OPAQUE:g}, and the largest that any meets is {views.opacity.max():.2g}: look "
            "at the run's turntable, and train longer or with another seed"
        )
    volume = wall_opacity(model, resolution)
    return volume, best_level(peaks(volume, model.field.radius, views.camera), inside)


def extract(model: Model, views: Views, resolution: int, faces: int, whole: bool = False) -> Trimesh:
    """The surface that the views show, in world units, of at most `faces` triangles (0: of all).

    With `whole` every edge lies between two triangles, at the cost of detail where decimation cannot do it.
    Raises UserError where they show none, and where so few triangles bound nothing.
    """
    volume, level = levelled(model, views, resolution)
    mesh = simplified(closed(volume, level, model.field.radius), faces)
    if whole and open_edges(mesh):
        mesh = coarser(volume, level, model.field.radius, faces)
    return mesh


def own(model: MeshModel, faces: int) -> Trimesh:
    """The triangles that a run of a mesh was trained as, of at most `faces` (0: all).

    Raises UserError if it has none.
    """
    mesh = model.surface.mesh()
    if not len(mesh.faces):
        raise UserError("there is no surface to take: the run's mesh is empty")
    made = Trimesh(mesh.vertices.detach().cpu().numpy(), mesh.faces.cpu().numpy(), process=False)
    return simplified(made, faces)


def simplified(mesh: Trimesh, faces: int) -> Trimesh:
    """The same surface with at most so many triangles (0: all); UserError where so few bound nothing."""
    if faces and len(mesh.faces) > faces:
        mesh = mesh.simplify_quadric_decimation(face_count=faces)
        mesh.update_faces(mesh.nondegenerate_faces())
        mesh.remove_unreferenced_vertices()
    if len(mesh.faces) < 4:
        raise UserError(f"faces={faces} bounds no solid here: choose more, or faces=0 for every triangle")
    return mesh


def open_edges(mesh: Trimesh) -> int:
    """How many edges do not lie between exactly two triangles; a closed surface has none."""
    _, count = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
    return int((count != 2).sum())


def coarser(volume: Float[Tensor, "n n n"], level: float, radius: float, faces: int) -> Trimesh:
    """The closed surface on the finest grid that needs at most `faces` triangles (0: any number).

    Quadric decimation may pinch thin parts, so that three triangles share an edge; marching cubes never do.
    """
    size = len(volume)
    while True:
        grid = functional.interpolate(volume[None, None], (size,) * 3, mode="trilinear", align_corners=True)[
            0, 0
        ]
        if float(grid.max()) <= level:
            raise UserError(f"faces={faces} is too few for a closed surface here: choose more")
        mesh = closed(grid, level, radius)
        mesh.merge_vertices()
        mesh.update_faces(mesh.nondegenerate_faces())
        mesh.remove_unreferenced_vertices()
        if (not faces or len(mesh.faces) <= faces) and not open_edges(mesh):
            return mesh
        # Triangles grow with the square of the grid's side.
        wanted = size * (faces / len(mesh.faces)) ** 0.5 if faces else size - 1
        size = min(size - 1, int(wanted))
        if size < 8:
            raise UserError(f"faces={faces} is too few for a closed surface here: choose more")


def closed(values: Float[Tensor, "n n n"], level: float, radius: float) -> Trimesh:
    """Marching cubes (Lorensen & Cline 1987) of a volume over the cube, without crumbs and cavities.

    Kept is every piece with at least FLOATERS of the largest one's surface: by volume, thin arms and tails
    would go.  The walls of cavities, which nobody sees, are known by their negative volume.
    """
    spacing = 2 * radius / (len(values) - 1)
    # A border of nothing closes what the cube cuts off.
    padded = np.pad(values.numpy(), 1)
    vertices, faces, _, _ = marching_cubes(padded, level, spacing=(spacing,) * 3, gradient_direction="ascent")
    mesh = Trimesh(vertices - spacing - radius, faces, process=False)
    piece = connected_component_labels(mesh.face_adjacency, node_count=len(mesh.faces))
    corners = mesh.triangles
    volume = np.bincount(piece, np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])))
    area = np.bincount(piece, mesh.area_faces) * (volume > 0)
    mesh.update_faces((area >= FLOATERS * area.max())[piece])
    mesh.remove_unreferenced_vertices()
    return mesh


def agreement(mesh: Trimesh, views: Views) -> float:
    """Intersection over union of the mesh's silhouettes with the rendered ones, over all views."""
    inside = silhouettes(views)[:, 0].numpy()
    vertices = torch.from_numpy(np.asarray(mesh.vertices, dtype=np.float32))
    outline = np.zeros_like(inside)
    for i, mask in enumerate(outline):
        place, _ = project(views.camera.one(i), vertices[None])
        pixels = (place[0].numpy() + 1) / 2 * len(mask)
        mask.flat[rasterise(pixels[mesh.faces], len(mask)).pixel] = True
    return float((outline & inside).sum() / (outline | inside).sum())
