"""Multiresolution hash encoding (Mueller et al. 2022, "Instant neural graphics primitives", section 3), in
plain torch.

A level is a virtual grid of vertices over the unit cube, each of which owns a row of `features` numbers in
the table; a point's encoding is, per level, the trilinear blend of the rows of its cell's eight corners.
Coarse levels own one row per vertex ("dense"); finer ones share `2**log2_table` rows through a hash of the
vertex.  Scales, offsets, hash and row order are those of tiny-cuda-nn, so parameters can be carried over row
by row.

Corner k of a cell is the vertex at cell + (k & 1, k >> 1 & 1, k >> 2 & 1): x is the fastest axis everywhere.
"""

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import UserError
from src.streams import Streams

# Points that a processor handles at a time: the eight corners of a block stay in a core's second-level cache.
# An accelerator, where every call has its price, takes them all at once.
BLOCK = 32_768
# as signed 32-bit; products wrap around as the unsigned ones do
PRIMES = (1, 2_654_435_761 - 2**32, 805_459_861)
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


class HashGridBackend(StrEnum):
    """What computes the encoding; the table is ours in any case."""

    auto = "auto"  # tiny-cuda-nn where a run on CUDA finds it working when it starts; torch everywhere else
    torch = "torch"
    tcnn = "tcnn"


@dataclass
class HashGridConfig:
    """Size of the encoding; the defaults are those of instant-ngp and of the closest public config."""

    levels: int = 16
    features: int = 2
    log2_table: int = 19
    base_resolution: int = 16
    max_resolution: int = 4096
    backend: HashGridBackend = HashGridBackend.auto

    def __post_init__(self) -> None:
        for name in ("levels", "features", "base_resolution"):
            if getattr(self, name) < 1:
                raise UserError(f"field.hash_grid.{name}={getattr(self, name)} must be at least 1.")
        if not 1 <= self.log2_table <= 28:
            raise UserError(f"field.hash_grid.log2_table={self.log2_table} must lie in [1, 28].")
        if not self.base_resolution <= self.max_resolution <= 2**20:
            raise UserError(
                f"field.hash_grid.max_resolution={self.max_resolution} must lie between "
                f"field.hash_grid.base_resolution={self.base_resolution} and {2**20}."
            )


class Level(NamedTuple):
    """One level: rows [first, first + rows) of the table, and how a point finds its vertices."""

    first: int
    rows: int
    scale: float  # cells along the cube's edge
    resolution: int  # vertices along the edge, the stride of a dense level
    dense: bool


def plan_levels(cfg: HashGridConfig) -> list[Level]:
    """The levels from coarse to fine, with geometrically growing resolution (section 3, equations 2-3)."""
    growth = (cfg.max_resolution / cfg.base_resolution) ** (1 / max(1, cfg.levels - 1))
    levels, first = [], 0
    for number in range(cfg.levels):
        # a whole number must not round up to the next
        scale = round(cfg.base_resolution * growth**number - 1, 6)
        resolution = math.ceil(scale) + 1
        dense = resolution**3 <= 2**cfg.log2_table
        # Points beyond the last vertex (half a cell at most) reach one vertex further along each axis: a
        # dense level has rows for them at its end, which spares every look-up a modulo.
        rows = resolution * (resolution * (resolution + 1) + 1) + 1 if dense else 2**cfg.log2_table
        levels.append(Level(first, rows, scale, resolution, dense))
        first += rows
    return levels


def encode_reference(
    points: Float[Tensor, "n 3"], table: Float[Tensor, "rows features"], levels: list[Level]
) -> Float[Tensor, "n outputs"]:
    """What `HashGrid` computes, written to be read: every corner's row times its trilinear weight, summed."""
    encoded = []
    for level in levels:
        position = points * level.scale + 0.5
        cell = position.floor()
        inside = position - cell
        blend = table.new_zeros(len(points), table.shape[1])
        for corner in range(8):
            step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
            x, y, z = (cell.long() + step).unbind(-1)
            if level.dense:
                row = x + y * level.resolution + z * level.resolution**2
            else:
                row = (x ^ y * 2_654_435_761 ^ z * 805_459_861) % level.rows
            weight = torch.where(step == 1, inside, 1 - inside).prod(-1)
            blend = blend + weight[:, None] * table[level.first + row]
        encoded.append(blend)
    return torch.cat(encoded, -1)


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


