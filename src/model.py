"""What is optimised, made from settings or read back from a run: field, background, occupancy grid."""

import dataclasses
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn
from torch.optim import AdamW

from src.config import LOSSES, GeneratorKind, RunConfig
from src.errors import UserError
from src.guidance.losses import DistillationLoss
from src.run import checkpoint
from src.scene.background import Background
from src.scene.cameras import Cameras
from src.scene.environment import daylight
from src.scene.field import Field
from src.scene.latent_field import ColoredBackground, ColoredField, LatentBackground, LatentField
from src.scene.levels import HashGridBackend
from src.scene.mesh import edges
from src.scene.mesh_rendering import Shows, Surface, SurfaceNetwork, render_mesh
from src.scene.occupancy import OccupancyGrid
from src.scene.rendering import RenderBackend, Rendering, render
from src.scene.shading import Light
from src.scene.sketch import Sketch
from src.scene.skin import Physical, ShowingNormals, Skin, Textured
from src.scene.texture_field import TextureField
from src.streams import Streams

CHECKPOINTS = "checkpoints"  # inside a run's folder
MATERIAL = 5  # channels of a texture that holds a physical material
T = TypeVar("T")


class Model(NamedTuple):
    """The three modules of a scene; the occupancy grid has buffers only."""

    field: Field
    background: Background
    occupancy: OccupancyGrid

    def modules(self) -> dict[str, nn.Module]:
        """Return the modules by name, as checkpoints know them."""
        return dict(self._asdict())


class MeshModel(NamedTuple):
    """The three modules of a mesh."""

    surface: Surface
    texture: TextureField
    background: Background

    def modules(self) -> dict[str, nn.Module]:
        """Return the modules by name, as checkpoints know them."""
        return dict(self._asdict())

    def skin(self, shows: Shows, light: Light | None = None) -> Skin:
        """What its surface looks like to a run that shows this of it."""
        if shows is Shows.normals:
            return ShowingNormals()
        if shows is Shows.material:
            return Physical(self.texture, daylight(self.surface.lattice.vertices.device))
        return Textured(self.texture, light)


Scene = Model | MeshModel


def build_mesh(cfg: RunConfig, device: torch.device, sketch: Sketch | None = None) -> MeshModel:
    """Make a mesh's modules: a ball or what a sketch shows, and numbers that the seed alone decides."""
    init = Streams(cfg.seed, 0)
    mesh = cfg.mesh
    network = SurfaceNetwork(cfg.field, init) if mesh.network else None
    surface = Surface(mesh.cells, cfg.field.radius, mesh.ball, mesh.spread, network)
    channels = MATERIAL if cfg.mesh.shows is Shows.material else 3
    texture, background = TextureField(cfg.field, channels, init), Background(cfg.background, init)
    made = MeshModel(surface.to(device), texture.to(device), background.to(device))
    if sketch is not None:
        with torch.no_grad():
            lattice = made.surface.lattice
            made.surface.distance.copy_(sketch.signed_distance(lattice.vertices) / lattice.cell)
    return made


def build(cfg: RunConfig, device: torch.device, channels: int = 4, particle: int = 0) -> Model:
    """Make the scene of step 0; the seed and which particle it is alone decide its numbers.

    A scene of latents (generator=latent_nerf) has as many `channels` as its prior's latents.
    """
    init = Streams(cfg.seed, particle)
    if cfg.generator is GeneratorKind.latent_nerf:
        field: Field = LatentField(cfg.field, channels, init)
        background: Background = LatentBackground(cfg.background, channels, init)
    else:
        field, background = Field(cfg.field, init), Background(cfg.background, init)
    occupancy = OccupancyGrid(cfg.occupancy, field.radius, cfg.render.step_length(field.radius))
    return Model(field.to(device), background.to(device), occupancy.to(device))


def in_color(model: Model) -> Model:
    """A scene of latents as it is seen through its colour map; any other as it is."""
    if not isinstance(model.field, LatentField):
        return model
    assert isinstance(model.background, LatentBackground)
    colored = ColoredBackground(model.background, model.field.colors)
    return Model(ColoredField(model.field), colored, model.occupancy)


def as_priced(cfg: RunConfig, step: int) -> RunConfig:
    """Settings whose first scene stands for what a step will see.

    Until the resolution rises it is that of step 0, a haze.  From then on it is an opaque ball, the initial
    blob a hundred times as dense: what an object is like once formed, whatever its shape.
    """
    density = cfg.field.blob_density * (100 if step >= cfg.schedule.switch_step else 1)
    return dataclasses.replace(cfg, field=dataclasses.replace(cfg.field, blob_density=density))


