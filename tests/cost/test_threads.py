"""Threads: the fewest that do, by given timings; the timing itself leaves a run's numbers alone."""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.cost import threads
from src.cost.threads import candidates, choose_threads, fewest, heaviest_calls, seconds_of
from src.guidance.prior import load_prior
from src.run import machine
from tests.runs import tiny


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({1: 1.0}, 1),
        ({1: 0.56, 2: 0.66}, 1),  # an idle machine of two cores: more threads cost
        ({1: 1.09, 2: 1.0}, 1),  # within a tenth
        ({1: 1.11, 2: 1.0}, 2),
        ({1: 4.0, 2: 2.1, 4: 1.2, 8: 1.1}, 4),
        ({1: 1.0, 2: 8.0, 4: 9.0}, 1),  # beside busy processes
    ],
)
def test_the_fewest_within_a_tenth_of_the_best(seconds: dict[int, float], expected: int) -> None:
    """Oracle: by hand, from the rule."""
    assert fewest(seconds) == expected


@given(st.dictionaries(st.integers(1, 64), st.floats(1e-3, 1e3), min_size=1))
def test_no_fewer_would_do_and_no_more_are_much_faster(seconds: dict[int, float]) -> None:
    """Oracle: the definition, looked up exhaustively."""
    chosen, best = fewest(seconds), min(seconds.values())
    assert seconds[chosen] <= 1.1 * best
    assert all(taken > 1.1 * best for count, taken in seconds.items() if count < chosen)


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_candidates_double_up_to_the_cores(cores: int, counts: list[int]) -> None:
    """Oracle: by hand."""
    assert candidates(cores) == counts


def test_rounds_take_turns_and_the_first_only_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a clock that the work moves: 9 s when cold, then 1 s with 1 thread and 3 s with 2."""
    now = itertools.count()
    clock, order = [0.0], []
    monkeypatch.setattr(threads, "BUDGET_SECONDS", 1000.0)
    monkeypatch.setattr(threads.time, "perf_counter", lambda: clock[0])

    def work() -> None:
        count = torch.get_num_threads()
        order.append(count)
        clock[0] += 9.0 if next(now) < 2 else {1: 1.0, 2: 3.0}[count]

    before = torch.get_num_threads()
    try:
        assert seconds_of(work, [1, 2]) == {1: 1.0, 2: 3.0}
        assert order == [1, 2] * threads.ROUNDS
        monkeypatch.setattr(threads, "BUDGET_SECONDS", 0.5)  # one round is all there is time for
        assert seconds_of(work, [1, 2]) == {1: 1.0, 2: 3.0}
        assert len(order) == 2 * threads.ROUNDS + 2
    finally:
        torch.set_num_threads(before)


def test_the_heaviest_calls_are_those_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: NFSD's three rows for each of two views, of images at the last step's resolution."""
    cfg = tiny(tmp_path)
    prior = load_prior(cfg.prior, "cpu")
    images, rows = [], []
    encode, predict = prior.encode, prior.predict_noise
    monkeypatch.setattr(prior, "encode", lambda image, draw: (images.append(image), encode(image, draw))[1])
    monkeypatch.setattr(
        prior, "predict_noise", lambda *noised: (rows.append(len(noised[0])), predict(*noised))[1]
    )
    heaviest_calls(cfg, prior)()
    assert [image.shape for image in images] == [(2, 3, 16, 16)]
    assert images[0].requires_grad
    assert rows == [6]


def test_what_is_chosen_is_set_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: given timings on four cores; a single core is not worth a word."""
    cfg = tiny(tmp_path)
    prior = load_prior(cfg.prior, "cpu")
    before = torch.get_num_threads()
    try:
        monkeypatch.setattr(machine, "cores", lambda: 4)
        monkeypatch.setattr(
            threads, "seconds_of", lambda _work, counts: dict(zip(counts, [4.0, 2.0, 1.9], strict=True))
        )
        assert choose_threads(cfg, prior) == torch.get_num_threads() == 2
        assert capsys.readouterr().out.startswith(
            "threads=2 (a step's heaviest calls by threads: 1: 4.00 s, 2: 2"
        )
        monkeypatch.setattr(machine, "cores", lambda: 1)
        assert choose_threads(cfg, prior) == 1
        assert capsys.readouterr().out == ""
    finally:
        torch.set_num_threads(before)
