"""Before step 0: the dearest step at each resolution of the schedule, with a scene of its own.

Its timesteps are those for which the loss asks the UNet for the most rows, its step the last, when every
penalty is on; its scene is a haze, and from the rise of the resolution on a formed object, an opaque ball
(`src.model.as_priced`).  Rays are rendered in chunks of so many samples, so an object that fills more of its
cube takes more time but hardly more memory.  Too little memory shows now and not at step 5,000.  The scene is
made for the purpose and thrown away, so no number of the run can depend on whether there was a pre-flight.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import NamedTuple

import torch

from src.assemble import assemble
from src.config import RunConfig
from src.cost.counters import LiveBytes
from src.errors import UserError
from src.generators.source import Source
from src.guidance.guide import Guide
from src.model import as_priced
from src.run import checkpoint
from src.scene.field import Field
from src.scene.occupancy import OccupancyGrid
from src.step import Run, most_rows, take_step
from src.streams import Streams


class WorstStep(NamedTuple):
    """One resolution of the schedule, and what its dearest step takes."""

    resolution: int
    steps: int  # of the run that are at this resolution and still to come
    seconds: float
    peak_bytes: int  # of all memory on CUDA; on a processor, of the tensors that the step itself makes
    occupied: float | None  # share of the cube's cells that its scene fills; None where there is no such grid


class _Asked(NamedTuple):
    """What every try has in common."""

    guide: Guide
    device: torch.device
    first_step: int
    source: Source | None


def preflight(
    cfg: RunConfig,
    guide: Guide,
    device: torch.device,
    first_step: int = 0,
    source: Source | None = None,
) -> list[WorstStep]:
    """Take the dearest step of each resolution that the run still has before it.

    Raises UserError, with settings that were tried and do fit, where the device has too little memory.
    """
    asked = _Asked(guide, device, first_step, source)
    found = _worst_steps(cfg, asked)
    if isinstance(found, int):
        raise UserError(_too_little(cfg, asked, found))
    return found


def describe(found: list[WorstStep]) -> str:
    """Say in one line what the pre-flight found; hours are those of the steps to come."""
    each = []
    for row in found:
        scene = "" if row.occupied is None else f" with {row.occupied:.0%} of the cube filled"
        each.append(
            f"{row.resolution}x{row.resolution}{scene}: {row.seconds:.2f} s, {row.peak_bytes / 1e9:.2f} GB"
        )
    hours = sum(row.seconds * row.steps for row in found) / 3600
    return f"pre-flight, the dearest step at {'; at '.join(each)}; so the run takes about {hours:.2g} h"


def _worst_steps(cfg: RunConfig, asked: _Asked) -> list[WorstStep] | int:
    """The worst steps, or the resolution for which memory does not suffice."""
    found = []
    for stretch in cfg.schedule.stretches(asked.first_step, cfg.steps):
        resolution, peak = cfg.schedule.at(stretch[0]).resolution, None
        with suppress(torch.OutOfMemoryError):
            seconds, peak, occupied = _measure(cfg, asked, stretch)
        if asked.device.type == "cuda":
            torch.cuda.empty_cache()
        if peak is None:  # said here, where the error and all that its frames held are gone
            return resolution
        found.append(WorstStep(resolution, len(stretch), seconds, peak, occupied))
    return found


def _measure(cfg: RunConfig, asked: _Asked, stretch: range) -> tuple[float, int, float | None]:
    """Seconds and peak bytes of a stretch's dearest step, and the occupied share of its scene's cells."""
    device = asked.device
    (t_min, t_max), last = cfg.schedule.span(stretch), stretch[-1]
    least, worst = torch.tensor(t_min), most_rows(cfg, t_min, t_max)
    with _unchanged(asked), _peak(device) as peak:
        run = assemble(as_priced(cfg, stretch[0]), asked.guide, device, asked.source)
        occupied = _refreshed(run)
        seconds = 0.0
        # From t_min, below NFSD's cut, comes a branch of the loss of its own; it also warms the device up.
        for t in (least, worst):
            began = time.perf_counter()
            draw = Streams(cfg.seed, last, device=device)
            rows = t.expand(cfg.batch_size)
            # The last step, because penalties that start late are in it.
            take_step(run, last, draw, lambda _: nullcontext(), rows)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = time.perf_counter() - began
    return seconds, peak(), occupied


def _refreshed(run: Run) -> float | None:
    """Bring every scene's occupancy grid up to date; returns the share of the first one that is occupied."""
    found = run.generator.modules()
    occupied = None
    for name, grid in found.items():
        field = found.get(name.replace("occupancy", "field"))
        if isinstance(grid, OccupancyGrid) and isinstance(field, Field):
            grid.update(field, Streams(run.cfg.seed, 0)("occupancy"), 0)
            occupied = float(grid.bits.double().mean()) if occupied is None else occupied
    return occupied


@contextmanager
def _unchanged(asked: _Asked) -> Iterator[None]:
    """Undo what the block's steps taught the critic, and what they did to the source's occupancy grid."""
    modules, optimizers = asked.guide.modules(), asked.guide.optimizers()
    if asked.source is not None:
        modules = modules | asked.source.generator.modules()
    kept = {name: value.clone() for name, value in checkpoint.gather(modules, optimizers).items()}
    try:
        yield
    finally:
        checkpoint.restore(modules, optimizers, kept)


@contextmanager
def _peak(device: torch.device) -> Iterator[Callable[[], int]]:
    """Measure the most memory in use at once within the block; ask for it afterwards."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device)
    else:
        with LiveBytes() as live:
            yield lambda: live.peak


def _too_little(cfg: RunConfig, asked: _Asked, resolution: int) -> str:
    """Word the one sentence, with the mildest of some cheaper settings that fits when tried."""
    said = f"device={asked.device} has too little memory for {resolution}x{resolution} pixels"
    for change, cheaper in _cheaper(cfg):
        if not isinstance(_worst_steps(cheaper, asked), int):
            return f"{said}: {change} would fit (tried), or choose preset=laptop"
    return f"{said}, whatever the settings of the scene: choose preset=laptop"


def _cheaper(cfg: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    """Settings that need less and less memory, beginning with those that change no result."""
    typed = ""
    for chunk in (cfg.render.chunk_samples // 4, cfg.render.chunk_samples // 16):
        cfg = replace(cfg, render=replace(cfg.render, chunk_samples=max(1, chunk)))
        typed = f"render.chunk_samples={cfg.render.chunk_samples}"
        yield typed, cfg
    if cfg.batch_size > 1:
        cfg, typed = replace(cfg, batch_size=1), f"{typed} batch_size=1"
        yield typed, cfg
    size = cfg.schedule.resolution_after
    while (size := size // 2) >= max(cfg.schedule.resolution, 8):
        cfg = replace(cfg, schedule=replace(cfg.schedule, resolution_after=size))
        yield f"{typed} schedule.resolution_after={size}", cfg
