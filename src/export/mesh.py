"""A run's object as a mesh with its colours baked in, for other programs.

    python -m src.export.mesh run=outputs/<run> [out=lion.glb] [resolution=128] [texture=1024] [faces=20000]
        [closed=true]

The ending of `out` chooses the format.  GLB has y up and z to the front, as glTF demands; OBJ (with its MTL
and PNG) has the same, as its readers expect; PLY keeps our z up, and has its colours at the vertices, for it
knows no pictures; STL, for printers, has z up and no colours.  texture=0 puts colours at the vertices
everywhere; faces=0 keeps every triangle.  Few triangles can leave edges that three of them share: closed=true
leaves none.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8

from src.arguments import in_range, parse, to_write
from src.door import one_sentence
from src.errors import UserError
from src.evaluation.views import of_run
from src.model import MeshModel, load_scene
from src.run.checkpoint import write_atomically

if TYPE_CHECKING:
    from trimesh import Trimesh

FORMATS = (".glb", ".obj", ".ply", ".stl")


@dataclass
class MeshConfig:
    """What the command line says."""

    run: str = ""
    out: str = ""  # empty: mesh.glb in the run's folder
    resolution: int = 128  # of the grid that is searched for the surface, along an edge
    texture: int = 1024  # pixels
    faces: int = 20_000  # at most
    closed: str = "false"  # true: no edge without exactly two triangles

    def __post_init__(self) -> None:
        if not self.run:
            raise UserError("run is missing: name a run's folder, as in run=outputs/NAME")
        in_range(self, ["resolution"], 16, 1024)
        in_range(self, ["texture"], 0, 8192)
        in_range(self, ["faces"], 0, 10**7)
        if 0 < self.faces < 4:
            raise UserError(f"faces={self.faces} bounds no solid: choose 4 or more, or 0 for every triangle")
        if self.closed not in ("true", "false"):
            raise UserError(f"closed={self.closed} is of the wrong kind: give true or false")
        self.out = self.out or str(Path(self.run) / "mesh.glb")
        if self.format not in FORMATS:
            raise UserError(f"out={self.out} has no ending that we know: choose {', '.join(FORMATS)}")

    @property
    def format(self) -> str:
        """The ending of `out`."""
        return Path(self.out).suffix.lower()


def export(cfg: MeshConfig) -> str:
    """Write the mesh of a run; returns the sentence that tells of it.

    Raises UserError if the run has no checkpoint or no surface, or a package is missing.
    """
    try:
        from src.export import isosurface, texture
    except ImportError as error:
        raise UserError(
            f"meshes need {error.name}, which is not installed: pip install -e '.[mesh]'"
        ) from error
    textured = cfg.texture > 0 and cfg.format in (".glb", ".obj")
    if textured:
        texture.check_unwrapper()

    folder = Path(cfg.run)
    settings, model, step = load_scene(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    to_write(cfg.out)
    views = of_run(settings, model)
    if isinstance(model, MeshModel):
        mesh, look = isosurface.own(model, cfg.faces), texture.trained(model, settings.mesh.shows)
        if cfg.closed == "true" and isosurface.open_edges(mesh):
            raise UserError(
                f"faces={cfg.faces} is too few for a closed surface here: choose more, or faces=0"
            )
    else:
        # One half of the views chooses the level, the other half judges the outcome.
        half = views.every_other(0)
        mesh = isosurface.extract(model, half, cfg.resolution, cfg.faces, cfg.closed == "true")
        look = texture.Look(texture.seen_from_outside(model, isosurface.WALL * model.field.radius))
    agreement = isosurface.agreement(mesh, views.every_other(1))
    if textured:
        write(texture.wrap(mesh, cfg.texture, look), Path(cfg.out))
        told = f"a texture of {cfg.texture} pixels"
    elif cfg.format == ".stl":
        write(mesh, Path(cfg.out))
        told = "no colours"
    else:
        mesh.visual.vertex_colors = look.color(*texture.places(mesh))
        write(mesh, Path(cfg.out))
        told = "colours at its vertices"
    gaps = isosurface.open_edges(mesh)
    state = f"not closed at {gaps} edges (closed=true closes it)" if gaps else "closed"
    return (
        f"step {step}: {cfg.out}: {len(mesh.faces)} triangles, {state}, {told}; its outlines and the run's "
        f"agree with an IoU of {agreement:.3f}"
    )


def write(mesh: "Trimesh", path: Path) -> None:
    """Write a mesh, z up, as its path's ending says; an OBJ's materials before it."""
    from trimesh.exchange.obj import export_obj
    from trimesh.visual.material import SimpleMaterial

    mesh, ending, textured = mesh.copy(), path.suffix.lower(), mesh.visual.kind == "texture"
    normals = mesh.vertex_normals
    if ending not in (".ply", ".stl"):
        # x to the front and z up become z and y.
        mesh.vertices, normals = mesh.vertices[:, [1, 2, 0]], normals[:, [1, 2, 0]]
    mesh.vertex_normals = normals
    if ending == ".obj":
        name = path.stem.replace(" ", "_")  # readers of OBJ end a name at a blank
        if textured:
            white, black = [255, 255, 255, 255], [0, 0, 0, 255]
            image = mesh.visual.material.baseColorTexture
            mesh.visual.material = SimpleMaterial(
                image=image, diffuse=white, ambient=white, specular=black, name=name
            )
        text, files = export_obj(
            mesh, include_normals=True, return_texture=True, mtl_name=f"{name}.mtl", header=None
        )
        for file, content in files.items():
            write_atomically(path.with_name(file), content)
        write_atomically(path, text.encode())
    elif ending == ".glb":
        if not textured:
            # Unlike its pictures, a GLB's vertex colours count light and not what screens are sent.
            colors = mesh.visual.vertex_colors
            colors[:, :3] = linear(colors[:, :3])
            mesh.visual.vertex_colors = colors
        write_atomically(path, mesh.export(file_type="glb", include_normals=True))
    elif ending == ".stl":
        write_atomically(path, mesh.export(file_type="stl"))
    else:
        write_atomically(path, mesh.export(file_type="ply", vertex_normal=True))


def linear(srgb: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Light for a screen's values (IEC 61966-2-1), both from 0 to 255."""
    value = srgb / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.rint(light * 255).astype(np.uint8)


@one_sentence
def main(arguments: list[str]) -> int:
    """Export one mesh; exit code 0, or 2 after one sentence about what the user can put right."""
    print(export(parse(MeshConfig, arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