def block_size(points: Tensor) -> int:
    """How many of these points are encoded at a time."""
    return BLOCK if points.device.type == "cpu" else max(1, len(points))


class _Desk:
    """Work space for a block of points at a time, reused: fresh memory costs more than the arithmetic.

    A word is a pair of features, or one feature where their number is odd.  Pairs travel as one complex
    number: a gather or scatter costs as much per element whether the element has four bytes or eight.
    """

    def __init__(self, points: Tensor, table: Tensor, index_type: torch.dtype) -> None:
        self._width, self._index_type = _width(table), index_type
        axes = points.t().to(table.dtype).contiguous()  # [3, n]
        block = block_size(points)
        self._axes = axes.split(block, 1)
        self._axes_per_number = axes.repeat_interleave(self._width, 1).split(block * self._width, 1)
        self._lay_out(self._axes[0])

    def _lay_out(self, axes: Tensor) -> None:
        """Room for one block, with every view the loops need: there are thousands of calls a step."""
        count = axes.shape[1]
        self._position = torch.empty_like(axes)
        self._near = torch.empty_like(axes, dtype=torch.int32)  # each axis's part in the row, lower vertex
        self._far = torch.empty_like(self._near)  # upper vertex
        self._edges = list(zip(self._near, self._far, strict=True))
        self._plane = self._near.new_empty(4, count)  # the corners of the cell's projection along z
        self._corner = self._near.new_empty(2, 4, count, dtype=self._index_type)
        self._corner_flat = self._corner.view(-1)
        self._inside = axes.new_empty(3, count * self._width)
        share = axes.new_empty(8, count * self._width)  # what each corner gives, or gets back
        self._share_words = _words(share.view(-1, self._width), self._width)[:, 0]  # the same memory
        self._root = self._share_words[:count]
        halves = ((share[:known], share[known : 2 * known]) for known in (1, 2, 4))
        self._tree = [(near, far, part) for (near, far), part in zip(halves, self._inside, strict=True)]

    def locate(self, level: Level, block: int) -> None:
        """Find every corner's row within the level, and how far along its cell each point of the block is."""
        axes = self._axes[block]
        if axes.shape != self._position.shape:
            self._lay_out(axes)
        torch.mul(axes, level.scale, out=self._position).add_(0.5)
        self._near.copy_(self._position)  # towards zero, and positions are positive
        strides = (1, level.resolution, level.resolution**2) if level.dense else PRIMES
        stride = self._near.new_tensor(strides)[:, None]
        self._near *= stride
        torch.add(self._near, stride, out=self._far)
        if not level.dense:
            self._near &= level.rows - 1
            self._far &= level.rows - 1
        combine = torch.add if level.dense else torch.bitwise_xor
        x, y, z = self._edges
        for number, corner in enumerate(self._plane):
            combine(x[number & 1], y[number >> 1], out=corner)
        for part, corner in zip(z, self._corner, strict=True):
            combine(self._plane, part, out=corner)
        torch.mul(self._axes_per_number[block], level.scale, out=self._inside).add_(0.5).frac_()

    def gather(self, rows: Tensor, into: Tensor) -> None:
        """Blend the corners' words: a tree of interpolations along z, y and x."""
        torch.index_select(rows, 0, self._corner_flat, out=self._share_words)
        for near, far, part in reversed(self._tree):
            torch.lerp(near, far, part, out=near)
        into.copy_(self._root)

    def scatter(self, blends: Tensor, rows: Tensor) -> None:
        """The reverse: the tree from its root, then every corner's share added to its row."""
        self._root.copy_(blends)
        for near, far, part in self._tree:
            torch.mul(near, part, out=far)
            near -= far
        rows.scatter_add_(0, self._corner_flat, self._share_words)


