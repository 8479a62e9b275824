"""The encoding on a processor: level after level, a block of points at a time, for the caches' sake."""

import torch
from torch import Tensor

from src.scene.levels import PRIMES, Level

# Points that are handled at a time: the eight corners of a block stay in a core's second-level cache.
BLOCK = 32_768
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


class _Desk:
    """Work space for a block of points at a time, reused: fresh memory costs more than the arithmetic.

    A word is a pair of features, or one feature where their number is odd.  Pairs travel as one complex
    number: a gather or scatter costs as much per element whether the element has four bytes or eight.
    """

    def __init__(self, points: Tensor, table: Tensor, index_type: torch.dtype) -> None:
        self._width, self._index_type = _width(table), index_type
        axes = points.t().to(table.dtype).contiguous()  # [3, n]
        block = BLOCK
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


class ByBlocks:
    """Level by level, eight one-dimensional gathers and a tree of interpolations; backward runs the tree from
    its root and scatters in place.

    Indices are cheaper to compute again than to keep.  All blocks pass a level before the next is opened: its
    rows are then still in the cache.
    """

    def __init__(self, levels: list[Level]) -> None:
        self._levels = levels

    def encode(self, points: Tensor, table: Tensor) -> Tensor:
        """See src/scene/hash_grid.py's Kernels."""
        levels, words = self._levels, _words(table, _width(table))
        encoded = words.new_empty(len(levels) * words.shape[1], len(points))
        desk = _Desk(points, table, torch.int32)
        for level, into in zip(levels, encoded.chunk(len(levels)), strict=True):
            rows = words[level.first : level.first + level.rows]
            for block, blends in enumerate(into.split(BLOCK, 1)):
                desk.locate(level, block)
                for word, blend in zip(rows.unbind(1), blends, strict=True):
                    desk.gather(word, blend)
        return _numbers(encoded.t().contiguous(), _width(table))

    def accumulate(self, points: Tensor, upstream: Tensor, gradient: Tensor) -> None:
        """See src/scene/hash_grid.py's Kernels."""
        width = _width(gradient)
        words = _words(gradient, width)
        onto_levels = _words(upstream.contiguous(), width).t().contiguous()
        desk = _Desk(points, gradient, torch.int64)
        for level, onto in zip(self._levels, onto_levels.chunk(len(self._levels)), strict=True):
            rows = words[level.first : level.first + level.rows]
            for block, blends in enumerate(onto.split(BLOCK, 1)):
                desk.locate(level, block)
                for word, blend in zip(rows.unbind(1), blends, strict=True):
                    desk.scatter(blend, word)


def _words(rows: Tensor, width: int) -> Tensor:
    """[N, M] -> [N, M / 2] complex, the same memory, for words two numbers wide; as it is for one."""
    return rows.view(COMPLEX[rows.dtype]) if width == 2 else rows


def _numbers(words: Tensor, width: int) -> Tensor:
    """The inverse of `_words`."""
    return torch.view_as_real(words).flatten(1) if width == 2 else words


def _width(table: Tensor) -> int:
    return 1 if table.shape[1] % 2 else 2
