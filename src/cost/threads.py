"""How many threads a run computes with where nobody says: the fewest that are about as fast as any.

More threads than that gain nothing, and cost dearly beside other busy processes, because they spin while they
wait for one another.  So the run's own heaviest calls are timed, on this machine as it is now.  The scene is
made for the purpose and thrown away, and all numbers are keyed (src/streams.py): what the run draws does not
depend on whether there was a timing.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch

from src.assemble import stand_in_for
from src.config import RunConfig
from src.guidance.prior import Prior
from src.run import machine
from src.step import most_rows, rows_at
from src.streams import Streams

SLACK = 1.1  # within a tenth of the fastest is as fast
BUDGET_SECONDS = 1.5  # no round is begun after this
ROUNDS = 4  # of which the first warms up, unless it was the only one


def choose_threads(cfg: RunConfig, prior: Prior) -> int:
    """Time a step's heaviest calls with 1, 2, 4 ... threads, set the fewest that do, and say so in a line."""
    counts = candidates(machine.cores())
    seconds = seconds_of(heaviest_calls(cfg, prior), counts) if len(counts) > 1 else {1: 0.0}
    threads = fewest(seconds)
    torch.set_num_threads(threads)
    if len(counts) > 1:
        found = ", ".join(f"{count}: {taken:.2f} s" for count, taken in seconds.items())
        print(f"threads={threads} (a step's heaviest calls by threads: {found})", flush=True)
    return threads


def candidates(cores: int) -> list[int]:
    """Powers of two up to the number of cores, and that number."""
    return sorted({1 << power for power in range(cores.bit_length())} | {cores})


def fewest(seconds: Mapping[int, float]) -> int:
    """Return the least number of threads whose time is at most SLACK times the shortest."""
    return min(count for count, taken in seconds.items() if taken <= SLACK * min(seconds.values()))


def seconds_of(work: Callable[[], None], counts: list[int]) -> dict[int, float]:
    """Mean seconds of `work` by number of threads, which take turns so that a busy spell hits them all."""
    taken: dict[int, list[float]] = {count: [] for count in counts}
    began = time.perf_counter()
    for _ in range(ROUNDS):
        for count in counts:
            torch.set_num_threads(count)
            start = time.perf_counter()
            work()
            taken[count].append(time.perf_counter() - start)
        if time.perf_counter() - began > BUDGET_SECONDS:
            break
    warm = {count: each[1:] or each for count, each in taken.items()}
    return {count: sum(each) / len(each) for count, each in warm.items()}


def heaviest_calls(cfg: RunConfig, prior: Prior) -> Callable[[], None]:
    """What the run's last step shows, rendered and encoded, the largest UNet call, and the way back."""
    step = cfg.steps - 1
    stage = cfg.schedule.at(step)
    generator = stand_in_for(cfg, prior, prior.device, step)
    t = most_rows(cfg, stage.t_min, stage.t_max)
    rows = cfg.batch_size * int(rows_at(cfg, t[None]))
    text = prior.embed([""]).expand(rows, -1, -1)

    def run() -> None:
        latents = generator(stage, step, Streams(cfg.seed, step), lambda _: nullcontext()).latents
        prior.predict_noise(latents.detach()[:1].repeat(rows, 1, 1, 1), t.expand(rows), text)
        latents.sum().backward()
        for module in generator.modules().values():
            module.zero_grad(set_to_none=True)

    return run
