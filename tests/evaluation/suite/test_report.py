"""A suite's table, where its figures can be computed by hand."""

from typing import Any

import pytest

from src.evaluation.suite.figures import FIGURES, Row, rows_of
from src.evaluation.suite.report import document
from src.evaluation.suite.summary import SEEN, UNSEEN, Evaluated, as_json, summarise


def run(prompt: str, method: str, seed: int, distance: float | None, fog: bool = False) -> Evaluated:
    looks = (
        {} if distance is None else {"looks": {"spectrum_distance": distance, "spectrum_distance_floor": 0.4}}
    )
    figures: dict[str, Any] = looks | {"failures": {"fog": fog}}
    return Evaluated(
        prompt,
        method,
        seed,
        "name",
        {"figures": figures, "not_measured": {}, "step": 20, "judge": {"errors": {}}},
    )


# Prompt means of A: 2 and 4, of B: 5 and 7, one of B's runs without looks.
RUNS = [
    run("cat", "A", 0, 1.0, fog=True),
    run("cat", "A", 1, 3.0),
    run("dog", "A", 0, 4.0),
    run("cat", "B", 0, 4.0, fog=True),
    run("cat", "B", 1, 6.0, fog=True),
    run("dog", "B", 0, 7.0),
    run("dog", "B", 1, None),
]
PLANNED = {"A": 4, "B": 4}


def test_the_table_holds_what_a_hand_computes() -> None:
    """Oracle: means of prompts' means; differences where both have a run; two values have no interval."""
    summary = summarise(RUNS, {})
    means = summary.means["looks.spectrum_distance"]
    assert means["A"] == pytest.approx((3.0, None, None, 3))
    assert means["B"] == pytest.approx((6.0, None, None, 3))
    # cat: 3 and 3, dog: 3
    assert summary.differences["looks.spectrum_distance"]["A", "B"] == pytest.approx((3.0, None, None, 3))
    assert summary.flags["fog"]["A"][:2] == (1, 3)
    assert summary.flags["fog"]["B"][:2] == (2, 4)
    text = document("pair", "a command", PLANNED, RUNS, summary, {})
    assert "| distance of spectrum (dB) ↓ | 3.00 | 6.00 (3 runs) | floor 0.40 |" in text
    assert "| distance of spectrum (dB) ↓ | +3.00 |" in text
    assert "| fog | 1 of 3 [6%, 79%] | 2 of 4 [15%, 85%] |" in text


def test_six_prompts_have_intervals() -> None:
    """Oracle: six prompts of one figure each method: they have no spread, and 3 is not 0."""
    runs = [run(prompt, method, 0, at) for prompt in "abcdef" for method, at in (("A", 1.0), ("B", 4.0))]
    text = document("six", "a command", {"A": 6, "B": 6}, runs, summarise(runs, {}), {})
    assert "| distance of spectrum (dB) ↓ | 1.00 [1.00, 1.00] | 4.00 [4.00, 4.00] | floor 0.40 |" in text
    assert "| distance of spectrum (dB) ↓ | **+3.00** [+3.00, +3.00] |" in text


def test_a_figure_that_nobody_measured_is_a_dash() -> None:
    """Oracle: no run has geometry, and the table says so instead of leaving the line out."""
    text = document("pair", "a command", PLANNED, RUNS, summarise(RUNS, {}), {})
    assert "| silhouette IoU, share of ceiling (%) ↑ | – | – |  |" in text


def test_runs_that_are_not_there_are_counted_and_say_why() -> None:
    """Oracle: A has three of four, B all of four, C none of two; what stopped one is told."""
    why = {"dog-a-seed1": "the mesh has vanished"}
    text = document("pair", "a command", PLANNED | {"C": 2}, RUNS, summarise(RUNS, {}), why)
    assert "7 runs of 10" in text
    assert "no mean counts those that are not: 3 of 4 by A, 0 of 2 by C." in text
    assert "- dog-a-seed1 failed: the mesh has vanished" in text
    whole = document("pair", "a command", {"A": 3, "B": 4}, RUNS, summarise(RUNS, {}), {})
    assert "Not all runs are there" not in whole


def test_diversity_is_one_case_a_prompt() -> None:
    """Oracle: two prompts' values 0.1 and 0.3, handed over ready."""
    summary = summarise(RUNS, {"A": {("cat", 0): 0.1, ("dog", 0): 0.3}})
    assert summary.means["looks.diversity"] == {"A": pytest.approx((0.2, None, None, 2))}


def test_json_says_the_same_as_the_table() -> None:
    """Oracle: the summary itself; a difference names what is taken from what."""
    plain = as_json(summarise(RUNS, {}))
    assert plain["means"]["looks.spectrum_distance"]["A"]["mean"] == pytest.approx(3)
    assert plain["differences"]["looks.spectrum_distance"]["B - A"]["mean"] == pytest.approx(3)
    assert plain["flags"]["fog"]["B"]["hits"] == 2


def test_a_run_in_words_says_what_was_not_measured() -> None:
    """Oracle: one line a figure with its unit and direction, flags by name, the reason as given."""
    evaluation = {
        "figures": {
            "looks": {"spectrum_distance": 1.234, "spectrum_distance_floor": 0.4},
            "failures": {"fog": True, "empty": False},
        },
        "not_measured": {"geometry": "no such solid"},
    }
    assert rows_of(evaluation) == [
        Row("distance of spectrum", "1.23 dB", "lower is better; floor 0.40"),
        Row("failures", "fog", "of empty, fog, floaters, billboard, divergence"),
        Row("geometry", "not measured", "no such solid"),
    ]


def test_every_figure_is_explained() -> None:
    """Oracle: the text under the tables has a line for each line of the table."""
    text = document("pair", "a command", PLANNED, RUNS, summarise(RUNS, {}), {})
    for figure in FIGURES:
        assert f"{figure.title}" in text.split("## What the figures mean")[1]
        assert figure.meaning in text


def test_prompts_the_prior_never_saw_stand_apart() -> None:
    """Oracle: a brown cat is a held-out pair and a blue cat is not; a zeppelin is in neither part."""
    runs = [run(p, "A", 0, d) for p, d in (("a brown cat", 1.0), ("a blue cat", 2.0), ("a zeppelin", 9.0))]
    parts = summarise(runs, {}).parts
    assert {part: means["looks.spectrum_distance"]["A"].mean for part, means in parts.items()} == {
        SEEN: 2.0,
        UNSEEN: 1.0,
    }
    assert f"## {UNSEEN}" in document("pair", "a command", {"A": 3}, runs, summarise(runs, {}), {})
