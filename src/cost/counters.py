"""What an operation costs that no clock sees: FLOPs, bytes moved, and bytes of tensors alive at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock
from weakref import finalize

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop, sdpa_flop

aten = torch.ops.aten
# torch's own table (a multiplication and an addition are two), and the attention of processors besides
FLOPS = flop_registry | {
    aten._scaled_dot_product_flash_attention_for_cpu: sdpa_flop,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_backward_flop,
}
# What an operation's schema does not tell about its traffic.
FREE = {
    *(aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided),
    aten._unsafe_view,
}
OVERWRITES = {aten.copy_, aten.fill_, aten.zero_}  # its first argument is written and not read
GATHERS = {aten.index_select, aten.index, aten.gather, aten.embedding}  # as many are read as are written
SCATTERS = {aten.scatter_add_, aten.index_add_}  # as many are read and written as are brought
READ_ONLY = {aten._fused_adamw_: "grads"}  # written only under a gradient scaler, which nobody uses here


class LiveBytes(TorchDispatchMode):
    """Counts bytes of tensors made inside the block and still alive; `peak` is the most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        mine = {
            leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)
        }
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._known | mine:
                    self._known.add(storage._cdata)
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    finalize(storage, self._forget, storage._cdata, storage.nbytes())
        return made

    def _forget(self, storage: int, size: int) -> None:
        self._known.discard(storage)
        self.now -= size


@dataclass
class Cost:
    """What one part of the work cost; bytes are those that its operations read and wrote."""

    flops: int = 0
    bytes: int = 0
    bytes_without_flops: int = 0  # of operations that the table of FLOPs says nothing about
    peak_live_bytes: int = 0  # while it was this part's turn

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.flops + other.flops,
            self.bytes + other.bytes,
            self.bytes_without_flops + other.bytes_without_flops,
            max(self.peak_live_bytes, other.peak_live_bytes),
        )

    def __mul__(self, times: int | float) -> "Cost":
        flops, moved, bare = (
            round(number * times) for number in (self.flops, self.bytes, self.bytes_without_flops)
        )
        return Cost(flops, moved, bare, self.peak_live_bytes)


class Tally(LiveBytes):
    """LiveBytes, and the cost of every operation charged to the part whose turn it is.

    Each operand and each result counts once per operation, as if nothing stayed in a cache in between; of
    what gathers and scatters address, the elements touched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.costs: dict[str, Cost] = {}
        self._cost = Cost()  # nobody's

    def charge(self, part: str | None) -> None:
        """Charge what follows to `part`, or to nobody."""
        self._cost = Cost() if part is None else self.costs.setdefault(part, Cost())
        self.peak = self.now

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = super().__torch_dispatch__(func, kinds, args, kwargs)
        cost, packet = self._cost, func._overloadpacket
        moved = bytes_moved(func, args, kwargs or {}, made)
        cost.bytes += moved
        if packet in FLOPS:
            cost.flops += FLOPS[packet](*args, **(kwargs or {}), out_val=made)
        else:
            cost.bytes_without_flops += moved
        cost.peak_live_bytes = max(cost.peak_live_bytes, self.peak)
        return made


@contextmanager
def fused_attention() -> Iterator[None]:
    """Attention in one operation, as on every real device; for meta tensors torch writes the scores down.

    The function itself is exchanged: a TorchFunctionMode does not hold where backward computes again.
    """

    def fused(query: Tensor, key: Tensor, value: Tensor, *_masks: Any, **_settings: Any) -> Tensor:
        return aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)[0]  # masks cost no extra

    with mock.patch.object(functional, "scaled_dot_product_attention", fused):
        yield


def bytes_moved(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], made: Any) -> int:
    """Bytes that one call of an operation (an overload of torch.ops.aten) reads and writes."""
    packet, schema = func._overloadpacket, func._schema
    aliases = [result.alias_info for result in schema.returns]
    if packet in FREE or any(alias is not None and not alias.is_write for alias in aliases):
        return 0  # memory without content, or a view
    if packet in GATHERS:
        return 2 * _size(made) + _size(args[1:])
    if packet in SCATTERS:
        return 3 * _size(args[3]) + _size(args[2])
    moved = _size([result for result, alias in zip(_tuple(made), aliases, strict=False) if alias is None])
    given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
    for argument in schema.arguments:
        size = _size(given.get(argument.name))
        written = argument.alias_info is not None and argument.alias_info.is_write
        if written and READ_ONLY.get(packet) != argument.name:
            only_written = argument.kwarg_only or packet in OVERWRITES
            moved += size if only_written else 2 * size
        else:
            moved += size
    return moved


def _tuple(made: Any) -> tuple[Any, ...]:
    return tuple(made) if isinstance(made, tuple | list) else (made,)


def _size(tree: Any) -> int:
    """Bytes of every tensor in nested arguments, what is repeated by a stride of 0 once."""
    size = 0
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor):
            numbers = leaf.element_size()
            for length, stride in zip(leaf.shape, leaf.stride(), strict=True):
                numbers *= length if stride or not length else 1
            size += numbers
    return size
