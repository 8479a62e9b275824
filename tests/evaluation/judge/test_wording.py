"""What is true of an object: the table that training, questions and distractors share."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.judge.wording import BACK, FRONT, Saying, distractors, question, true_of, view_of
from src.guidance.prompts import PromptConfig, view_words
from src.toybox.world.captions import MATERIALS, Subject
from src.toybox.world.paint import COLORS
from src.toybox.world.shapes import BASES, KINDS


@pytest.mark.parametrize(
    ("said", "shown", "answer"),
    [
        (Subject("lion"), Subject("lion", "red", "ceramic"), True),
        (Subject("cat", "red"), Subject("lion", "red"), False),
        (Subject("lion", "red"), Subject("lion", "red", "stone"), True),
        (Subject("lion", "red", "stone"), Subject("lion", "red"), False),
        (Subject("duck", "yellow"), Subject("duck"), True),  # its natural colour
        (Subject("duck", "orange"), Subject("duck"), False),
        (Subject("lion", "orange"), Subject("lion"), None),  # tawny
        (Subject("lion", "red"), Subject("lion"), False),
        (Subject("cat", "yellow"), Subject("cat", "", "golden"), None),
        (Subject("cat", "blue"), Subject("cat", "", "golden"), False),
        (Subject("cat", "white"), Subject("cat", "", "ceramic"), None),
        (Subject("cat", "", "metal"), Subject("cat", "", "golden"), None),
        (Subject("cat", "", "golden"), Subject("cat", "yellow", "metal"), None),
        (Subject("cat", "", "golden"), Subject("cat", "blue", "metal"), False),
        (Subject("cat", "", "golden"), Subject("cat", "yellow"), False),  # it does not gleam
        (Subject("cat", "", "silver"), Subject("cat", "", "golden"), False),
        (Subject("cat", "", "metal"), Subject("cat", "", "chocolate"), False),
        (Subject("cat", "", "stone"), Subject("cat", "", "marble"), None),
        (Subject("cat", "", "marble"), Subject("cat", "", "stone"), False),  # it has no veins
        (Subject("cat", "green"), Subject("cat", "", "leafy"), None),
        (Subject("cat"), Subject("cat", base="stump"), True),
        (Subject("cat", base="stump"), Subject("cat", base="stump"), True),
        (Subject("cat", base="plate"), Subject("cat", base="stump"), False),
        (Subject("cat", base="plate"), Subject("cat"), False),
    ],
)
def test_what_can_be_said_of_a_thing(said: Subject, shown: Subject, answer: bool | None) -> None:
    """Oracle: common sense, a row each."""
    assert true_of(Saying(said), shown, None) is answer


def test_a_view_is_true_of_what_has_a_front_alone() -> None:
    """Oracle: a mug's front is a matter of opinion, a lion's back is not its front."""
    assert true_of(Saying(Subject("lion"), FRONT), Subject("lion"), FRONT) is True
    assert true_of(Saying(Subject("lion"), FRONT), Subject("lion"), BACK) is False
    assert true_of(Saying(Subject("lion"), FRONT), Subject("lion"), None) is None
    assert true_of(Saying(Subject("mug"), FRONT), Subject("mug"), FRONT) is None
    assert true_of(Saying(Subject("mug", "red"), FRONT), Subject("mug", "blue"), FRONT) is False


@given(azimuth=st.floats(-720, 720), elevation=st.floats(-80, 90))
def test_views_are_called_as_in_training_captions(azimuth: float, elevation: float) -> None:
    """Oracle: `src.guidance.prompts.view_words` with the world's 45 degrees, wherever we say anything."""
    said = view_of(azimuth, elevation)
    angles = torch.tensor([azimuth, elevation]).deg2rad()
    expected = view_words(PromptConfig(front_threshold_degrees=45.0), angles[:1], angles[1:])[0]
    assert said is None or f", {said}" == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_option_is_the_only_true_one(kind: str) -> None:
    """Oracle: `true_of`; nobody may be right by saying something else."""
    for subject in (
        Subject(kind, "red"),
        Subject(kind, "", "marble", "stump"),
        Subject(kind, "yellow", "metal"),
    ):
        for name in ("kind", "color", "material", "base", "view"):
            asked = question(name, subject, FRONT)
            if asked is None:
                continue
            answers = [true_of(option, subject, FRONT) for option in asked.options]
            assert answers[asked.right] is True
            assert answers.count(True) == 1
            assert None not in answers


def test_nothing_is_asked_that_the_prompt_does_not_say() -> None:
    """Oracle: a prompt without colour, material or front has no question about them."""
    assert question("color", Subject("mug", "", "golden")) is None
    assert question("material", Subject("mug", "red")) is None
    assert question("base", Subject("mug", "red")) is None
    assert question("view", Subject("mug"), FRONT) is None
    golden = question("material", Subject("mug", "", "golden"))
    assert golden is not None
    assert {option.subject.material for option in golden.options} == set(MATERIALS) - {"metal"}


@pytest.mark.parametrize(
    "subject",
    [
        Subject("lion", "", "ceramic"),
        Subject("cat", "red"),
        Subject("mug"),
        Subject("rabbit", base="pancakes"),
    ],
)
def test_distractors_are_many_hard_and_false(subject: Subject) -> None:
    """Oracle: >= 100, no two alike, the same each time; other colours, kinds and bases, one at a time."""
    prompt = subject.phrase()
    found = distractors(prompt, subject)
    assert found == distractors(prompt, subject)
    assert len(found) == len(set(found)) >= 100
    assert prompt not in found
    others = [replace(subject, kind=kind) for kind in KINDS if kind != subject.kind]
    others += [replace(subject, base=base) for base in BASES if base != subject.base]
    assert {other.phrase() for other in others} <= set(found)
    for other in (replace(subject, color=color, material="") for color in COLORS):
        assert (other.phrase() in found) == (true_of(Saying(other), subject, None) is False)


def test_a_prompt_of_another_world_has_distractors_too() -> None:
    """Oracle: the same number, from the whole world."""
    assert len(distractors("an astronaut on the moon", None)) >= 100
