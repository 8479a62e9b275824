"""From a radiance field to a mesh: its surface where the pictures have it, its colours as rays see them."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from src.config import RunConfig
from src.errors import UserError
from src.evaluation.views import of_run
from src.model import MeshModel, Scene, build_mesh, in_color
from src.scene.background import Background
from src.scene.mesh import Mesh, scaled_normals
from src.scene.signed_distance import signed_distance
from src.scene.texture_field import TextureField
from src.streams import Streams

LOOK = 48  # pixels of the pictures whose outlines choose the level
RESOLUTION = 80  # of the volume that is searched for the surface, along an edge
POINTS, BATCH, STEPS, RATE = 2**14, 2**12, 150, 0.02  # of the surface, and to learn their colours


def handed_over(cfg: RunConfig, before: RunConfig, scene: Scene, device: torch.device) -> MeshModel:
    """The mesh, texture and background that a run's scene becomes; raises UserError if it shows no surface.

    A mesh stays what it is.  Of a radiance field the level is the one whose outlines agree best with the
    run's pictures (src/export/isosurface.py), the distances are those of src/scene/signed_distance.py, and
    nothing is taken from colours that no ray sees.
    """
    if isinstance(scene, MeshModel):
        return taken_over(cfg, before, scene, device)
    model = in_color(scene)
    from src.export import isosurface, texture  # packages that only meshes need

    made = build_mesh(cfg, device)
    volume, level = isosurface.levelled(model, of_run(before, model, LOOK).every_other(0), RESOLUTION)
    volume, lattice = volume.to(device), made.surface.lattice

    def opacity(points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        # grid_sample's own order is z, y, x, so the axes are named from the last.
        place = (points / before.field.radius).flip(-1)[None, None, None]
        return functional.grid_sample(volume[None, None], place, align_corners=True)[0, 0, 0, 0]

    with torch.no_grad():
        made.surface.distance.copy_(signed_distance(lattice, opacity, level) / lattice.cell)
        if type(model.background) is Background and before.background.hidden == cfg.background.hidden:
            made.background.load_state_dict(model.background.state_dict())
    mesh = Mesh(*(each.detach() for each in made.surface.mesh()))
    drawn = Streams(cfg.seed, 0)("init/hand-over").uniform(1, POINTS, 3)[0].to(device)
    points, normals = scattered(mesh, drawn)
    seen = texture.seen_from_outside(model, isosurface.WALL * model.field.radius)
    colors = torch.from_numpy(seen(points.cpu().numpy(), normals.cpu().numpy())).to(device)
    learn(made.texture, points, colors)
    return made


@torch.no_grad()
def taken_over(cfg: RunConfig, before: RunConfig, scene: MeshModel, device: torch.device) -> MeshModel:
    """A mesh's surface as it is, and its texture and background where these have the same make."""
    made_as = {"mesh.cells": before.mesh.cells, "field.radius": before.field.radius}
    for (name, then), now in zip(made_as.items(), (cfg.mesh.cells, cfg.field.radius), strict=True):
        if now != then:
            raise UserError(f"source={cfg.source} is a mesh with {name}={then}, not {now}: choose that")
    made = build_mesh(cfg, device)
    distance, shift = scene.surface.values()
    made.surface.distance.copy_(distance)
    made.surface.shift.copy_(shift)
    for mine, theirs in ((made.texture, scene.texture), (made.background, scene.background)):
        parts, found = mine.state_dict(), theirs.state_dict()
        if {name: part.shape for name, part in parts.items()} == {n: part.shape for n, part in found.items()}:
            mine.load_state_dict(found)
    return made


def scattered(mesh: Mesh, drawn: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3"]]:
    """Points spread evenly over the surface, and the unit normals there, for uniform numbers."""
    normals = scaled_normals(mesh)
    area = normals.norm(dim=1).cumsum(0)
    face = torch.searchsorted(area, drawn[:, 0].contiguous() * area[-1]).clamp(max=len(area) - 1)
    root, part = drawn[:, 1].sqrt(), drawn[:, 2]
    weights = torch.stack([1 - root, root * (1 - part), root * part], 1)
    points = (weights[..., None] * mesh.vertices[mesh.faces[face]]).sum(1)
    return points, functional.normalize(normals[face], dim=1, eps=1e-12)


def learn(texture: TextureField, points: Float[Tensor, "N 3"], colors: Float[Tensor, "N 3"]) -> None:
    """Fit a texture to colours at points, by Adam (Kingma & Ba 2015) on the squared error."""
    optimizer = torch.optim.Adam(texture.parameters(), lr=RATE, betas=(0.9, 0.99), eps=1e-12)
    chunks = list(zip(points.split(BATCH), colors.split(BATCH), strict=True))
    for step in range(STEPS):
        where, wanted = chunks[step % len(chunks)]
        (texture(where) - wanted).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