class _Encode(torch.autograd.Function):
    """The encoding and its gradient with respect to the table (none to the points, no second derivatives).

    Level by level, eight one-dimensional gathers and a tree of interpolations; backward runs the tree from
    its root and scatters in place.  Indices are cheaper to compute again than to keep.  All blocks pass a
    level before the next is opened: its rows are then still in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any, ticket: Tensor, points: Tensor, table: Tensor, levels: list[Level], sink: _Sink
    ) -> Tensor:
        ctx.save_for_backward(points)
        ctx.table, ctx.levels, ctx.sink = table, levels, sink
        ctx.ticket = ticket  # alive as long as this graph is, for later calls to find
        words = _words(table, _width(table))
        encoded = words.new_empty(len(levels) * words.shape[1], len(points))
        desk = _Desk(points, table, torch.int32)
        for level, into in zip(levels, encoded.chunk(len(levels)), strict=True):
            rows = words[level.first : level.first + level.rows]
            for block, blends in enumerate(into.split(block_size(points), 1)):
                desk.locate(level, block)
                for word, blend in zip(rows.unbind(1), blends, strict=True):
                    desk.gather(word, blend)
        return _numbers(encoded.t().contiguous(), _width(table))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (points,) = ctx.saved_tensors
        width = _width(ctx.table)
        words = _words(ctx.sink.open(ctx.table), width)
        if not len(points):  # an empty gradient may have strides that no complex number fits
            return gradients[0].new_zeros(()), None, None, None, None
        upstream = _words(gradients[0].contiguous(), width).t().contiguous()
        desk = _Desk(points, ctx.table, torch.int64)
        for level, onto in zip(ctx.levels, upstream.chunk(len(ctx.levels)), strict=True):
            rows = words[level.first : level.first + level.rows]
            for block, blends in enumerate(onto.split(block_size(points), 1)):
                desk.locate(level, block)
                for word, blend in zip(rows.unbind(1), blends, strict=True):
                    desk.scatter(blend, word)
        return gradients[0].new_zeros(()), None, None, None, None


def _words(rows: Tensor, width: int) -> Tensor:
    """[N, M] -> [N, M / 2] complex, the same memory, for words two numbers wide; as it is for one."""
    return rows.view(COMPLEX[rows.dtype]) if width == 2 else rows


def _numbers(words: Tensor, width: int) -> Tensor:
    """The inverse of `_words`."""
    return torch.view_as_real(words).flatten(1) if width == 2 else words


def _width(table: Tensor) -> int:
    return 1 if table.shape[1] % 2 else 2


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
        self._accelerated: Callable[[Tensor, Tensor], Tensor] | None = None
        if cfg.backend is HashGridBackend.tcnn:
            from src.scene.tcnn_encoding import (
                TcnnEncoding,
            )  # it is made of our levels, so it cannot come first

            self._accelerated = TcnnEncoding(cfg)

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n outputs"]:
        """Encode points of the unit cube (half a cell beyond it is harmless); no gradient flows to the
        points.
        """
        if self._accelerated is not None:
            return self._accelerated(points, self.table)
        return _Encode.apply(self._shared_ticket(), points, self.table.detach(), self.levels, self._sink)

    def _shared_ticket(self) -> Tensor:
        """One ticket for all calls since the oldest graph still alive, so that a step fills one gradient."""
        ticket = self._ticket() if self._ticket is not None else None
        like = (self.table.requires_grad and torch.is_grad_enabled(), self.table.dtype, self.table.device)
        if ticket is None or (ticket.requires_grad, ticket.dtype, ticket.device) != like:
            ticket = _Ticket.apply(self.table, self._sink)
            self._ticket = weakref.ref(ticket)
        return ticket
