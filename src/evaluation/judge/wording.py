"""What can be said of an object of the toy world, and which of it is true: the judge's questions.

One notion of truth serves training, questions and the distractors of R-precision. Some sayings are neither
true nor false (is a golden cat "a yellow cat"?); nobody is asked about them or taught by them.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from src.guidance.prompts import SUFFIXES, Views
from src.streams import Streams
from src.toybox.world.captions import MATERIALS, OPENINGS, Subject
from src.toybox.world.paint import COLORS, PRECIOUS
from src.toybox.world.shapes import BASES, KINDS

TEMPLATES = ("{}", *(opening + "{}" for opening in OPENINGS))
METALS = ("golden", "silver", "brass")  # what "metal" may be said of as well
VIEWS = tuple(suffix.removeprefix(", ") for suffix in SUFFIXES[Views.four])  # front, side, back, overhead
FRONT, SIDE, BACK, OVERHEAD = VIEWS
FRONT_DEGREES = 45.0  # half the width of front and of back, as in the prior's four-word captions
OVERHEAD_DEGREES = 60.0
BORDER_DEGREES = 5.0  # nearer than this to a border between two views, no view word is asked for
ALIKE = 0.35  # colours nearer than this in linear RGB may both be said of an object whose colour is unnamed
DISTRACTORS = 127


class Saying(NamedTuple):
    """A phrase and the view word after it; an empty colour, material or view is one it does not name."""

    subject: Subject
    view: str = ""

    def text(self) -> str:
        """As in "a red ceramic lion, front view"."""
        return self.subject.phrase() + (f", {self.view}" if self.view else "")


def view_of(azimuth_degrees: float, elevation_degrees: float) -> str | None:
    """The word for what is seen from there; None near a border between two words."""
    turn = abs((azimuth_degrees + 180) % 360 - 180)
    if abs(elevation_degrees - OVERHEAD_DEGREES) < BORDER_DEGREES:
        return None
    if elevation_degrees > OVERHEAD_DEGREES:
        return OVERHEAD
    if min(abs(turn - FRONT_DEGREES), abs(turn - 180 + FRONT_DEGREES)) < BORDER_DEGREES:
        return None
    return FRONT if turn < FRONT_DEGREES else BACK if turn > 180 - FRONT_DEGREES else SIDE


def true_of(said: Saying, shown: Subject, view: str | None) -> bool | None:
    """Whether a saying is true of an object seen from a side; None where that is a matter of opinion."""
    if said.subject.kind != shown.kind:
        return False
    if said.subject.base not in ("", shown.base):
        return False
    answers = [_color(said.subject, shown), _material(said.subject.material, shown), True]
    if said.view:
        answers[2] = said.view == view if view and KINDS[shown.kind].has_front else None
    return False if False in answers else None if None in answers else True


def _color(said: Subject, shown: Subject) -> bool | None:
    natural = KINDS[shown.kind].natural_color if not shown.material else ""
    named = shown.color or natural
    if not said.color or said.color == named:
        return True
    if named in COLORS:
        return False
    return None if math.dist(COLORS[said.color], shown.paint()) < ALIKE else False


def _material(said: str, shown: Subject) -> bool | None:
    if said in ("", shown.material):
        return True
    if (said, shown.material) == ("stone", "marble") or (said == "metal" and shown.material in METALS):
        return None
    # A metal of gold's colour may be called golden.
    if said in METALS and shown.material == "metal" and math.dist(PRECIOUS[said], shown.paint()) < ALIKE:
        return None
    return False


class Question(NamedTuple):
    """Sayings of which one is true, by its index."""

    options: tuple[Saying, ...]
    right: int


def question(attribute: str, subject: Subject, view: str = "") -> Question | None:
    """Which kind, color, material, base or view?  None where the subject has no answer to it.

    Everything else that the subject names is in every option; a material that the right one merely implies
    (metal, of gold) is not offered.
    """
    if attribute == "view":
        if not view or not KINDS[subject.kind].has_front:
            return None
        return Question(tuple(Saying(subject, other) for other in VIEWS), VIEWS.index(view))
    right = getattr(subject, attribute)
    if not right:
        return None
    choices = {"kind": list(KINDS), "color": list(COLORS), "material": MATERIALS, "base": list(BASES)}
    options = {other: Saying(replace(subject, **{attribute: other})) for other in choices[attribute]}
    options = {name: said for name, said in options.items() if true_of(said, subject, None) is not None}
    return Question(tuple(options.values()), list(options).index(right))


def distractors(prompt: str, subject: Subject | None) -> list[str]:
    """DISTRACTORS other prompts, none of them true of the prompt's object; the same ones every time.

    They are the object's kind in every other paint and on every other base, every other kind in its paint and
    on its base, and a draw of the rest.
    """
    base = subject.base if subject is not None else ""
    paints = [("", ""), *((color, "") for color in COLORS), *(("", material) for material in MATERIALS)]
    every = [Subject(kind, *paint, base) for kind in KINDS for paint in paints]
    if subject is None:
        near: list[Subject] = []
    else:
        every = [other for other in every if true_of(Saying(other), subject, None) is False]
        near = [replace(subject, kind=kind) for kind in KINDS if kind != subject.kind]
        near += [other for other in every if other.kind == subject.kind]
        near += [replace(subject, base=other) for other in BASES if other != base]
    texts = [other.phrase() for other in near]
    rest = [text for text in _shuffled([o.phrase() for o in every], prompt) if text not in texts]
    return [text for text in texts + rest if text != prompt][:DISTRACTORS]


def _shuffled(texts: Sequence[str], prompt: str) -> list[str]:
    order = torch.argsort(Streams(0, 0)(f"distractors/{prompt}").uniform(1, len(texts))[0])
    return [texts[i] for i in order.tolist()]
