"""The words of a prompt that a prior was never taught, and what it knows instead: by meaning or spelling.

Words by meaning are in near_words.yaml, a list of our own; what is in neither list is compared
letter by letter, for it may be a slip of the keyboard.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

ALIKE = 0.7  # difflib's ratio: "lioness" is near to "lion" (0.73), and "cyan" not to "an" (0.67)


def unknown_words(prompt: str, known: Iterable[str]) -> dict[str, list[str]]:
    """Map each word of the prompt that the prior was never taught to the nearest known words, nearest first.

    At most three, and none where nothing is near.  A hyphenated word is known if all its parts are.
    """
    vocabulary = sorted({word for entry in known for word in _words(entry)})
    unknown = {}
    for word in _words(prompt):
        if word not in vocabulary and not all(part in vocabulary for part in word.split("-")):
            meant = _by_meaning(word)
            near = difflib.get_close_matches(word, vocabulary, cutoff=ALIKE) if meant is None else meant
            unknown[word] = [each for each in near if each in vocabulary][:3]
    return unknown


def sentences(unknown: Mapping[str, Sequence[str]]) -> list[str]:
    """Say it, a sentence for each word that `unknown_words` found."""
    return [
        f"the prior does not know {word!r}"
        + (f"; the nearest it knows: {', '.join(near)}" if near else ", nor a word near it")
        for word, near in unknown.items()
    ]


def _by_meaning(word: str) -> tuple[str, ...] | None:
    """What a word, or its singular, is near to; nothing for "and" and its kind; None where we cannot say."""
    listed = near_words()
    return next((listed[form] for form in (word, word.removesuffix("s")) if form in listed), None)


@cache
def near_words() -> dict[str, tuple[str, ...]]:
    """The list, turned around: from each word to those that it is near to in meaning."""
    by_target = yaml.safe_load(Path(__file__).with_name("near_words.yaml").read_text("utf-8"))
    near: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for target, words in by_target.items():
        for word in words.split():
            near[word] += (target,) if target else ()
    return dict(near)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:[-'’]\w+)*", text.casefold())
