"""A device that pretends: `with pretend_cuda() as counts: ...` runs the CUDA path where torch has no CUDA.

Tensors are a processor's, with a tag per storage that says whether they are "on" cuda:0.  Operations that
mix the two raise, as CUDA would; what makes the host wait for the device, or is launched on it, is counted by
the line of src that asked for it.  It cannot test kernels and knows no time.

Waits are what CUDA waits for: values that are read back (item, tolist, copies), results whose size only the
device knows (nonzero, boolean indices, unique, bincount, repeat_interleave without output_size), and copies
from memory that is not pinned or not non_blocking.  A launch is any operation but views and empty memory.
"""

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from types import FrameType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")
aten = torch.ops.aten
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
COPIES = {aten.copy_.default, aten._to_copy.default}
# These take no zero-dimensional tensor of the processor beside others of the device.
STRICT = {aten.cat.default, aten.index_select.default, aten.scatter_add_.default, aten.gather.default}
WAITS = {
    aten._local_scalar_dense: 1,
    aten.nonzero: 1,
    aten.bincount: 2,
    aten._unique2: 2,
    aten.unique_dim: 2,
    aten.unique_consecutive: 2,
    aten.masked_select: 1,
    aten.equal: 1,
    aten.repeat_interleave: 1,
    aten.is_nonzero: 1,
}
NO_LAUNCH = {
    *(aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided),
    *(aten._unsafe_view, aten.detach, aten._local_scalar_dense),
}
_own_device = torch._C.TensorBase.device


def _storage(tensor: Tensor) -> Any:
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage()


class Tags:
    """Which storages are on the device, and which are pinned."""

    def __init__(self) -> None:
        self._cuda: set[int] = set()
        self._pinned: set[int] = set()

    def on_cuda(self, tensor: Tensor) -> bool:
        try:
            return _storage(tensor)._cdata in self._cuda
        except (NotImplementedError, RuntimeError):
            return False

    def pinned(self, tensor: Tensor) -> bool:
        return _storage(tensor)._cdata in self._pinned

    def put(self, tree: Any, kind: str = "_cuda") -> Any:
        for leaf in _tensors(tree):
            if _own_device.__get__(leaf).type == "cpu":
                storage, tagged = _storage(leaf), getattr(self, kind)
                if storage._cdata not in tagged:
                    tagged.add(storage._cdata)
                    weakref.finalize(storage, tagged.discard, storage._cdata)
        return tree

    def device(self, tensor: Tensor) -> torch.device:
        own = _own_device.__get__(tensor)
        return CUDA if own.type == "cpu" and self.on_cuda(tensor) else own


class Counts:
    """Waits and launches by (part, line of src)."""

    def __init__(self) -> None:
        self.waits: Counter[tuple[str, str]] = Counter()
        self.launches: Counter[tuple[str, str]] = Counter()
        self.part = ""
        self.silent = self.in_backward = False

    def charge(self, part: str | None) -> None:
        """Charge what follows to this part."""
        self.part = part or ""

    def clear(self) -> None:
        self.waits.clear()
        self.launches.clear()

    def wait(self, kind: str, times: int = 1) -> None:
        if not self.silent:
            self.waits[self.part, f"{kind} {_line()}"] += times

    def launch(self) -> None:
        self.launches[self.part, _line()] += 1

    def totals(self, *apart: str) -> tuple[int, int]:
        """Waits and launches of all parts but those named."""
        found = (
            sum(n for (part, _), n in each.items() if part not in apart)
            for each in (self.waits, self.launches)
        )
        waits, launches = found
        return waits, launches


