"""A picture around a mesh: unwrapping, and the colour of every texel's place on the surface."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy import ndimage
from torch import Tensor
from trimesh import Trimesh
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from src.errors import UserError
from src.model import MeshModel, Model
from src.scene.environment import to_srgb
from src.scene.material import from_texture
from src.scene.mesh_rendering import Shows
from src.scene.rendering import composite_weights

CANDIDATES = 2**22  # pairs of a triangle and a pixel looked at together, for memory's sake
POINTS = 2**15  # of the surface, likewise
LOOKS = 12  # along a line into the object
GUTTER = 2  # texels around every chart
CLAY = 0.8  # of what has no colours
Places = Float[np.ndarray, "P 3"]
Color = Callable[[Places, Places], Places]  # of points on the surface with unit normals: RGB in [0, 1]


class Covered(NamedTuple):
    """Pixels whose centres lie in triangles, pair by pair."""

    pixel: Int[np.ndarray, " pairs"]  # row by row from the top
    face: Int[np.ndarray, " pairs"]
    weights: Float[np.ndarray, "pairs 3"]  # barycentric


class Unwrapped(NamedTuple):
    """A mesh cut open: vertices that lie on a cut appear once for each side."""

    vertex: Int[np.ndarray, " W"]  # which of the closed mesh's vertices
    faces: Int[np.ndarray, "F 3"]
    uv: Float[np.ndarray, "W 2"]  # in [0, 1], v upwards


def seen_from_outside(model: Model, depth: float) -> Color:
    """Colours as rays see them that fall on the surface upright, composited over `depth` (world units).

    A soft field's colour at the level of the surface is what few rays ever see: most end below it.  A
    quarter of the way lies before the surface.
    """
    step, device = depth / LOOKS, model.occupancy.bits.device
    along = (torch.arange(LOOKS, device=device) + 0.5) * step - depth / 4
    length = torch.full((1, LOOKS), step, device=device)

    @torch.no_grad()
    def color(points: Places, normals: Places) -> Places:
        found = []
        pairs = torch.from_numpy(np.stack([points, normals], 1)).to(device)
        for place, normal in (pair.unbind(1) for pair in pairs.split(POINTS)):
            line = place[:, None] - along[:, None] * normal[:, None]
            density, shade = model.field(line.view(-1, 3))
            weights = composite_weights(density.view(len(place), LOOKS), length.expand(len(place), -1))
            seen = torch.einsum("pl,plc->pc", weights, shade.view(len(place), LOOKS, 3))
            found.append(seen / weights.sum(1, keepdim=True))
        return torch.cat(found).cpu().numpy()

    return color


class Look(NamedTuple):
    """What is baked of a surface: its colours and, if it is a physical material, how rough and metallic it
    is, as glTF has them: roughness in the second channel and metalness in the third.
    """

    color: Color
    finish: Color | None = None


def trained(model: MeshModel, shows: Shows) -> Look:
    """The texture that a run of a mesh was trained with, as it is; a run that shows normals has only clay."""
    device = next(model.texture.parameters()).device

    @torch.no_grad()
    def values(points: Places) -> Tensor:
        return model.texture(torch.from_numpy(np.asarray(points, np.float32)).to(device)).cpu()

    def finish(points: Places, normals: Places) -> Places:
        material = from_texture(values(points))
        return torch.stack([torch.ones_like(material.metal), material.roughness, material.metal], 1).numpy()

    if shows is Shows.normals:
        return Look(lambda points, normals: np.full(points.shape, CLAY, np.float32))
    if shows is Shows.material:
        return Look(lambda points, normals: to_srgb(from_texture(values(points)).color).numpy(), finish)
    return Look(lambda points, normals: values(points).numpy())


def wrap(mesh: Trimesh, size: int, look: Look) -> Trimesh:
    """The mesh with textures of size x size pixels, cut open where the charts of its pictures end."""
    unwrapped = unwrap(mesh, size)
    picture, finish = (
        Image.fromarray(bake(mesh, unwrapped, size, each)) if each is not None else None for each in look
    )
    material = PBRMaterial(
        baseColorTexture=picture,
        metallicRoughnessTexture=finish,
        metallicFactor=0.0 if finish is None else 1.0,
        roughnessFactor=1.0,
    )
    return Trimesh(
        mesh.vertices[unwrapped.vertex],
        unwrapped.faces,
        # Those of the closed mesh, or every cut would show in the light.
        vertex_normals=mesh.vertex_normals[unwrapped.vertex],
        visual=TextureVisuals(unwrapped.uv, material=material),
        process=False,
    )


def places(mesh: Trimesh) -> tuple[Places, Places]:
    """Vertices and their unit normals."""
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.vertex_normals, np.float32)


def check_unwrapper() -> None:
    """Raise UserError where xatlas is missing; it has no wheel for Python 3.14 (November 2026)."""
    try:
        import xatlas  # noqa: F401
    except ImportError as error:
        how = (
            "pip install -e '.[mesh]' under Python 3.13 or older"
            if sys.version_info >= (3, 14)
            else ("pip install -e '.[mesh]'")
        )
        raise UserError(
            f"textures need xatlas, which is not installed: {how}, or texture=0 for colours at the vertices"
        ) from error


def unwrap(mesh: Trimesh, size: int) -> Unwrapped:
    """Lay a mesh out flat, in charts that do not overlap in a picture of size x size."""
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding = size, GUTTER
    atlas.generate(pack_options=packing)
    return Unwrapped(*atlas[0])


def rasterise(corners: Float[np.ndarray, "F 3 2"], size: int) -> Covered:
    """Which pixel centres of a size x size picture lie in which triangles (corners in pixels, y down)."""
    corners = corners.astype(np.float64)
    # The centres within a triangle's box: first and number, along x and along y.
    first = np.ceil(corners.min(1) - 0.5).clip(0, size).astype(int)
    count = (np.floor(corners.max(1) - 0.5).clip(-1, size - 1).astype(int) + 1 - first).clip(0)
    area = count.prod(1)
    found = []
    for some in np.split(np.arange(len(area)), np.flatnonzero(np.diff(area.cumsum() // CANDIDATES)) + 1):
        face = np.repeat(some, area[some])
        place = np.arange(len(face)) - np.repeat(area[some].cumsum() - area[some], area[some])
        width = count[face, 0]
        column, row = first[face, 0] + place % width, first[face, 1] + place // width
        weights = _barycentric(corners[face], np.stack([column, row], 1) + 0.5)
        inside = (weights >= 0).all(1)
        found.append(Covered((row * size + column)[inside], face[inside], weights[inside]))
    return Covered(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def bake(mesh: Trimesh, unwrapped: Unwrapped, size: int, color: Color) -> UInt8[np.ndarray, "size size 3"]:
    """The picture that goes with an unwrapped mesh; row 0 is its top, where v is 1.

    Texels of no triangle take the nearest colour that there is: filters look across the edges of charts.
    """
    corners = (unwrapped.uv * [1, -1] + [0, 1])[unwrapped.faces] * size
    covered = rasterise(corners, size)
    vertex = unwrapped.vertex[unwrapped.faces[covered.face]]
    points, normals = (np.einsum("pc,pcx->px", covered.weights, each[vertex]) for each in places(mesh))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(min=1e-9)
    picture = np.zeros((size * size, 3), np.uint8)
    shades = color(points.astype(np.float32), normals.astype(np.float32))
    picture[covered.pixel] = np.rint(shades.clip(0, 1) * 255)
    missing = np.ones(size * size, bool)
    missing[covered.pixel] = False
    nearest = ndimage.distance_transform_edt(
        missing.reshape(size, size), return_distances=False, return_indices=True
    )
    return picture.reshape(size, size, 3)[tuple(nearest)]


def _barycentric(
    corners: Float[np.ndarray, "P 3 2"], places: Float[np.ndarray, "P 2"]
) -> Float[np.ndarray, "P 3"]:
    """Weights that make the places of the corners; not finite for triangles without an area."""
    a, b, c = corners.transpose(1, 0, 2)

    def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    with np.errstate(invalid="ignore", divide="ignore"):
        second = cross(places - a, c - a) / cross(b - a, c - a)
        third = cross(b - a, places - a) / cross(b - a, c - a)
        return np.stack([1 - second - third, second, third], 1)
