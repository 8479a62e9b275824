"""All that a run works on, made from its settings: what is optimised, by what, and who guides it."""

from dataclasses import replace

import torch

from src.config import GeneratorKind, RunConfig
from src.errors import UserError
from src.export.video import preview
from src.generator import Generator
from src.generators.hand_over import handed_over
from src.generators.latent_nerf import LatentNeRF
from src.generators.latents import Latents
from src.generators.mesh import MeshGenerator
from src.generators.nerf import NeRF
from src.generators.source import Source, edited
from src.guidance.critic import Critic
from src.guidance.guide import Guide
from src.guidance.losses import VSD
from src.guidance.prior import Prior
from src.guidance.prompts import PromptBank
from src.model import build, build_mesh, make_optimizer
from src.step import Run
from src.streams import Streams


def make_guide(cfg: RunConfig, prior: Prior, source: Source | None = None) -> Guide:
    """The prior, every text of the run embedded, and the critic or the source's prompt that a loss wants."""
    prompts = PromptBank(prior, cfg.prompt, cfg.prompts)
    critic = None
    if isinstance(cfg.loss, VSD):
        if not hasattr(prior.unet, "time_embedding"):
            raise UserError(
                f"loss=vsd adds a LoRA to the prior's attention, and prior={cfg.prior.name} has none: choose "
                "another prior or loss"
            )
        critic = Critic(prior, prompts.plain(1).cond, cfg.critic, Streams(cfg.seed, 0))
    edits = source is not None and cfg.generator is not GeneratorKind.mesh
    before = PromptBank(prior, source.prompt, cfg.prompts) if source and edits else None
    return Guide(prior, prompts, critic, before)


def make_generator(cfg: RunConfig, prior: Prior, device: torch.device, source: Source | None) -> Generator:
    """What is optimised, as of step 0; the seed alone decides its numbers, or what it edits."""
    if cfg.generator is GeneratorKind.mesh:
        if source is None:  # continued: all that it began from is in its own checkpoint
            return MeshGenerator(cfg, build_mesh(cfg, device), prior)
        assert isinstance(source.generator, NeRF)
        before, model = source.generator.cfg, source.generator.model
        shown = preview(replace(before, video=cfg.video), model, cfg.logging.preview_size)
        return MeshGenerator(cfg, handed_over(cfg, before, model, device), prior, shown)
    if source is not None:
        return edited(cfg, source, prior)
    if cfg.generator is GeneratorKind.latents:
        return Latents(cfg, prior)
    if cfg.generator is GeneratorKind.latent_nerf:
        return LatentNeRF(cfg, build(cfg, device, prior.latent_shape[0]), prior)
    return NeRF(cfg, build(cfg, device), prior)


def assemble(cfg: RunConfig, guide: Guide, device: torch.device, source: Source | None = None) -> Run:
    """A run at step 0."""
    generator = make_generator(cfg, guide.prior, device, source)
    optimizer = make_optimizer(cfg, generator.groups())
    edits = source is not None and cfg.generator is not GeneratorKind.mesh
    return Run(cfg, generator, optimizer, guide, source.generator if source and edits else None)