def _line() -> str:
    """Who asked: the innermost line of src on the stack, which is looked at for every operation."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if (name := _name(frame.f_code.co_filename)) is not None:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


@cache
def _name(file: str) -> str | None:
    ours = "/src/" in file and "site-packages" not in file
    return f"src/{file.split('/src/', 1)[1]}" if ours else None


class _Dispatch(TorchDispatchMode):
    """Sees every operation: refuses mixtures, counts, and puts results where their operands are."""

    def __init__(self, tags: Tags, counts: Counts) -> None:
        super().__init__()
        self.tags, self.counts = tags, counts

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, tags, packet = dict(kwargs or {}), self.tags, func._overloadpacket
        leaves = [*_tensors(args), *_tensors(kwargs.values())] if kwargs else _tensors(args)
        on = [tags.on_cuda(leaf) for leaf in leaves]
        made_there = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda"
        if made_there:
            kwargs["device"] = CPU
        if any(on) and not all(on) and func not in COPIES:
            self._refuse(func, args, leaves, on)
        made = func(*args, **kwargs)
        if func is aten.copy_.default:
            if on[0] != on[1] and not (on[0] and _asynchronous(tags, args[1], args[2:], kwargs)):
                self.counts.wait("copy_")
            if on[0]:
                self.counts.launch()
            return made
        # What the engine fills in for gradients that nobody gave, it makes where the true device is.
        made_there |= self.counts.in_backward and not leaves
        if any(on) or made_there:
            if packet in WAITS and kwargs.get("output_size") is None:
                self.counts.wait(packet.__name__, WAITS[packet])
            if func in INDEXING and any(i.dtype is torch.bool for i in _tensors(args[1:2])):
                self.counts.wait("boolean index")
            if not _is_view(func) and packet not in NO_LAUNCH:
                self.counts.launch()
            tags.put(made)
        return made

    def _refuse(self, func: Any, args: Any, leaves: list[Tensor], on: list[bool]) -> None:
        here = [leaf for leaf, there in zip(leaves, on, strict=True) if not there]
        bad = [leaf for leaf in here if leaf.dim() or func in STRICT]
        if func in INDEXING and self.tags.on_cuda(args[0]):
            values = [leaf for leaf in _tensors(args[2:3]) if leaf.dim()]
            bad = [leaf for leaf in values if not self.tags.on_cuda(leaf)]
            self.counts.wait("index from the processor")
        if bad:
            shapes = [
                (tuple(leaf.shape), "cuda" if there else "cpu")
                for leaf, there in zip(leaves, on, strict=True)
            ]
            raise RuntimeError(f"{func} mixes devices at {_line()}: {shapes}")


def _tensors(tree: Any) -> list[Tensor]:
    """The tensors among an operation's arguments or results, lists of them included."""
    if isinstance(tree, Tensor):
        return [tree]
    found = []
    for leaf in tree if isinstance(tree, Iterable) and not isinstance(tree, str) else ():
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif isinstance(leaf, list | tuple):
            found += _tensors(leaf)
    return found


