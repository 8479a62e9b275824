"""Answers to vague questions: what a row of the table counts, and what is no vague question."""

import pytest
import torch

from src.errors import UserError
from src.evaluation.judge.wording import TEMPLATES, Saying
from src.evaluation.prior.variety import Settings, kinds_seen, row
from src.toybox.world.captions import Subject
from tests.evaluation.judges import GivenJudge


def test_a_row_counts_kinds_and_how_even_they_are() -> None:
    """Oracle: by hand: two houses and two castles are as many as two even kinds; a car is no building."""
    found = row("a building", ["house", "castle", "car", "house", "castle"])
    assert found == "| a building | 80% of 5 | 2 of 3 | 2.0 | cottage |"
    assert row("a building", ["house", "house"]).split("|")[4] == " 1.0 "
    assert row("a building", ["house", "castle", "cottage"]).endswith("| 3 of 3 | 3.0 | - |")


def test_nothing_right_is_a_row_too() -> None:
    """Oracle: by hand: no building at all, of no kinds; the exponential of no entropy is 1."""
    assert row("a building", ["car"]) == "| a building | 0% of 1 | 0 of 3 | 1.0 | house, cottage, castle |"


def test_the_kind_that_is_shown_is_seen() -> None:
    """Oracle: a judge that sees in picture i the sentences that are true of it."""
    judge = GivenJudge(torch.zeros(2, 64))
    shown = [Saying(Subject(kind)).text() for kind in ("owl", "teapot")]
    judge.seen = torch.stack([judge.texts([t.format(text) for t in TEMPLATES]).sum(0) for text in shown])
    assert kinds_seen(judge, torch.zeros(2, 3, 4, 4)) == ["owl", "teapot"]


def test_a_precise_question_is_refused() -> None:
    """Oracle: UserError with the prompt: a lion has one answer."""
    with pytest.raises(UserError, match="prompt=a lion is no vague question"):
        Settings(prompt="an animal|a lion")
