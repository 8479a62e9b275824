"""All that a run works on, made from its settings: what is optimised, by what, and who guides it."""

from dataclasses import replace

import torch

from src.config import GeneratorKind, RunConfig
from src.errors import UserError
from src.export.video import preview
from src.generator import Generator
from src.generators.hand_over import handed_over
from src.generators.latents import Latents
from src.generators.mesh import MeshGenerator
from src.generators.nerf import NeRF, color_map
from src.generators.particles import Particles
from src.generators.source import Source, begun_as
from src.guidance.critic import Critic
from src.guidance.guide import Guide
from src.guidance.losses import DDS, VSD
from src.guidance.prior import Prior
from src.guidance.prompts import PromptBank
from src.model import build, build_mesh, make_optimizer, stand_in
from src.scene.latent_field import LatentField
from src.scene.sketch import Sketch
from src.step import Run
from src.streams import Streams


def make_guide(cfg: RunConfig, prior: Prior, source: Source | None = None) -> Guide:
    """The prior, every text of the run embedded, and the critic or the source's prompt that a loss wants."""
    prompts = PromptBank(prior, cfg.prompt, cfg.prompts)
    critic = before = None
    if isinstance(cfg.loss, VSD):
        if not hasattr(prior.unet, "time_embedding"):
            raise UserError(
                f"loss=vsd adds a LoRA to the prior's attention, and prior={cfg.prior.name} has none: choose "
                "another prior or loss"
            )
        critic = Critic(prior, prompts.plain(1).cond, cfg.critic, Streams(cfg.seed, 0))
    if isinstance(cfg.loss, DDS):
        assert source is not None
        before = PromptBank(prior, source.prompt, cfg.prompts)
    return Guide(prior, prompts, critic, before)


def make_generator(cfg: RunConfig, prior: Prior, device: torch.device, source: Source | None) -> Generator:
    """What is optimised, as of step 0; the seed alone decides its numbers, or what it begins from."""
    sketch = Sketch(cfg.sketch, cfg.field.radius, device) if cfg.sketch.mesh else None
    if cfg.generator is GeneratorKind.mesh:
        if source is None:  # a ball or sketch; or continued, and what it began from is in its own checkpoint
            return MeshGenerator(cfg, build_mesh(cfg, device, sketch), prior)
        assert isinstance(source.generator, NeRF | MeshGenerator)
        before, scene = source.generator.cfg, source.generator.model
        shown = preview(replace(before, video=cfg.video), scene, cfg.logging.preview_size)
        return MeshGenerator(cfg, handed_over(cfg, before, scene, device), prior, shown)
    if source is not None:
        return begun_as(cfg, source, prior, sketch)
    if cfg.generator is GeneratorKind.latents:
        return Latents(cfg, prior)
    scenes = []
    for particle in range(cfg.particles):
        model = build(cfg, device, prior.latent_shape[0], particle)
        if isinstance(model.field, LatentField):
            model.field.colors.load_state_dict(color_map(prior, Streams(cfg.seed, 0)).state_dict())
        scenes.append(NeRF(cfg, model, prior, sketch))
    return _one_or_several(scenes)


def stand_in_for(cfg: RunConfig, prior: Prior, device: torch.device, step: int) -> Generator:
    """What a step shows, made to be timed or priced: a haze, later an opaque ball; a mesh is always one."""
    if cfg.generator is GeneratorKind.latents:
        return Latents(cfg, prior, torch.zeros(cfg.batch_size, *prior.latent_shape, device=device))
    if cfg.generator is GeneratorKind.mesh:
        return MeshGenerator(cfg, build_mesh(cfg, device), prior)
    channels = prior.latent_shape[0]
    scenes = [NeRF(cfg, stand_in(cfg, device, step, channels), prior) for _ in range(cfg.particles)]
    return _one_or_several(scenes)


def _one_or_several(scenes: list[NeRF]) -> Generator:
    return scenes[0] if len(scenes) == 1 else Particles(scenes)


def assemble(cfg: RunConfig, guide: Guide, device: torch.device, source: Source | None = None) -> Run:
    """A run at step 0."""
    generator = make_generator(cfg, guide.prior, device, source)
    optimizer = make_optimizer(cfg, generator.groups())
    before = source.generator if source is not None and isinstance(cfg.loss, DDS) else None
    return Run(cfg, generator, optimizer, guide, before)
