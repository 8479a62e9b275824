"""Runs small enough for a test: the Gaussian prior, a tiny scene, a few milliseconds a step."""

from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

from src.config import RunConfig
from src.door import settings

TINY = [
    "prior=gaussian",
    "prior.latent_size=8",
    "schedule.switch_step=3",
    "schedule.anneal_steps=0",
    "schedule.t_max_after=500",
    "schedule.resolution=8",
    "schedule.resolution_after=16",
    "field.hash_grid.levels=2",
    "field.hash_grid.base_resolution=4",
    "field.hash_grid.max_resolution=8",
    "field.hash_grid.log2_table=8",
    "field.hidden=8",
    "occupancy.resolution=4",
    "occupancy.every=2",
    "render.samples_per_ray=8",
    "logging.preview_every=3",
    "logging.checkpoint_every=2",
    "logging.preview_size=8",
    "video.views=3",
    "video.size=9",
    "steps=7",
    "batch_size=2",
    "threads=1",
    "device=cpu",
    "preset=smoke",
]


def tiny(out: Path, *arguments: str, prompt: str = "a red cube") -> RunConfig:
    """Settings of a tiny run; later arguments win, but for out and prompt, which are the function's own."""
    return replace(deepcopy(_anywhere(*arguments)), out=str(out), prompt=prompt)


@cache
def _anywhere(*arguments: str) -> RunConfig:
    """The same, composed once: Hydra takes a fifth of a second, and many tests ask for the same settings."""
    return settings("prompt=any", "out=anywhere", *TINY, *arguments)
