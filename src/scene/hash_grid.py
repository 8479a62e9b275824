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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import UserError
from src.streams import Streams

BLOCK = 32_768  # points handled at a time: the eight corners of a block stay in a core's second-level cache
# as signed 32-bit; products wrap around as the unsigned ones do
PRIMES = (1, 2_654_435_761 - 2**32, 805_459_861)
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


@dataclass
class HashGridConfig:
    """Size of the encoding; the defaults are those of instant-ngp and of the closest public config."""

    levels: int = 16
    features: int = 2
    log2_table: int = 19
    base_resolution: int = 16
    max_resolution: int = 4096

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


class _Desk:
    """Work space for one block of points, used for level after level: fresh memory costs more than the
    arithmetic.

    A word is a pair of features, or one feature where their number is odd.  Pairs travel as one complex
    number: a gather or scatter costs as much per element whether the element has four bytes or eight.
    """

    def __init__(self, points: Tensor, table: Tensor, levels: int, index_type: torch.dtype) -> None:
        count, width = len(points), _width(table)
        self._axes = points.t().to(table.dtype).contiguous()  # [3, n]
        self._position = torch.empty_like(self._axes)
        self._cell = torch.empty_like(self._axes, dtype=torch.int32)
        self._axes_per_number = self._axes.repeat_interleave(width, 1)
        self._inside = torch.empty_like(self._axes_per_number)
        self._corner = torch.empty(8, count, dtype=index_type, device=points.device)
        self.corner = self._corner.view(-1)
        self.share = self._axes.new_empty(8, count * width)  # what each corner gives, or gets back
        self.halves = [(self.share[:known], self.share[known : 2 * known]) for known in (1, 2, 4)]
        self.share_words = _words(self.share.view(-1, width), width)[:, 0]  # the same memory
        self.blend = self.share_words[:count]
        # The whole encoding, level by level: turning it into rows at once is cheaper than a column at a time.
        self.words = _words(table[:0], width).new_empty(levels * table.shape[1] // width, count)

    def locate(self, level: Level) -> tuple[Tensor, ...]:
        """Fill `corner` with every corner's row within the level; return per axis how far along its cell
        each point is, once for each number in a word.
        """
        torch.mul(self._axes, level.scale, out=self._position).add_(0.5)
        self._cell.copy_(self._position)  # towards zero, and positions are positive
        strides = (1, level.resolution, level.resolution**2) if level.dense else PRIMES
        torch.add(self._cell[0], 1, out=self._corner[1])
        self._corner[0] = self._cell[0]
        combine = torch.add if level.dense else torch.bitwise_xor
        for axis, known in ((1, 2), (2, 4)):
            near = (self._cell[axis] * strides[axis]).to(self._corner.dtype)
            combine(self._corner[:known], near + strides[axis], out=self._corner[known : 2 * known])
            combine(self._corner[:known], near, out=self._corner[:known])
        if not level.dense:
            self._corner &= level.rows - 1
        return torch.mul(self._axes_per_number, level.scale, out=self._inside).add_(0.5).frac_().unbind()


class _Encode(torch.autograd.Function):
    """The encoding and its gradient with respect to the table (none to the points, no second derivatives).

    Level by level, eight one-dimensional gathers and a tree of interpolations; backward runs the tree from
    its root and scatters in place.  Indices are cheaper to compute again than to keep.
    """

    @staticmethod
    def forward(
        ctx: Any, ticket: Tensor, points: Tensor, table: Tensor, levels: list[Level], sink: _Sink
    ) -> Tensor:
        ctx.save_for_backward(points)
        ctx.table, ctx.levels, ctx.sink = table, levels, sink
        ctx.ticket = ticket  # alive as long as this graph is, for later calls to find
        encoded = table.new_empty(len(points), len(levels) * table.shape[1])
        width = _width(table)
        words, encoded_words = _words(table, width), _words(encoded, width)
        for block in _blocks(len(points)):
            desk = _Desk(points[block], table, len(levels), torch.int32)
            for level, into in zip(levels, desk.words.chunk(len(levels)), strict=True):
                weights = desk.locate(level)
                for number, word in enumerate(into):
                    rows = words[level.first : level.first + level.rows, number]
                    torch.index_select(rows, 0, desk.corner, out=desk.share_words)
                    for (near, far), weight in zip(desk.halves[::-1], weights[::-1], strict=True):
                        torch.lerp(near, far, weight, out=near)
                    word.copy_(desk.blend)
            encoded_words[block] = desk.words.t()
        return encoded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (points,) = ctx.saved_tensors
        upstream = gradients[0].contiguous()
        width = _width(ctx.table)
        words = _words(ctx.sink.open(ctx.table), width)
        for block in _blocks(len(points)):
            desk = _Desk(points[block], ctx.table, len(ctx.levels), torch.int64)  # as scatter_add_ wants it
            desk.words.copy_(_words(upstream[block], width).t())
            for level, onto in zip(ctx.levels, desk.words.chunk(len(ctx.levels)), strict=True):
                weights = desk.locate(level)
                for number, word in enumerate(onto):
                    desk.blend.copy_(word)
                    for (near, far), weight in zip(desk.halves, weights, strict=True):
                        torch.mul(near, weight, out=far)
                        near -= far
                    rows = words[level.first : level.first + level.rows, number]
                    rows.scatter_add_(0, desk.corner, desk.share_words)
        return upstream.new_zeros(()), None, None, None, None


def _blocks(points: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, points, BLOCK))


def _words(rows: Tensor, width: int) -> Tensor:
    """[N, M] -> [N, M / 2] complex, the same memory, for words two numbers wide; as it is for one."""
    return rows.view(COMPLEX[rows.dtype]) if width == 2 else rows


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

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n outputs"]:
        """Encode points of the unit cube (half a cell beyond it is harmless); no gradient flows to the
        points.
        """
        return _Encode.apply(self._shared_ticket(), points, self.table.detach(), self.levels, self._sink)

    def _shared_ticket(self) -> Tensor:
        """One ticket for all calls since the oldest graph still alive, so that a step fills one gradient."""
        ticket = self._ticket() if self._ticket is not None else None
        like = (self.table.requires_grad and torch.is_grad_enabled(), self.table.dtype, self.table.device)
        if ticket is None or (ticket.requires_grad, ticket.dtype, ticket.device) != like:
            ticket = _Ticket.apply(self.table, self._sink)
            self._ticket = weakref.ref(ticket)
        return ticket
