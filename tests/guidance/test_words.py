"""Words that a prior does not know: near ones by meaning, then by spelling, or none."""

import json
from pathlib import Path

import pytest

from src.guidance.words import near_words, sentences, unknown_words

KNOWN = ["a", "blue", "red", "mushroom", "mug", "ice-cream", "cone", "lion", "of", "out of focus"]
BUNDLED = json.loads(
    (Path(__file__).parents[2] / "src/toybox/weights/known_words.json").read_text(encoding="utf-8")
)


def test_by_spelling() -> None:
    """Oracle: written by hand; capitals, order, phrases and repeated words."""
    found = unknown_words("A Blue mushrom, of a LIONESS; a mushrom out of focus", KNOWN)
    assert found == {"mushrom": ["mushroom"], "lioness": ["lion"]}


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("cyan", ["turquoise"]),
        ("crimson", ["red"]),
        ("sofa", ["chair"]),
        ("sofas", ["chair"]),
        ("hare", ["rabbit", "bunny"]),
        ("porcelain", ["ceramic"]),
        ("steel", ["metal"]),
        ("Dragon", ["dinosaur"]),
        ("truck", ["car"]),
    ],
)
def test_by_meaning(word: str, near: list[str]) -> None:
    """Oracle: a dictionary."""
    assert unknown_words(f"a {word}", BUNDLED) == {word.lower(): near}


def test_where_nothing_is_near_nothing_is_made_up() -> None:
    """Oracle: no word for letters that resemble none, nor for words that only hold a sentence together."""
    assert unknown_words("the zzzzz and a mug", [*KNOWN, "tree", "sand"]) == {
        "the": [],
        "zzzzz": [],
        "and": [],
    }


def test_the_list_points_from_what_the_bundled_prior_does_not_know_to_what_it_does() -> None:
    """Oracle: known_words.json beside the weights; 300 words are a vocabulary and no sample."""
    targets = {target for near in near_words().values() for target in near}
    assert targets <= set(BUNDLED)
    assert not set(near_words()) & set(BUNDLED)
    assert len(near_words()) > 300


def test_hyphens() -> None:
    """Oracle: known as a whole, known by its parts, or unknown."""
    assert list(unknown_words("ice-cream red-blue red-zebra", KNOWN)) == ["red-zebra"]


def test_punctuation_and_other_scripts() -> None:
    """Oracle: what holds no letter or digit is no word; letters of any script are."""
    assert list(unknown_words("!!! , 🦁 'red' (blue) 狮子 123", KNOWN)) == ["狮子", "123"]


def test_sentences() -> None:
    """Oracle: written by hand."""
    assert sentences({"hare": ["rabbit", "bunny"], "of": []}) == [
        "the prior does not know 'hare'; the nearest it knows: rabbit, bunny",
        "the prior does not know 'of', nor a word near it",
    ]
