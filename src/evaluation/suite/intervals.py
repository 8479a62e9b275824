"""How far a suite's figures can be trusted: 95% intervals of means over prompts and seeds, and of counts.

A suite is a sample of prompts, each run with several seeds; the seeds of one prompt are alike and count as
one cluster.  Cases are keyed by (prompt, seed), so two methods are compared at the same prompts and seeds.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from src.streams import Streams

Cases = Mapping[tuple[str, int], float]

RESAMPLES = 10_000
LEVEL = 0.95
FEWEST = 6  # a resampled mean never leaves the values, and 5 lie on one side of theirs in 1 of 16 cases


class Interval(NamedTuple):
    """A mean and its 95% interval; no bounds (None) where cases are too few to have one."""

    mean: float
    low: float | None
    high: float | None
    runs: int


class Count(NamedTuple):
    """How many of the cases, and the 95% interval of the rate behind them."""

    hits: int
    cases: int
    low: float
    high: float


def written(found: Interval | None, write: Callable[[float], str], bold: bool = False) -> str:
    """A mean and its interval, as tables have them; with `bold`, in bold where the interval leaves out 0."""
    if found is None:
        return "–"
    mean = write(found.mean)
    if found.low is None or found.high is None:
        return mean
    mean = f"**{mean}**" if bold and not found.low <= 0 <= found.high else mean
    return f"{mean} [{write(found.low)}, {write(found.high)}]"


def mean_interval(cases: Cases) -> Interval:
    """Mean over prompts of the mean over seeds, with an expanded percentile bootstrap interval.

    Prompts are drawn again with their seeds as they are: drawing seeds again within them would count the
    seeds' spread twice (Davison & Hinkley 1997, section 3.8).  With one prompt its seeds are drawn.  The
    percentiles are widened for few prompts (Hesterberg 2015, section 5.3); of fewer than FEWEST there is no
    interval.  Raises ValueError without cases, or for one that is not finite.
    """
    if not cases:
        raise ValueError("no case, no mean")
    if not all(map(math.isfinite, cases.values())):
        raise ValueError("a case is not finite: leave it out and say so")
    by_prompt: dict[str, list[float]] = defaultdict(list)
    for prompt, seed in sorted(cases):
        by_prompt[prompt].append(cases[prompt, seed])
    means = [sum(seeds) / len(seeds) for seeds in by_prompt.values()]
    mean = sum(means) / len(means)
    # In order of size, so that the interval does not depend on what prompts and seeds are called.
    drawn = np.sort(np.array(means if len(means) > 1 else next(iter(by_prompt.values()))))
    n = len(drawn)
    if n < FEWEST:
        return Interval(mean, None, None, len(cases))
    which = Streams(0, 0)("intervals").uniform(1, RESAMPLES, n)[0].double().numpy()
    resampled = drawn[(which * n).astype(int)].mean(1)
    tail = NormalDist().cdf(-math.sqrt(n / (n - 1)) * student_quantile((1 + LEVEL) / 2, n - 1))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(mean, float(low), float(high), len(cases))


def paired(one: Cases, other: Cases) -> Cases:
    """`one` less `other`, case by case, where both have it."""
    return {case: value - other[case] for case, value in one.items() if case in other}


def wilson(hits: int, cases: int) -> Count:
    """The 95% interval of a rate from a count (Wilson 1927): right for few cases and near 0 and 1.

    Takes the cases as independent, so it is too narrow where the seeds of one prompt share their fate.
    """
    if not 0 <= hits <= cases or cases == 0:
        raise ValueError(f"{hits} of {cases} is no count")
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    rate, share = hits / cases, z * z / cases
    half = z * math.sqrt(rate * (1 - rate) / cases + share / cases / 4)
    low, high = ((rate + share / 2 + sign * half) / (1 + share) for sign in (-1, 1))
    return Count(hits, cases, max(low, 0.0), min(high, 1.0))


def student_quantile(p: float, freedom: int) -> float:
    """Quantile of Student's t distribution; exact for 1 and 2 degrees of freedom, else to 1% (p <= 0.975).

    Cornish and Fisher's expansion (Abramowitz & Stegun 26.7.5).
    """
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    z = NormalDist().inv_cdf(p)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
