"""The Janus rate: Rogan and Gladen's algebra, and where it has nothing to say."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation import janus
from src.evaluation.verdict import Rate, Verdict
from src.toybox.world.captions import Subject
from tests.evaluation.judges import GivenJudge

ERRORS = {  # of 10 fronts 9 are called front, of 10 backs 1
    "clean": {"fronts": {"lion": {"front": 6, "front_called_front": 6, "back": 4, "back_called_front": 0}}},
    "degraded": {
        "fronts": {"lion": {"front": 4, "front_called_front": 3, "back": 6, "back_called_front": 1}}
    },
}


def verdict(called_front: Rate | None) -> Verdict:
    return Verdict(Rate(0, 1), 0.0, None, None, None, None, None, called_front)


def judge(errors: dict[str, Any] | None = ERRORS) -> GivenJudge:
    return GivenJudge(torch.zeros(1, 1), errors=errors)


@given(true=st.floats(0, 1), sensitivity=st.floats(0.6, 1), false_alarm=st.floats(0, 0.4))
def test_the_correction_undoes_the_error(true: float, sensitivity: float, false_alarm: float) -> None:
    """Oracle: what a test of that error says of a true share, corrected, is the share. 1e-9: a division."""
    said = true * sensitivity + (1 - true) * false_alarm
    assert janus.rogan_gladen(said, sensitivity, false_alarm) == pytest.approx(true, abs=1e-9)


def test_the_corrections_of_many_runs_average_to_the_truth() -> None:
    """Oracle: no run is two-faced, and the judge raises its usual false alarms: 0 on average, as the formula
    is linear; cut off below 0, run by run, it would be 0.03.  A coin tells nothing.
    """
    alarms = np.random.default_rng(0).binomial(10, 0.1, 4000) / 10
    found = [janus.rogan_gladen(float(share), 0.9, 0.1) for share in alarms]
    assert np.mean(found) == pytest.approx(0, abs=0.01)  # 5 standard errors
    assert janus.rogan_gladen(0.5, 0.3, 0.3) is None


def test_a_run_is_corrected_by_the_errors_of_its_kind() -> None:
    """Oracle: (7/14 - 0.1) / (0.9 - 0.1) = 0.5, clean and degraded solids counted together."""
    found = janus.measure(verdict(Rate(7, 14)), judge(), Subject("lion", "red"))
    assert found is not None
    assert (found.raw, found.sensitivity, found.false_alarm) == (Rate(7, 14), 0.9, 0.1)
    assert found.corrected == pytest.approx(0.5)


def test_what_has_no_front_has_no_janus_rate() -> None:
    """Oracle: None without a front, or without a known prompt; no correction without a measured error."""
    assert janus.measure(verdict(None), judge(), Subject("mug")) is None
    assert janus.measure(verdict(Rate(1, 2)), judge(), None) is None
    for errors in (None, {"clean": {"fronts": {}}, "degraded": {"fronts": {}}}):
        found = janus.measure(verdict(Rate(1, 2)), judge(errors), Subject("lion"))
        assert found is not None
        assert (found.raw, found.corrected) == (Rate(1, 2), None)
