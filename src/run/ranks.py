"""Several processes for one prompt, a device each: torchrun --nproc-per-node=N -m src.train … batch_size=…

Every process holds the whole scene and renders its share of a step's views; numbers are keyed by view
(src/streams.py), so it draws what a single process would draw for them.  Gradients are summed, and then all
take the same optimiser step.  Process 0 alone writes and speaks.
"""

import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import NamedTuple

import torch
from torch import Tensor, distributed

from src.config import RunConfig
from src.errors import UserError

ENDED = (
    "another process of this run has ended: see its own last words; the same command goes on from the last "
)


class Ranks(NamedTuple):
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0

    def views(self, batch: int) -> range:
        """This process's share of a step's views, the shares being as even as can be."""
        return range(self.rank * batch // self.world, (self.rank + 1) * batch // self.world)

    def wait(self) -> None:
        """Wait until all have come here."""
        self._together(torch.zeros(1))

    def sum_gradients(self, parameters: Iterable[Tensor], share: float) -> None:
        """Replace each gradient by the sum over processes of `share` times theirs; all get the same bits."""
        if self.world == 1:
            return
        mine = [parameter for parameter in parameters if parameter.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).view(-1) for p in mine])
        self._together(flat.mul_(share))
        for parameter, gradient in zip(mine, flat.split([p.numel() for p in mine]), strict=True):
            parameter.grad = gradient.view_as(parameter)

    def total(self, *numbers: int) -> list[int]:
        """Sums of whole numbers over all processes."""
        return list(numbers) if self.world == 1 else self._together(torch.tensor(numbers)).tolist()

    def check_alike(self, sha256: str) -> None:
        """Raise UserError unless all processes have the same digest."""
        number = torch.tensor(int(sha256[:15], 16))
        least, most = (self._together(number.clone(), op) for op in ("MIN", "MAX"))
        if least != most:
            raise UserError(
                "the processes of this run have come to different parameters: choose the same device and "
                "software for all of them"
            )

    def _together(self, numbers: Tensor, op: str = "SUM") -> Tensor:
        if self.world == 1:
            return numbers
        there = numbers.cuda() if distributed.get_backend() == "nccl" else numbers
        with suppress(RuntimeError):
            distributed.all_reduce(there, getattr(distributed.ReduceOp, op))
            return there
        # Raised out here, since torch's own error holds on to its group, which is to end with `join`.
        raise UserError(f"{ENDED}checkpoint")


def local_rank() -> int | None:
    """Which of this machine's processes this is, and so which device it takes; None if it is alone."""
    return int(os.environ.get("LOCAL_RANK", 0)) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else None


def take_own_device(cfg: RunConfig, devices: int) -> None:
    """Make this process's device the current one, before any of its kernels or messages.

    Raises UserError where the command names one device for all, or started more processes than there are.
    """
    here = local_rank() or 0
    if cfg.device not in (None, "cuda"):
        raise UserError(
            f"device={cfg.device} is one device, and each process takes its own: leave device= out"
        )
    if here >= devices:
        raise UserError(
            f"there are {devices} CUDA devices here and more processes: choose --nproc-per-node={devices}"
        )
    torch.cuda.set_device(here)


@contextmanager
def join(cfg: RunConfig) -> Iterator[Ranks]:
    """Meet the other processes, if torchrun has started several; all but the first are silent meanwhile.

    Raises UserError if there are more of them than views, or for what only one process can do.
    """
    ranks = Ranks(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    if ranks.world == 1:
        yield ranks
        return
    if cfg.batch_size < ranks.world:
        raise UserError(
            f"batch_size={cfg.batch_size} is too few for {ranks.world} processes, which share views: "
            f"choose batch_size={ranks.world} or a multiple of it"
        )
    if cfg.loss_name == "vsd" or cfg.source is not None or cfg.generator.name != "nerf":
        raise UserError(
            f"loss={cfg.loss_name} generator={cfg.generator.name}: several processes train a NeRF without "
            "critic and source only: choose one process, or loss=nfsd"
        )
    on_cuda = cfg.device != "cpu" and torch.cuda.is_available()
    if on_cuda:
        take_own_device(cfg, torch.cuda.device_count())
    # Loaded while there is no group: its functions have the group of that moment for a default, so loaded
    # later (by an optimiser's first step) they hold on to it, and a thread of gloo's that outlives `join` may
    # abort a process that is ending.
    importlib.import_module("torch.distributed.nn.functional")
    distributed.init_process_group("nccl" if on_cuda else "gloo")
    try:
        with open(os.devnull, "w") as nobody, redirect_stdout(sys.stdout if ranks.first else nobody):
            yield ranks
    finally:
        distributed.destroy_process_group()
