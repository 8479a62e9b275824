"""All that a run works on, made from its settings: what is optimised, by what, and who guides it."""

import torch

from src.config import GeneratorKind, RunConfig
from src.generator import Generator
from src.generators.latents import Latents
from src.generators.nerf import NeRF
from src.generators.source import Source, edited
from src.guidance.critic import Critic
from src.guidance.guide import Guide
from src.guidance.losses import VSD
from src.guidance.prior import Prior
from src.guidance.prompts import PromptBank
from src.model import build, make_optimizer
from src.step import Run
from src.streams import Streams


def make_guide(cfg: RunConfig, prior: Prior, source: Source | None = None) -> Guide:
    """The prior, every text of the run embedded, and the critic or the source's prompt that a loss wants."""
    prompts = PromptBank(prior, cfg.prompt, cfg.prompts)
    critic = None
    if isinstance(cfg.loss, VSD):
        critic = Critic(prior, prompts.plain(1).cond, cfg.critic, Streams(cfg.seed, 0))
    return Guide(prior, prompts, critic, source and PromptBank(prior, source.prompt, cfg.prompts))


def make_generator(cfg: RunConfig, prior: Prior, device: torch.device, source: Source | None) -> Generator:
    """What is optimised, as of step 0; the seed alone decides its numbers, or what it edits."""
    if source is not None:
        return edited(cfg, source, prior)
    if cfg.generator is GeneratorKind.latents:
        return Latents(cfg, prior)
    return NeRF(cfg, build(cfg, device), prior)


def assemble(cfg: RunConfig, guide: Guide, device: torch.device, source: Source | None = None) -> Run:
    """A run at step 0."""
    generator = make_generator(cfg, guide.prior, device, source)
    optimizer = make_optimizer(cfg, generator.groups())
    return Run(cfg, generator, optimizer, guide, source and source.generator)