@cache
def _is_view(func: Any) -> bool:
    aliases = [result.alias_info for result in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _asynchronous(tags: Tags, source: Tensor, rest: Any, kwargs: dict[str, Any]) -> bool:
    return bool(tags.pinned(source) and (kwargs.get("non_blocking") or (rest and rest[0])))


class _Function(TorchFunctionMode):
    """Sees every call from Python: moves between the devices, and memory made on one of them."""

    def __init__(self, tags: Tags, counts: Counts) -> None:
        super().__init__()
        self.tags, self.counts = tags, counts

    def __torch_function__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, tags = dict(kwargs or {}), self.tags
        if func is Tensor.to:
            return self._move(func, args, kwargs)
        if func in (Tensor.cuda, Tensor.cpu):
            with self:
                return args[0].to("cuda" if func is Tensor.cuda else "cpu")
        if func is Tensor.pin_memory:
            if tags.on_cuda(args[0]):
                raise RuntimeError(f"cannot pin a tensor of cuda:0: only memory of the host, at {_line()}")
            return tags.put(args[0].clone(), "_pinned")
        if func in (Tensor.numpy, Tensor.__array__) and tags.on_cuda(args[0]):
            raise TypeError(f"can't convert cuda:0 device type tensor to numpy at {_line()}")
        if func is Tensor.tolist and tags.on_cuda(args[0]):
            self.counts.wait("tolist")
            self.counts.silent = True
            try:
                return func(*args, **kwargs)
            finally:
                self.counts.silent = False
        name = getattr(func, "__name__", "")
        if kwargs.get("device") is not None and _device(kwargs["device"]).type == "cuda":
            made = func(*args, **{**kwargs, "device": CPU})
            if name in ("tensor", "as_tensor", "new_tensor"):
                self.counts.wait(name)
            elif not name.startswith(("empty", "new_empty")):
                self.counts.launch()
            return tags.put(made)
        if name.startswith("new_") and isinstance(args[0], Tensor) and tags.on_cuda(args[0]):
            if name == "new_tensor" and kwargs.get("device") is None:
                self.counts.wait(name)
            if kwargs.get("device") is None:
                return tags.put(func(*args, **kwargs))
        return func(*args, **kwargs)

    def _move(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        tensor, rest, tags = args[0], args[1:], self.tags
        like = next((other for other in (*rest, kwargs.get("other")) if isinstance(other, Tensor)), None)
        target = kwargs.get("device") if like is None else tags.device(like)
        target = next((each for each in rest if isinstance(each, torch.device | str)), target)
        if target is None or _device(target).type == "meta":
            return func(*args, **kwargs)
        dtype = next((each for each in rest if isinstance(each, torch.dtype)), kwargs.get("dtype"))
        dtype = dtype or (tensor.dtype if like is None else like.dtype)
        layout = {"memory_format": kwargs["memory_format"]} if kwargs.get("memory_format") else {}
        target = _device(target)
        if tags.device(tensor).type == target.type:
            return func(tensor, dtype, copy=bool(kwargs.get("copy")), **layout)
        asynchronous = kwargs.get("non_blocking") and target.type == "cuda" and tags.pinned(tensor)
        if not asynchronous:
            self.counts.wait(f"copy to {target.type}")
        on_cuda = tags.on_cuda(tensor)
        with torch._C.DisableTorchFunction():
            fresh = tensor.to(dtype, copy=True, **layout)
        if on_cuda:
            tags._cuda.discard(_storage(fresh)._cdata)
        else:
            tags.put(fresh)
        return fresh


def _device(named: Any) -> torch.device:
    return CUDA if isinstance(named, int) else torch.device(named)


class _Event:
    """An event that takes no time; asking how long it took waits for it."""

    counts: Counts

    def __init__(self, **_settings: Any) -> None: ...
    def record(self, *_stream: Any) -> None: ...
    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        self.counts.wait("event")

    def elapsed_time(self, _end: "_Event") -> float:
        return 1.0


@contextmanager
def pretend_cuda() -> Iterator[Counts]:
    """Make "cuda" a device that one can use, until the end of the block; yields what it counts."""
    tags, counts = Tags(), Counts()
    function, dispatch = _Function(tags, counts), _Dispatch(tags, counts)
    engine = torch.autograd._engine_run_backward

    def run_backward(*args: Any, **kwargs: Any) -> Any:
        counts.in_backward = True
        try:
            with function:  # the engine leaves modes of functions behind
                return engine(*args, **kwargs)
        finally:
            counts.in_backward = False

    event = type("Event", (_Event,), {"counts": counts})
    stand_ins: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda _device: None,
        "synchronize": lambda *_device: counts.wait("synchronize"),
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda *_device: None,
        "max_memory_allocated": lambda *_device: 0,
        "get_device_properties": lambda _device: SimpleNamespace(
            name="a pretended device", total_memory=8e10
        ),
        "Event": event,
    }
    with ExitStack() as stack:
        for name, stand_in in stand_ins.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, stand_in))
        stack.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", run_backward))
        for name, ask in {"device": tags.device, "is_cuda": tags.on_cuda}.items():
            setattr(Tensor, name, property(ask))
            stack.callback(delattr, Tensor, name)
        stack.enter_context(function)
        stack.enter_context(dispatch)
        yield counts
