"""Random numbers as a function of (seed, step, name, view) and of nothing else.

Which numbers a run sees does not depend on what ran before, on how the batch is split, or on who else
draws: two losses, two batch splits, and a run and its resumed twin all see the same cameras, backgrounds,
timesteps and noises. NumPy's Philox draws on the CPU, always float32: a torch.Generator keeps 32 bits of
its seed, its `randn` depends on the processor's vector width, and a half-precision draw is other noise.
"""

import hashlib

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor


def _generator(seed: int, step: int, view: int, name: str) -> np.random.Generator:
    # The name comes last, so no name can imitate another key; Python's own hash() of a string is salted.
    digest = hashlib.blake2b(f"{seed} {step} {view} {name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def upload(numbers: Tensor, device: torch.device) -> Tensor:
    """The processor's numbers on a device, without waiting for what the device is at."""
    if device.type != "cuda":
        return numbers.to(device)
    return numbers.pin_memory().to(device, non_blocking=True)


class Stream:
    """One named stream of one step; row i of every draw belongs to view `first_view + i` alone."""

    def __init__(self, seed: int, step: int, name: str, first_view: int, device: torch.device) -> None:
        self._key = (seed, step)
        self._name = name
        self._first_view = first_view
        self._device = device
        self._rows: dict[int, np.random.Generator] = {}  # by view
        self._drawn = hashlib.blake2b(digest_size=16)

    def uniform(self, *shape: int) -> Float32[Tensor, "..."]:
        """Uniform numbers in [0, 1) of the given shape, whose first axis counts views."""
        return self._draw("uniform", shape)

    def normal(self, *shape: int) -> Float32[Tensor, "..."]:
        """Standard normal numbers of the given shape, whose first axis counts views."""
        return self._draw("normal", shape)

    def drawn(self) -> bytes:
        """Digest of everything this stream has handed out so far."""
        return self._drawn.digest()

    def _draw(self, law: str, shape: tuple[int, ...]) -> Float32[Tensor, "..."]:
        if not shape:
            raise ValueError(f"stream {self._name!r}: the first axis of a draw counts views; give a shape")
        numbers = np.empty(shape, dtype=np.float32)
        for row in range(shape[0]):
            view = self._first_view + row
            if view not in self._rows:
                self._rows[view] = _generator(*self._key, view, self._name)
            generator = self._rows[view]
            size = shape[1:]
            if law == "uniform":
                numbers[row] = generator.random(size, dtype=np.float32)
            else:
                numbers[row] = generator.standard_normal(size, dtype=np.float32)
        self._drawn.update(numbers.tobytes())
        return upload(torch.from_numpy(numbers), self._device)


class Streams:
    """All random numbers of one step: `streams(name)` is the stream of that name, the same object every time.

    Two draws from one name continue the stream row by row. One-off draws (initialisation) use step 0, a name
    that begins with "init/", and a first axis of 1.
    """

    def __init__(self, seed: int, step: int, first_view: int = 0, device: torch.device | str = "cpu") -> None:
        if min(seed, step, first_view) < 0:
            raise ValueError(f"seed, step and first_view count from 0, got {seed}, {step}, {first_view}")
        self._seed, self._step, self._first_view = seed, step, first_view
        self._device = torch.device(device)
        self._streams: dict[str, Stream] = {}

    def __call__(self, name: str) -> Stream:
        """Return the stream of this name; asking for another name changes nobody else's numbers."""
        if name not in self._streams:
            self._streams[name] = Stream(self._seed, self._step, name, self._first_view, self._device)
        return self._streams[name]

    def here(self, name: str) -> Stream:
        """Return the stream of this name with its numbers left on the processor, which decides by them."""
        if name not in self._streams:
            self._streams[name] = Stream(self._seed, self._step, name, self._first_view, torch.device("cpu"))
        return self._streams[name]

    def shared(self, name: str) -> Stream:
        """Return the stream of this name as view 0 has it: the same numbers whatever the share."""
        if name not in self._streams:
            self._streams[name] = Stream(self._seed, self._step, name, 0, self._device)
        return self._streams[name]

    def of_run(self, name: str) -> Stream:
        """Return the stream of this name as step 0 has it: the same numbers in every step."""
        if name not in self._streams:
            self._streams[name] = Stream(self._seed, 0, name, self._first_view, self._device)
        return self._streams[name]

    def again(self) -> "Streams":
        """Return the same streams from their beginning, for whoever shall see the same numbers."""
        return Streams(self._seed, self._step, self._first_view, self._device)

    def digest(self) -> str:
        """Hex digest of every number drawn in this step so far, in the order of the names."""
        whole = hashlib.blake2b(digest_size=16)
        for name in sorted(self._streams):
            whole.update(f"{len(name)} {name} ".encode() + self._streams[name].drawn())
        return whole.hexdigest()
