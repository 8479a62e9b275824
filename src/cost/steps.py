"""What whole NFSD steps cost, part by part, with a network of the real one's size and random weights.

    python -m src.bench scale=paper [json=FILE] [steps=1] [replica=FOLDER]

The paper preset's steps at 64x64 and at 512x512 pixels on this processor, one thread: seconds of processor
time, FLOPs (torch's table), bytes moved, peak bytes of live tensors.  The scene is a haze at 64x64, as in
step 0, and an opaque ball at 512x512 (`src.model.stand_in`).  Costs other than seconds are counted in another
run of the first step.  The replica (src/guidance/replica.py; 2.6 GB) is made in outputs/replica-full if it is
not there, and kept.  scale=tiny is the same with everything small.
"""

import copy
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src import door
from src.arguments import to_write, typed_path
from src.config import RunConfig
from src.cost.counters import Cost, Tally
from src.errors import UserError
from src.generators.nerf import NeRF
from src.guidance import replica
from src.guidance.guide import Guide
from src.guidance.load import load_prior
from src.guidance.prior import Prior
from src.guidance.prompts import PromptBank
from src.model import make_optimizer, stand_in
from src.step import Run, rows_at, take_step
from src.streams import Stream, Streams

NAMES = {"scale": "paper|tiny", "json": "FILE", "steps": "1", "replica": "FOLDER"}
GUIDANCE = ("unet", "encode", "encode, backward")
SCALES = {
    "paper": (),
    "tiny": (
        "prior.latent_size=8",
        "schedule.resolution=16",
        "schedule.resolution_after=32",
        "field.hash_grid.levels=4",
        "field.hash_grid.log2_table=12",
        "field.hash_grid.max_resolution=64",
        "render.samples_per_ray=64",
        "render.chunk_samples=2048",
    ),
}


class Clock:
    """Hands a step's time, and what a Tally counts, to its parts; backward is split where the image is."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._tally = tally
        self._part: str | None = None
        self._began = 0.0

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Charge a `with` block to a part of take_step's."""
        self._switch("encode, backward" if part == "backward" else part)
        yield
        self._switch(None)

    def image_reached(self, _gradient: Tensor) -> None:
        """Note that backward has come as far as the image (a hook on it)."""
        self._switch("render, backward")

    def _switch(self, part: str | None) -> None:
        now = time.process_time()
        if self._part is not None:
            self.seconds[self._part] = self.seconds.get(self._part, 0.0) + now - self._began
        self._part, self._began = part, now
        if self._tally is not None:
            self._tally.charge(part)


def watched(prior: Prior, clock: Clock) -> Prior:
    """Return the prior, telling a clock when backward has come through its encoder."""

    def encode(image: Float[Tensor, "B 3 H W"], stream: Stream) -> Float[Tensor, "B C h w"]:
        image.register_hook(clock.image_reached)
        return prior.encode(image, stream)

    telling = copy.copy(prior)
    telling.encode = encode  # type: ignore[method-assign]
    return telling


def bench(settings: dict[str, str]) -> None:
    """Bench the steps that the settings of the command line name."""
    if unknown := set(settings) - set(NAMES):
        known = ", ".join(f"{name}={value}" for name, value in NAMES.items())
        raise UserError(f"{min(unknown)}={settings[min(unknown)]}: with scale=, src.bench knows {known}.")
    scale = settings["scale"]
    if scale not in SCALES:
        raise UserError(f"scale={scale} is unknown: choose scale=paper or scale=tiny.")
    steps = settings.get("steps", "1")
    if not steps.isdecimal() or not int(steps):
        raise UserError(f"steps={steps} must be a whole number of at least 1.")
    written = to_write(settings["json"], "json") if "json" in settings else None
    torch.set_num_threads(1)
    size = "full" if scale == "paper" else "tiny"
    folder = Path(typed_path(settings.get("replica", f"outputs/replica-{size}"), "replica"))
    if not folder.exists():
        note = "2.6 GB, a minute; " if scale == "paper" else ""
        print(f"making {folder} ({note}kept for the next time: delete it when you like)", flush=True)
        replica.write(folder, size)
    cfg = door.settings("prompt=a ceramic lion", "preset=paper", "device=cpu", *SCALES[scale])
    cfg.prior.path = str(folder)
    prior = load_prior(cfg.prior, "cpu")
    prompts = PromptBank(prior, cfg.prompt, cfg.prompts)
    prior.release_text_encoder()
    rows = []
    for stretch in cfg.schedule.stretches(0, cfg.steps):
        rows += bench_steps(cfg, prior, prompts, stretch[: int(steps)])
    if written:
        written.write_text(json.dumps(rows, indent=1) + "\n")


