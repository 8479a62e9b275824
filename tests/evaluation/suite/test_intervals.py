"""Intervals over prompts and seeds."""

import math

import numpy as np
import pytest

from src.evaluation.suite.intervals import Cases, mean_interval, paired, student_quantile, wilson


def suite(rng: np.random.Generator, prompts: int, seeds: int, between: float, within: float) -> Cases:
    """Normal figures around 0 whose prompts differ by `between` and whose seeds by `within`."""
    effect = rng.normal(0, between, prompts)
    return {(f"p{p}", s): effect[p] + rng.normal(0, within) for p in range(prompts) for s in range(seeds)}


@pytest.mark.parametrize(("between", "within"), [(1.0, 0.3), (0.2, 1.0)])
def test_95_of_100_intervals_hold_the_truth(between: float, within: float) -> None:
    """Oracle: the true mean 0; 300 suites of 12 prompts: 4 binomial standard deviations are 5%."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        _, low, high, _ = mean_interval(suite(rng, 12, 3, between, within))
        assert low is not None
        assert high is not None
        hits += low <= 0 <= high
    assert abs(hits / 300 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 300)


def test_seeds_that_share_a_prompt_are_no_new_evidence() -> None:
    """Oracle: without spread within a prompt, three seeds give the interval of one."""
    rng = np.random.default_rng(2)
    effect = rng.normal(size=24)
    one, three = ({(f"p{p}", s): effect[p] for p in range(24) for s in range(n)} for n in (1, 3))
    assert mean_interval(three)[:3] == pytest.approx(mean_interval(one)[:3], abs=1e-12)


def test_the_interval_does_not_depend_on_names_or_order() -> None:
    """Oracle: relabelling and reordering; the numbers stay the same to the last rounding."""
    cases = suite(np.random.default_rng(3), 24, 2, 1.0, 1.0)
    renamed = {(f"z{99 - int(p[1:])}", 7 - s): value for (p, s), value in reversed(cases.items())}
    assert mean_interval(renamed) == pytest.approx(mean_interval(cases), abs=1e-12)
    assert mean_interval(cases) == mean_interval(dict(cases))


def test_pairing_takes_out_what_two_methods_share() -> None:
    """Oracle: one method is the other plus 0.5 exactly: the difference is known without doubt."""
    base = suite(np.random.default_rng(4), 8, 3, 5.0, 1.0)
    better = {case: value + 0.5 for case, value in base.items() if case != ("p0", 2)}
    assert set(paired(better, base)) == set(paired(base, better)) == set(base) - {("p0", 2)}
    assert mean_interval(paired(better, base)) == pytest.approx((0.5, 0.5, 0.5, 23), abs=1e-12)


def test_few_cases_give_no_interval() -> None:
    """Oracle: a resampled mean stays between the least and the largest of n values, which hold the true
    middle of a symmetric law in 1 - 2^(1-n): 94% for 5, 97% for 6; six values in a row are nearly spanned.
    """
    assert mean_interval({("a", 0): 3.0}) == (3.0, None, None, 1)
    for cases in ({("a", s): float(s) for s in range(5)}, {(p, 0): float(ord(p) - 97) for p in "abcde"}):
        assert mean_interval(cases) == (2.0, None, None, 5)
    _, low, high, _ = mean_interval({("a", s): float(s) for s in range(6)})
    assert low == pytest.approx(0.5, abs=0.5)
    assert high == pytest.approx(4.5, abs=0.5)


@pytest.mark.parametrize("bad", [{}, {("a", 0): math.nan}, {("a", 0): math.inf}])
def test_what_is_no_number_is_refused(bad: Cases) -> None:
    """Oracle: the docstring: a NaN is never averaged away."""
    with pytest.raises(ValueError, match=r"no case|not finite"):
        mean_interval(bad)


def test_wilson_is_the_published_interval() -> None:
    """Oracle: Newcombe (1998), table I: 81/263 and 15/148; 0/20 and 1/29 without continuity correction."""
    for count, cases, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(count, cases) == pytest.approx((count, cases, low, high), abs=5e-5)
    with pytest.raises(ValueError, match="no count"):
        wilson(0, 0)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.3027), (3, 3.1824), (5, 2.5706), (23, 2.0687)]
)
def test_students_quantile_is_the_tables(freedom: int, quantile: float) -> None:
    """Oracle: printed tables of t at 0.975; 1%: what the docstring promises."""
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, rel=0.01)
