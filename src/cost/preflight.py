"""Before step 0: one step at each resolution of the schedule in its worst case, with a scene of its own.

The worst case is a grid in which everything is occupied and timesteps for which the loss asks the UNet for
the most rows.  Too little memory shows now and not at step 5,000.  The scene is made for the purpose and
thrown away, so no number of the run can depend on whether there was a pre-flight.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import NamedTuple

import torch

from src.config import RunConfig
from src.cost.counters import LiveBytes
from src.errors import UserError
from src.guidance.prior import Prior
from src.guidance.prompts import PromptBank
from src.model import build, make_optimizer
from src.step import most_rows, take_step
from src.streams import Streams


class WorstStep(NamedTuple):
    """One resolution of the schedule, and what its most expensive step takes."""

    resolution: int
    steps: int  # of the run that are at this resolution and still to come
    seconds: float
    peak_bytes: int  # of all memory on CUDA; on a processor, of the tensors that the step itself makes


def preflight(
    cfg: RunConfig, prior: Prior, prompts: PromptBank, device: torch.device, first_step: int = 0
) -> list[WorstStep]:
    """Take the worst step of each resolution that the run still has before it.

    Raises UserError, with settings that were tried and do fit, where the device has too little memory.
    """
    found = _worst_steps(cfg, prior, prompts, device, first_step)
    if isinstance(found, int):
        raise UserError(_too_little(cfg, prior, prompts, device, first_step, found))
    return found


def describe(found: list[WorstStep]) -> str:
    """Say in one line what the pre-flight found; hours are an upper bound for the steps to come."""
    each = [
        f"{row.resolution}x{row.resolution}: {row.seconds:.2f} s, {row.peak_bytes / 1e9:.2f} GB"
        for row in found
    ]
    hours = sum(row.seconds * row.steps for row in found) / 3600
    return f"pre-flight, the worst step at {'; at '.join(each)}; so the run takes at most {hours:.2g} h"


def _worst_steps(
    cfg: RunConfig, prior: Prior, prompts: PromptBank, device: torch.device, first_step: int
) -> list[WorstStep] | int:
    """The worst steps, or the resolution for which memory does not suffice."""
    found = []
    for stretch in cfg.schedule.stretches(first_step, cfg.steps):
        resolution, peak = cfg.schedule.at(stretch[0]).resolution, None
        with suppress(torch.OutOfMemoryError):
            seconds, peak = _measure(cfg, prior, prompts, device, stretch)
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if peak is None:  # said here, where the error and all that its frames held are gone
            return resolution
        found.append(WorstStep(resolution, len(stretch), seconds, peak))
    return found


def _measure(
    cfg: RunConfig, prior: Prior, prompts: PromptBank, device: torch.device, stretch: range
) -> tuple[float, int]:
    """Seconds and peak bytes of a stretch's worst step."""
    # With this threshold every cell counts as occupied, however often the grid is refreshed.
    full = replace(cfg, occupancy=replace(cfg.occupancy, threshold=0.0))
    stage, last = cfg.schedule.at(stretch[0]), stretch[-1]
    least, worst = (
        torch.tensor(stage.t_min),
        most_rows(cfg, stage.t_min, max(stage.t_max, cfg.schedule.t_max_after)),
    )
    with _peak(device) as peak:
        model = build(full, device)
        optimizer = make_optimizer(full, model)
        seconds = 0.0
        # From t_min, below NFSD's cut, comes a branch of the loss of its own; it also warms the device up.
        for t in (least, worst):
            began = time.perf_counter()
            draw = Streams(cfg.seed, last, device=device)
            rows = t.expand(cfg.batch_size).to(device)
            # The last step, because penalties that start late are in it.
            take_step(full, model, optimizer, prior, prompts, last, draw, lambda _: nullcontext(), rows)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = time.perf_counter() - began
    return seconds, peak()


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


def _too_little(
    cfg: RunConfig,
    prior: Prior,
    prompts: PromptBank,
    device: torch.device,
    first_step: int,
    resolution: int,
) -> str:
    """Word the one sentence, with the mildest of some cheaper settings that fits when tried."""
    said = f"device={device} has too little memory for {resolution}x{resolution} pixels"
    for change, cheaper in _cheaper(cfg):
        if not isinstance(_worst_steps(cheaper, prior, prompts, device, first_step), int):
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
