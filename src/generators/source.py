"""What a run begins from (source=RUN): a finished run, or a picture.

A scene or latents of the same make go on as they are, and a mesh takes the surface of any scene.  An edit
(loss=dds) also holds what it makes against the source, which then stays frozen, seen as it was.
"""

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from src.config import GeneratorKind, RunConfig, as_dict
from src.errors import UserError
from src.generator import Generator
from src.generators.latents import Latents
from src.generators.mesh import MeshGenerator
from src.generators.nerf import NeRF
from src.guidance.prior import Prior
from src.model import CHECKPOINTS, MeshModel, load_as_trained
from src.run import checkpoint
from src.run.folder import leaves, read_manifest
from src.scene.latent_field import LatentField
from src.scene.sketch import Sketch
from src.streams import Streams

REMEDY = "name the folder of a finished run, as in source=outputs/NAME"
SAME = ("generator", "field", "background", "occupancy", "render")  # a scene that goes on keeps its make


class Source(NamedTuple):
    """The generator as it was, and the prompt that says what it shows."""

    generator: Generator
    prompt: str


def check_source(cfg: RunConfig) -> None:
    """Raise UserError for what can be known to be wrong with what a run begins from, before any model is
    loaded.
    """
    if cfg.sketch.mesh is not None and not Path(cfg.sketch.mesh).is_file():
        raise UserError(
            f"sketch.mesh={cfg.sketch.mesh} does not exist: name a file, as in sketch.mesh=lion.obj"
        )
    if cfg.source is None:
        return
    path = Path(cfg.source)
    if not path.exists():
        raise UserError(f"source={cfg.source} does not exist: {REMEDY}")
    if path.is_dir():
        manifest = read_manifest(path)
        if "parameters_sha256" not in manifest:
            raise UserError(f"source={cfg.source} is no run: {REMEDY}")
        if not manifest["finished"]:
            raise UserError(
                f"source={cfg.source} is unfinished (step {manifest['step']}): finish it, or {REMEDY}"
            )
        return
    if cfg.generator is not GeneratorKind.latents:
        raise UserError(
            f"source={cfg.source} is no run but a file, and only latents begin from a picture: {REMEDY}, or "
            "choose generator=latents"
        )
    if cfg.source_prompt is None:
        raise UserError(f'source={cfg.source} is a picture: say what it shows, as in source_prompt="a cat"')
    _picture(cfg)


def load_source(cfg: RunConfig, prior: Prior, device: torch.device) -> Source:
    """Load what cfg.source names; raises UserError if the run could not edit it."""
    assert cfg.source is not None
    path = Path(cfg.source)
    if not path.is_dir():
        assert cfg.source_prompt is not None
        start = prior.encode(_picture(cfg).to(device), Streams(cfg.seed, 0)("init/source"))
        start = start.expand(cfg.batch_size, -1, -1, -1)
        return Source(_frozen(Latents(cfg, prior, start)), cfg.source_prompt)
    if cfg.generator is GeneratorKind.latents:
        loaded = checkpoint.load_latest(path / CHECKPOINTS)
        if loaded is None or "module/latents/latents" not in loaded.tensors:
            raise UserError(
                f"source={cfg.source} holds no latents: choose generator=nerf, or a run of latents"
            )
        latents, wanted = loaded.tensors["module/latents/latents"], (cfg.batch_size, *prior.latent_shape)
        if latents.shape != wanted:
            has, needs = ("x".join(map(str, shape)) for shape in (latents.shape, wanted))
            raise UserError(
                f"source={cfg.source} holds latents {has}, and this run's are {needs}: choose its prior and "
                "its batch_size"
            )
        prompt = cfg.source_prompt or loaded.facts["config"]["prompt"]
        return Source(_frozen(Latents(cfg, prior, latents.to(device))), prompt)
    settings, scene, _ = load_as_trained(path, device)
    prompt = cfg.source_prompt or settings.prompt
    if cfg.generator is GeneratorKind.mesh:
        kind = MeshGenerator if isinstance(scene, MeshModel) else NeRF
        return Source(kind(settings, scene, prior), prompt)  # type: ignore[arg-type]
    ours, before = (dict(leaves({name: as_dict(each)[name] for name in SAME})) for each in (cfg, settings))
    for name, value in ours.items():
        if value != before[name] and not name.endswith("backend"):
            raise UserError(
                f"source={cfg.source} has {name}={before[name]}, and this run {value}: choose its preset and "
                "its settings"
            )
    assert not isinstance(scene, MeshModel)
    if isinstance(scene.field, LatentField):
        channels = len(scene.field.colors.matrix)
        if channels != prior.latent_shape[0]:
            raise UserError(
                f"source={cfg.source} holds a field of {channels} latent channels, and the latents of "
                f"prior={cfg.prior.name} have {prior.latent_shape[0]}: choose the prior that made the field"
            )
    for module in scene:
        module.requires_grad_(False)
    return Source(NeRF(cfg, scene, prior), prompt)


def begun_as(cfg: RunConfig, source: Source, prior: Prior, sketch: Sketch | None = None) -> Generator:
    """A generator that begins as the source is."""
    if isinstance(source.generator, Latents):
        return Latents(cfg, prior, source.generator.latents.detach())
    assert isinstance(source.generator, NeRF)
    model = copy.deepcopy(source.generator.model)
    for module in model:
        module.requires_grad_()
    return NeRF(cfg, model, prior, sketch)


def _frozen(latents: Latents) -> Latents:
    return latents.requires_grad_(False)


def _picture(cfg: RunConfig) -> Float[Tensor, "1 3 side side"]:
    """The largest square in the middle of a picture, in [0, 1]."""
    try:
        with Image.open(str(cfg.source)) as file:
            side = min(file.size)
            pixels = np.asarray(ImageOps.fit(file.convert("RGB"), (side, side)))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"source={cfg.source} is no picture that can be read: give a PNG or JPEG") from error
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
