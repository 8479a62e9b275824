"""What a run says while it runs: metrics.jsonl, TensorBoard events, the progress bar, the seconds by part.

metrics.jsonl has one row a step and is the interface for plots; a resumed run cuts it back to its
checkpoint's step, so no step is ever in it twice.
"""

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from tqdm import tqdm

from src.errors import UserError
from src.guidance.schedule import Stage
from src.run.checkpoint import write_atomically

METRICS = "metrics.jsonl"
SPANS = 5_000  # noted before they are added up: a wait in a thousand steps
PARTS = ("render", "encode", "unet", "backward", "optimiser")


@dataclass
class LoggingConfig:
    """How often, in steps, a run writes something."""

    preview_every: int = 200
    checkpoint_every: int = 500
    checkpoints_kept: int = 2  # of the last; more of them are more stops for src.export.view
    events_every: int = 10  # TensorBoard; metrics.jsonl has every step
    preview_size: int = 128  # pixels

    def __post_init__(self) -> None:
        for name in ("preview_every", "checkpoint_every", "events_every"):
            if getattr(self, name) < 1:
                raise UserError(f"logging.{name}={getattr(self, name)} counts steps: choose 1 or more")
        if self.checkpoints_kept < 2:
            raise UserError(
                f"logging.checkpoints_kept={self.checkpoints_kept} is too few: choose 2 or more, for the "
                "newest may be broken"
            )
        if not 8 <= self.preview_size <= 1024:
            raise UserError(
                f"logging.preview_size={self.preview_size} is out of range: choose 8 to 1024 pixels"
            )


class Seconds:
    """Seconds spent by part, over all the sittings of a run; what no part claims is `rest`."""

    def __init__(self, device: torch.device, before: Mapping[str, float] | None = None) -> None:
        self._device = device
        self._parts = {part: (before or {}).get(part, 0.0) for part in PARTS}
        self._began = time.perf_counter() - sum((before or {}).values())
        self._spans: list[tuple[str, Any, Any]] = []  # part, begin and end: events on CUDA, else seconds

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Charge the time of a `with` block to one of PARTS; on CUDA it is the device's, and nobody waits."""
        began = self._now()
        try:
            yield
        finally:
            self._spans.append((part, began, self._now()))
            if self._device.type != "cuda" or len(self._spans) >= SPANS:
                self._settle()

    def by_part(self) -> dict[str, float]:
        """Return the seconds of every part so far, and of `rest`."""
        self._settle()
        whole = time.perf_counter() - self._began
        return self._parts | {"rest": max(0.0, whole - sum(self._parts.values()))}

    def _now(self) -> Any:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _settle(self) -> None:
        """Add up what was noted; on CUDA this waits for the device."""
        if self._device.type == "cuda" and self._spans:
            torch.cuda.synchronize(self._device)
        for part, began, ended in self._spans:
            cuda = self._device.type == "cuda"
            self._parts[part] += began.elapsed_time(ended) / 1e3 if cuda else ended - began
        self._spans.clear()


def bar(total: int, unit: str, initial: int = 0) -> tqdm:
    """A progress bar on stderr."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        dynamic_ncols=terminal,
        mininterval=0.2 if terminal else 10.0,  # a log file needs no animation
        smoothing=0.1,
    )


class Log:
    """Writes one row a step to metrics.jsonl, a row every `every` steps to TensorBoard, and moves the bar."""

    def __init__(self, folder: Path, first_step: int, steps: int, every: int) -> None:
        # Half a second of imports that --help and bad input need not wait for.
        from torch.utils.tensorboard import SummaryWriter

        self._every = every
        cut_back(folder / METRICS, first_step)
        self._metrics = (folder / METRICS).open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder / "events"), purge_step=first_step)
        self._bar = bar(steps, "it", first_step)

    def step(self, step: int, stage: Stage, numbers: Mapping[str, float], draws: str) -> None:
        """Record one step; raises UserError naming the first number that is not finite."""
        for name, number in numbers.items():
            if not math.isfinite(number):
                raise UserError(
                    f"step {step}: {name} is {number}; the last checkpoint is kept: lower "
                    "optimizer.lr_encoding and its neighbours or loss.guidance_scale, and start over"
                )
        row = {"step": step, **stage._asdict(), **numbers, "draws": draws}
        self._metrics.write(json.dumps(row) + "\n")
        if step % self._every == 0:
            for name, number in {**stage._asdict(), **numbers}.items():
                self._events.add_scalar(name, number, step)
        self._bar.set_postfix_str(
            f"t {stage.t_min}-{stage.t_max}, {stage.resolution}px, opacity {numbers['opacity']:.3f}, "
            f"gradient {numbers['gradient']:.2e}",
            refresh=False,
        )
        self._bar.update()

    def picture(self, step: int, row: UInt8[np.ndarray, "height width 3"]) -> None:
        """Show a picture of the scene at this step in TensorBoard."""
        self._events.add_image("preview", row, step, dataformats="HWC")

    def flush(self) -> None:
        """Hand every row to the operating system; before a checkpoint, so that rows never lag behind it."""
        self._metrics.flush()
        self._events.flush()

    def close(self) -> None:
        """Flush and close; the bar stays where it was."""
        self._bar.close()
        self._metrics.close()
        self._events.close()


def cut_back(path: Path, step: int) -> None:
    """Drop the rows of `step` and later, and a last row that a kill cut in half."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] < step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_atomically(path, "".join(kept).encode())