def bench_steps(cfg: RunConfig, prior: Prior, prompts: PromptBank, steps: range) -> list[dict[str, Any]]:
    """Time these steps and count the first; prints and returns a row per part and one for the whole."""
    clock = Clock()
    run(cfg, prior, prompts, steps, clock)
    tally = Tally()
    with tally:
        unet_rows, occupied = run(cfg, prior, prompts, steps[:1], Clock(tally))
    stage = cfg.schedule.at(steps[0])
    every_t = torch.arange(stage.t_min, stage.t_max + 1)
    rows: list[dict[str, Any]] = [
        {
            "resolution": stage.resolution,
            "part": part,
            "seconds": clock.seconds[part] / len(steps),
            **asdict(cost),
        }
        for part, cost in tally.costs.items()
    ]
    whole = sum(tally.costs.values(), Cost())
    other = sum((cost for part, cost in tally.costs.items() if part not in GUIDANCE), Cost())
    summary = {
        "resolution": stage.resolution,
        "part": "whole step",
        "seconds": sum(clock.seconds.values()) / len(steps),
        **asdict(whole),
        "unet_passes": unet_rows / cfg.batch_size,
        "unet_passes_expected": float(rows_at(cfg, every_t).double().mean()),
        "t_min": stage.t_min,
        "t_max": stage.t_max,
        "occupied": occupied,
        "other_flops_share": other.flops / whole.flops,
        "other_bytes_share": other.bytes / whole.bytes,
        "other_bytes_without_flops_share": other.bytes_without_flops / whole.bytes_without_flops,
    }
    rows.append(summary)
    print(f"{stage.resolution}x{stage.resolution}, steps {steps[0]} to {steps[-1]}")
    print(
        f"  {'part':18s} {'seconds':>8s} {'TFLOP':>8s} {'GB':>9s} {'GB, no FLOPs':>13s} {'peak live MB':>13s}"
    )
    for row in rows:
        print(
            f"  {row['part']:18s} {row['seconds']:8.2f} {row['flops'] / 1e12:8.3f} {row['bytes'] / 1e9:9.2f} "
            f"{row['bytes_without_flops'] / 1e9:13.2f} {row['peak_live_bytes'] / 1e6:13.1f}"
        )
    print(
        f"  {summary['unet_passes']:g} UNet passes a view here, {summary['unet_passes_expected']:.3f} "
        f"over t in [{stage.t_min}, {stage.t_max}]; {occupied:.1%} of the cells occupied\n"
        f"  all but UNet and autoencoder: {summary['other_flops_share']:.1%} of the FLOPs, "
        f"{summary['other_bytes_share']:.1%} of the bytes",
        flush=True,
    )
    return rows


def run(cfg: RunConfig, prior: Prior, prompts: PromptBank, steps: range, clock: Clock) -> tuple[int, float]:
    """Take these steps with a stand-in scene; returns the last one's UNet rows, and the occupied share."""
    device = torch.device("cpu")
    model = stand_in(cfg, device, steps[0])
    telling = watched(prior, clock)
    generator = NeRF(cfg, model, telling)
    whole = Run(cfg, generator, make_optimizer(cfg, generator.groups()), Guide(telling, prompts))
    rows = 0
    for step in steps:
        draw = Streams(cfg.seed, step)
        rows = take_step(whole, step, draw, clock).terms.unet_rows
    return rows, float(model.occupancy.bits.double().mean())