def stand_in(cfg: RunConfig, device: torch.device, step: int, channels: int = 4) -> Model:
    """Make a scene to price a step with, its occupancy grid up to date; `channels` as in `build`."""
    model = build(as_priced(cfg, step), device, channels)
    model.occupancy.update(model.field, Streams(cfg.seed, 0)("occupancy"), 0)
    return model


def parameter_groups(cfg: RunConfig, model: Model) -> list[dict[str, Any]]:
    """The scene's parameters, one learning rate per part."""
    field, optimizer = model.field, cfg.optimizer
    colors = [field.colors.matrix] if isinstance(field, LatentField) else []
    return [
        {"params": list(field.encoding.parameters()), "lr": optimizer.lr_encoding},
        {"params": [field.density_hidden, field.density_out], "lr": optimizer.lr_density},
        {"params": [field.color_hidden, field.color_out, *colors], "lr": optimizer.lr_color},
        {"params": list(model.background.parameters()), "lr": optimizer.lr_background},
    ]


def make_optimizer(cfg: RunConfig, groups: list[dict[str, Any]]) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019); fused: faster on processors too."""
    optimizer = cfg.optimizer
    return AdamW(
        groups,
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
        weight_decay=optimizer.weight_decay,
        fused=True,
    )


@torch.no_grad()
def look(cfg: RunConfig, model: Scene, camera: Cameras) -> Rendering:
    """Render for the eye: no jitter, the map as background, no light, no graph."""
    camera = camera.to(next(model.background.parameters()).device)
    if isinstance(model, MeshModel):
        mesh, skin = model.surface.mesh(), model.skin(cfg.mesh.shows)
        return render_mesh(mesh, edges(mesh), skin, model.background, camera, None, cfg.field.radius)
    return render(*in_color(model), camera, cfg.render, None)


def load_scene(folder: Path, device: torch.device, step: int | None = None) -> tuple[RunConfig, Scene, int]:
    """Read settings, scene or mesh, and step from a run's newest checkpoint, or from that of a step.

    A scene of latents is seen through its colour map.  Raises UserError if there is none.
    """
    cfg, model, reached = load_as_trained(folder, device, step)
    return cfg, model if isinstance(model, MeshModel) else in_color(model), reached


def load_as_trained(
    folder: Path, device: torch.device, step: int | None = None
) -> tuple[RunConfig, Scene, int]:
    """As `load_scene`, but latents stay latents."""
    checkpoints = folder / CHECKPOINTS
    loaded = checkpoint.load_latest(checkpoints) if step is None else checkpoint.load(checkpoints, step)
    if loaded is None:
        raise UserError(f"run={folder} holds no checkpoint: name a run's folder, as in run=outputs/NAME")
    cfg = config_from_dict(loaded.facts["config"])
    if cfg.generator is GeneratorKind.latents:
        raise UserError(f"run={folder} holds {cfg.generator} and no scene: its pictures lie in it already")
    # What accelerated the run may be missing where it is looked at, and looking goes without.
    cfg.render.backend, cfg.field.hash_grid.backend = RenderBackend.torch, HashGridBackend.torch
    model: Scene
    if cfg.generator is GeneratorKind.mesh:
        model = build_mesh(cfg, device)
    else:
        model = build(cfg, device, len(loaded.tensors["module/field/color_out"]))
    checkpoint.restore(model.modules(), {}, loaded.tensors)
    return cfg, model, loaded.facts["step"]


def load_run(folder: Path, device: torch.device, step: int | None = None) -> tuple[RunConfig, Model, int]:
    """As `load_scene`, of a radiance field; raises UserError for a mesh too."""
    cfg, model, reached = load_scene(folder, device, step)
    if isinstance(model, MeshModel):
        raise UserError(f"run={folder} holds a mesh and no radiance field: name the run that it began from")
    return cfg, model, reached


def config_from_dict(settings: dict[str, Any]) -> RunConfig:
    """Undo `config.as_dict`; settings that have come since take their defaults."""
    rest = {name: value for name, value in settings.items() if name != "loss"}
    loss: DistillationLoss = _build(LOSSES[settings["loss"]["name"]], settings["loss"])
    return _build(RunConfig, rest, loss=loss)


def _build(cls: type[T], settings: dict[str, Any], **ready: Any) -> T:
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(
        **{name: _value(hints[name], value) for name, value in settings.items() if name in known}, **ready
    )


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType) or not isinstance(hint, type):
        return value
    if dataclasses.is_dataclass(hint):
        return _build(hint, value)
    return hint[value] if issubclass(hint, Enum) else value
