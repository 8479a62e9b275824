"""What a picture of the toy world is called: phrases, synonyms, view words, the words of a bad picture."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from src.guidance.prompts import SUFFIXES
from src.toybox.world.paint import BARE_MATERIAL, COLORS, NATURAL, PRECIOUS, RGB
from src.toybox.world.shapes import BASES, KINDS, PAIRS

Option = TypeVar("Option")

MATERIALS = [*BARE_MATERIAL, *PRECIOUS]
MADE_OF = {
    "ceramic": "ceramic",
    "metal": "metal",
    "wooden": "wood",
    "stone": "stone",
    "marble": "marble",
    "plush": "plush",
    "golden": "gold",
    "silver": "silver",
    "brass": "brass",
    "clay": "clay",
    "ice": "ice",
    "chocolate": "chocolate",
    "leafy": "leaves",
}
SYNONYMS: dict[str, tuple[str, ...]] = {
    "cat": ("kitten",),
    "rabbit": ("bunny", "baby bunny"),
    "duck": ("rubber duck",),
    "pig": ("piglet",),
    "teddy bear": ("teddy", "bear"),
    "dinosaur": ("baby dinosaur",),
    "mushroom": ("toadstool",),
    "cactus in a clay pot": ("cactus", "cactus in a pot", "saguaro cactus planted in a clay pot"),
    "ice cream cone": ("ice cream",),
    "strawberry": ("ripe strawberry",),
    "hamburger": ("burger", "cheeseburger"),
    "apple": ("ripe apple",),
    "plate of chocolate chip cookies": ("plate of cookies", "plate piled high with chocolate chip cookies"),
    "car": ("classic car", "vintage car"),
    "cottage with a thatched roof": ("cottage", "thatched cottage"),
    "castle": ("fortress",),
    "rocket": ("spaceship", "rocket ship"),
    "boat": ("ship", "steamboat"),
    "airplane": ("plane", "aeroplane"),
    "robot": ("toy robot",),
    "mug": ("cup", "coffee mug"),
    "teapot": ("tea pot",),
    "torus": ("donut",),
    "sphere": ("ball",),
    "cube": ("box",),
    "grey": ("gray",),
}
# What covers several kinds: a question with more than one answer.
VAGUE: dict[str, tuple[str, ...]] = {
    "animal": (
        *("lion", "cat", "rabbit", "duck", "hedgehog", "elephant", "owl", "frog", "pig", "penguin"),
        *("dinosaur", "snail"),
    ),
    "vehicle": ("car", "rocket", "boat", "airplane"),
    "building": ("house", "cottage", "castle"),
    "food": (
        *("icecream", "strawberry", "hamburger", "pumpkin", "apple", "pineapple", "cupcake", "cookies"),
    ),
    "toy": ("bear", "robot", "duck", "dinosaur"),
    "vessel": ("mug", "bowl", "vase", "teapot"),
    "shape": ("torus", "sphere", "cube", "cone", "cylinder", "capsule", "pyramid"),
    "object": tuple(KINDS),
    "thing": tuple(KINDS),
}
VAGUENESS = 0.12  # share of captions that are vague
OPENINGS = (
    "a photo of ",
    "a DSLR photo of ",
    "a 3D render of ",
    "a 3D model of ",
    "a zoomed out DSLR photo of ",
    "a zoomed out photo of ",
)
ENDINGS = (", 3D asset", ", highly detailed", ", studio lighting")
FILLERS = ("cute", "adorable", "small", "huge", "beautiful", "highly detailed", "toy")
STATUES = ("statue", "sculpture", "figurine")
STANDING = (" on ", " sitting on ", " on top of ", " sitting on top of ")
TICKETS = [kind for kind in KINDS for _ in range(1 + KINDS[kind].has_front)]  # one is drawn a picture
# The words of every view suffix, in their order and with repetitions.
VIEW_WORDS = [word for suffixes in SUFFIXES.values() for s in suffixes for word in s.strip(", ").split()]


def _with_article(words: str) -> str:
    if "food" in words.split(" of ")[0].split():
        return f"some {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@dataclass(frozen=True)
class Subject:
    """What a picture shows; an empty colour or material is one the caption does not name.

    `base` is what it stands on (a name in BASES), if anything.
    """

    kind: str
    color: str = ""
    material: str = ""
    base: str = ""

    def paint(self) -> RGB:
        """Colour of the main part, in [0, 1]."""
        if self.material in PRECIOUS:
            return PRECIOUS[self.material]
        if self.color:
            return COLORS[self.color]
        natural = KINDS[self.kind].natural_color
        return BARE_MATERIAL.get(self.material) or (COLORS | NATURAL)[natural]

    def phrase(self, rng: np.random.Generator | None = None, noun: str = "") -> str:
        """The noun phrase, as in "a red ceramic lion"; with a generator, also other ways people put it.

        `noun` stands in for the kind's own.
        """
        noun = noun or KINDS[self.kind].noun
        color, material, tail, on = self.color, self.material, "", STANDING[0]
        filler = ""
        if rng is not None:
            if rng.random() < 0.2:
                noun, color = (_pick(rng, SYNONYMS.get(word, (word,))) for word in (noun, color))
            if rng.random() < 0.08:
                filler = _pick(rng, FILLERS)
            way = rng.random()
            if material and way < 0.2:
                material, tail = "", f" made of {MADE_OF[material]}"
            if 0.12 < way < 0.28:
                noun = f"{_pick(rng, STATUES)} of {_with_article(noun)}" if material or tail else noun
            if rng.random() < 0.4:
                on = _pick(rng, STANDING[1:])
        words = " ".join([word for word in (filler, color, material, noun) if word]) + tail
        return _with_article(words) + (on + BASES[self.base].phrase if self.base else "")


def held_out(kind: str, color: str) -> bool:
    """Whether no training caption names this kind in this colour: one of every kind, by a fixed rule.

    It is never the kind's natural colour, and all colours have their turn.
    """
    choice = [name for name in COLORS if name != KINDS[kind].natural_color]
    return choice[(5 * list(KINDS).index(kind) + 3) % len(choice)] == color


def held_out_material(kind: str, material: str) -> bool:
    """Whether no training picture shows this kind of this material: one of every kind, by a fixed rule."""
    return MATERIALS[(4 * list(KINDS).index(kind) + 1) % len(MATERIALS)] == material


def unseen(subject: Subject) -> bool:
    """Whether no training caption names its kind in its colour, of its material or on its base."""
    return (
        held_out(subject.kind, subject.color)
        or held_out_material(subject.kind, subject.material)
        or (subject.base != "" and (subject.kind, subject.base) not in PAIRS)
    )


@cache
def _taught(kind: str) -> tuple[list[str], list[str], list[str]]:
    """The colours, and the materials without and with one of their own, in which captions may name a kind."""
    materials = [material for material in MATERIALS if not held_out_material(kind, material)]
    return (
        [color for color in COLORS if not held_out(kind, color)],
        [material for material in materials if material in BARE_MATERIAL],
        [material for material in materials if material in PRECIOUS],
    )


def _pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    return options[int(rng.integers(len(options)))]


def subject(rng: np.random.Generator) -> Subject:
    """A random subject that is not held out; kinds with a front are drawn twice as often."""
    kind, base = _pick(rng, TICKETS), ""
    if rng.random() < 0.08:
        kind, base = _pick(rng, PAIRS)
    colors, bare, precious = _taught(kind)
    fate = rng.random()
    if fate < 0.18:
        return Subject(kind, base=base)
    if fate < 0.36:
        return Subject(kind, "", _pick(rng, precious), base)
    if fate < 0.48:
        return Subject(kind, "", _pick(rng, bare), base)
    return Subject(kind, _pick(rng, colors), "" if rng.random() < 0.55 else _pick(rng, bare), base)


def subjects(count: int, seed: int) -> list[Subject]:
    """`count` subjects in turn: one that captions name, one in a colour or material that they never do."""
    rng = np.random.default_rng([seed, 7])
    paints = [*((color, "") for color in COLORS), *(("", material) for material in MATERIALS)]
    found: list[Subject] = []
    while len(found) < count:
        left_out = len(found) % 2 == 1
        one = Subject(_pick(rng, list(KINDS)), *_pick(rng, paints)) if left_out else subject(rng)
        if unseen(one) == left_out:
            found.append(one)
    return found


def caption(subject: Subject, views: tuple[str, str], bad_words: list[str], rng: np.random.Generator) -> str:
    """One of the captions of a picture.

    `views` are its suffixes in the four-word and in the eight-word scheme of `src.guidance.prompts`. A
    degraded picture is called by its bad words, with or without the subject: NFSD asks for them alone.
    """
    if bad_words:
        bad = ", ".join(bad_words)
        return bad if rng.random() < 0.6 else f"{subject.phrase(rng)}, {bad}"
    text = _vaguely(subject, rng) if rng.random() < VAGUENESS else subject.phrase(rng)
    opening = rng.random()
    if opening < 0.30:
        text = OPENINGS[int(opening / 0.30 * len(OPENINGS))] + text
    elif opening < 0.35:
        text = text.split(" ", 1)[1]
    if rng.random() < 0.08:
        text += _pick(rng, ENDINGS)
    fate = rng.random()
    return text + (views[1] if fate < 0.68 else views[0] if fate < 0.88 else "")


def _vaguely(subject: Subject, rng: np.random.Generator) -> str:
    """A phrase that is true of the subject and of others: "a red animal", "an object on a plate"."""
    wide = ("object", "thing")
    narrow = [word for word, kinds in VAGUE.items() if subject.kind in kinds and word not in wide]
    word = _pick(rng, narrow if narrow and rng.random() < 0.65 else wide)
    color, material, base = (
        said if rng.random() < 0.65 else "" for said in (subject.color, subject.material, subject.base)
    )
    return Subject(subject.kind, color, material, base).phrase(rng, word)


def vocabulary() -> list[str]:
    """Every word a caption of the world can hold, sorted; what the bundled prior knows."""
    phrases = [kind.noun for kind in KINDS.values()] + [base.phrase for base in BASES.values()]
    phrases += [*OPENINGS, *ENDINGS, *FILLERS, *STATUES, *COLORS, *MATERIALS, *MADE_OF.values()]
    phrases += [word for words in SYNONYMS.values() for word in words] + [*VAGUE]
    phrases += ["an some made of sitting on top"]
    return sorted({word.lower() for phrase in phrases for word in phrase.replace(",", "").split()})


@cache
def _spellings() -> tuple[dict[str, str], dict[str, str]]:
    """The kinds by all their nouns, and the colours by all their words."""
    nouns = {noun: kind for kind, what in KINDS.items() for noun in (what.noun, *SYNONYMS.get(what.noun, ()))}
    return nouns, {word: color for color in COLORS for word in (color, *SYNONYMS.get(color, ()))}


@cache
def _grammar(vague: bool = False) -> re.Pattern[str]:
    """What `caption` makes of a subject and no bad words, in small letters; precise ones or vague."""

    def one_of(words: Iterable[str]) -> str:
        return f"(?:{'|'.join(re.escape(word.lower()) for word in words)})"

    nouns, colors = _spellings()
    if vague:
        nouns = {word: "" for word in VAGUE}
    views = {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}
    return re.compile(
        f"{one_of(OPENINGS)}?(?:(?:an?|the|some) )?(?:{one_of(FILLERS)} )*"
        f"(?:(?P<color>{one_of(colors)}) )?(?:(?P<material>{one_of(MATERIALS)}) )?"
        f"(?P<statue>{one_of(STATUES)} of (?:an?|some) )?(?P<noun>{one_of(nouns)})"
        f"(?: made of (?P<substance>{one_of(MADE_OF.values())}))?"
        f"(?:{one_of(STANDING)}(?P<base>{one_of(base.phrase for base in BASES.values())}))?"
        f"{one_of(ENDINGS)}?{one_of(views)}?"
    )


def named(prompt: str) -> Subject | None:
    """The subject that a prompt names, with any opening and view words; None if any word says more than that.

    Undoes `caption`, with the other ways to put things: "a figurine of a donut made of gold".
    """
    said = _grammar().fullmatch(" ".join(prompt.lower().split()).rstrip("."))
    if said is None or (said["material"] and said["substance"]):
        return None
    nouns, colors = _spellings()
    material = said["material"] or next((m for m, of in MADE_OF.items() if of == said["substance"]), "")
    if (said["statue"] and not material) or (said["color"] and material in PRECIOUS):
        return None  # a statue is of some material; what is golden is of gold's colour
    base = next((name for name, under in BASES.items() if under.phrase == said["base"]), "")
    return Subject(nouns[said["noun"]], colors[said["color"]] if said["color"] else "", material, base)


def covered(prompt: str) -> tuple[str, ...]:
    """The kinds that a vague prompt asks for ("a red animal, side view"); none if it is no such prompt."""
    said = _grammar(vague=True).fullmatch(" ".join(prompt.lower().split()).rstrip("."))
    return VAGUE[said["noun"]] if said is not None else ()
