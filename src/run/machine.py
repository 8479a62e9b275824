"""The machine under a run: threads and flags that numbers depend on, and signals that must not lose work."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import torch

from src.config import RunConfig
from src.run.ranks import local_rank
from src.talk import say_at_once

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
HANG_UP = getattr(signal, "SIGHUP", None)  # Windows has none


def choose_device(cfg: RunConfig) -> torch.device:
    """Return the device named, else CUDA where there is one, else the processor (MPS is unmeasured).

    Of several processes on a machine each takes a CUDA device of its own.
    """
    chosen, here = torch.device(cfg.device or ("cuda" if torch.cuda.is_available() else "cpu")), local_rank()
    return chosen if here is None or chosen.type == "cpu" else torch.device("cuda", here)


def set_up(cfg: RunConfig, device: torch.device, before: Mapping[str, Any]) -> int | None:
    """Set every global that numbers depend on; returns the thread count, which a continued run keeps.

    `before` holds the `threads` and `device` of the run so far, if there were any.  None: nobody names a
    number, and on a processor src/cost/threads.py chooses one before anything is computed that the run keeps.
    """
    used = before.get("threads")
    threads: int | None = cfg.threads or used
    if threads is None and device.type != "cpu":
        threads = min(2, cores())  # it only feeds the device
    if used and threads != used:
        print(f"threads={threads}, but this run used {used} so far: its last bits may differ", flush=True)
    if torch.device(before.get("device", device)).type != device.type:
        print(
            f"device={device}, but this run used {before['device']} so far: its numbers will differ",
            flush=True,
        )
    if threads is not None:
        torch.set_num_threads(threads)
    # Adam's moments of table rows that are no longer touched fade into denormals, which processors are slow
    # at.
    torch.set_flush_denormal(True)
    if device.type == "cpu":
        keep_freed_memory()
    if device.index is not None:
        torch.cuda.set_device(device)  # kernels of others' making go to the current device
    # Scores are differences of predictions, so products keep all of float32; algorithms are chosen by rule,
    # not by timing, so that the same command computes the same.  open_manifest writes these down.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        print(
            f"{device}: {card.name}, {card.total_memory / 1e9:.0f} GB; float32 without TF32, cuDNN without "
            "benchmarks",
            flush=True,
        )
    return threads


def keep_freed_memory() -> None:
    """Let the C library keep what tensors free, for the next ones; does nothing but on glibc.

    It would give large blocks back and get them again as new pages, to be cleared and found one by one: of a
    step of preset=bench that was a tenth of the time, for 7% more memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)  # never


def cores() -> int:
    """Return how many cores this process may use, which can be less than what there is."""
    # macOS only says the latter.
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Launchers divide the cores among their workers by this variable.
    granted = os.environ.get("OMP_NUM_THREADS", "")
    return min(there, int(granted)) if granted.isdecimal() and int(granted) else there


def peak_rss_bytes() -> int:
    """Return the most memory that this process ever held."""
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return int(memory.peak_wset)
    import resource  # everywhere else

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Collect the first SIGINT, SIGTERM or SIGHUP instead of dying of it; a second one is obeyed at once.

    A closed terminal (SIGHUP) hangs up twice, the shell and the kernel: of these only the first counts.
    """
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        if received and number == HANG_UP:
            return
        if received:
            raise KeyboardInterrupt
        received.append(number)
        say_at_once("\nstopping: saving and exporting what there is (once more to stop at once)\n")

    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield received
        return
    heeded = [signal.SIGINT, signal.SIGTERM]
    if HANG_UP is not None and signal.getsignal(HANG_UP) != signal.SIG_IGN:  # as nohup would have it
        heeded.append(HANG_UP)
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
