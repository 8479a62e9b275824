"""The shards of the rendered world, taken up as they are finished."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap  # unlike np.load, it never unpickles

POLL_SECONDS = 0.2


def nobody_renders() -> None:
    """Raise: what is not there by now will never be."""
    raise FileNotFoundError("shards of the world are missing, and nobody renders them")


class Shards:
    """Which shards of a world are whole: on a processor all, on a GPU those that its renderers have finished.

    `check` raises if a renderer has failed.
    """

    def __init__(self, folder: Path, count: int, check: Callable[[], object] = nobody_renders) -> None:
        self.folder, self.count, self._check = folder, count, check
        self._taken: set[int] = set()

    def fresh(self) -> list[int]:
        """Numbers of the shards that became whole since the last call; waits while there is none at all."""
        while True:
            left = [index for index in range(self.count) if index not in self._taken]
            found = [index for index in left if (self.folder / f"{index:04d}.json").exists()]
            if left and not found:
                self._check()
            if found or self._taken:
                self._taken.update(found)
                return found
            time.sleep(POLL_SECONDS)

    def pixels(self, index: int) -> np.ndarray:
        """A shard's pictures [N, 128, 128, 4] uint8: the colours, before the backdrop, and the opacity."""
        return open_memmap(self.folder / f"{index:04d}.npy", mode="c")
