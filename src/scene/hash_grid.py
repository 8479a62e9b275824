"""The hash encoding (src/scene/levels.py) as a module: one table, whatever computes with it.

A step encodes chunk after chunk of points; all its backward passes add up in one gradient, in place.
"""

import weakref
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.scene.hash_grid_at_once import AtOnce
from src.scene.hash_grid_by_blocks import ByBlocks
from src.scene.levels import HashGridBackend, HashGridConfig, plan_levels
from src.scene.tcnn_encoding import TcnnEncoding
from src.streams import Streams


@runtime_checkable
class Kernels(Protocol):
    """What computes: made for a list of levels, points in the unit cube, tables as their rows say."""

    def encode(self, points: Tensor, table: Tensor) -> Tensor:
        """[n, 3] points and the [rows, features] table to [n, levels * features], without graph."""

    def accumulate(self, points: Tensor, upstream: Tensor, gradient: Tensor) -> None:
        """Add to the table's gradient what the encoding's, [n, levels * features] with n > 0, amounts to."""


class _Sink:
    """Where the backward passes of all calls in flight add up the table's gradient, in place."""

    def __init__(self) -> None:
        self.gradient: Tensor | None = None

    def open(self, table: Tensor) -> Tensor:
        if self.gradient is None:
            self.gradient = torch.zeros_like(table)
        return self.gradient

    def take(self) -> Tensor | None:
        gradient, self.gradient = self.gradient, None
        return gradient


class _Ticket(torch.autograd.Function):
    """A scalar that every encoding depends on and that depends on the table.

    Autograd reaches it when the last encoding has run backward; only then is the shared gradient handed to
    the table. A gradient returned by each call instead would be a whole table, filled with zeros and added
    up, per chunk of rays.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, sink: _Sink) -> Tensor:
        ctx.sink = sink
        return table.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None]:
        return ctx.sink.take(), None


class _Encode(torch.autograd.Function):
    """The encoding and its gradient with respect to the table (none to the points, no second derivatives)."""

    @staticmethod
    def forward(
        ctx: Any, ticket: Tensor, points: Tensor, table: Tensor, kernels: Kernels, sink: _Sink
    ) -> Tensor:
        ctx.save_for_backward(points)
        ctx.table, ctx.kernels, ctx.sink = table, kernels, sink
        ctx.ticket = ticket  # alive as long as this graph is, for later calls to find
        return kernels.encode(points, table)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (points,) = ctx.saved_tensors
        gradient = ctx.sink.open(ctx.table)
        if len(points):  # an empty gradient may have strides that no kernel takes
            ctx.kernels.accumulate(points, gradients[0], gradient)
        return gradients[0].new_zeros(()), None, None, None, None


class HashGrid(nn.Module):
    """The encoding and its table, which starts uniform in [-1e-4, 1e-4] (stream "init/hash_grid")."""

    def __init__(self, cfg: HashGridConfig, streams: Streams) -> None:
        super().__init__()
        self.levels = plan_levels(cfg)
        rows = sum(level.rows for level in self.levels)
        self.table = nn.Parameter(streams("init/hash_grid").uniform(1, rows, cfg.features)[0] * 2e-4 - 1e-4)
        self.output_size = cfg.levels * cfg.features
        self._sink = _Sink()
        self._ticket: weakref.ref[Tensor] | None = None
        self._by_blocks, self._at_once = ByBlocks(self.levels), AtOnce(self.levels)
        self._triton: Kernels | None = None
        self._tcnn: Callable[[Tensor, Tensor], Tensor] | None = None
        if cfg.backend is HashGridBackend.tcnn:
            self._tcnn = TcnnEncoding(cfg)
        elif cfg.backend is HashGridBackend.triton:
            from src.scene.hash_grid_triton import InTriton  # only torch's CUDA wheels bring Triton

            self._triton = InTriton(self.levels)

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n outputs"]:
        """Encode points of the unit cube, those outside as the nearest inside; no gradient flows to them."""
        points = points.clamp(0, 1)
        if self._tcnn is not None:
            return self._tcnn(points, self.table)
        kernels = self.kernels(points.device)
        return _Encode.apply(self._shared_ticket(), points, self.table.detach(), kernels, self._sink)

    def kernels(self, device: torch.device) -> Kernels:
        """What computes on this device."""
        return self._triton or (self._by_blocks if device.type == "cpu" else self._at_once)

    def _shared_ticket(self) -> Tensor:
        """One ticket for all calls since the oldest graph still alive, so that a step fills one gradient."""
        ticket = self._ticket() if self._ticket is not None else None
        like = (self.table.requires_grad and torch.is_grad_enabled(), self.table.dtype, self.table.device)
        if ticket is None or (ticket.requires_grad, ticket.dtype, ticket.device) != like:
            ticket = _Ticket.apply(self.table, self._sink)
            self._ticket = weakref.ref(ticket)
        return ticket
