"""What a picture of the toy world is called: colours, materials, view words, the words of a bad picture."""

from dataclasses import dataclass

import numpy as np

from src.guidance.prompts import SUFFIXES
from src.toybox.shapes import KINDS

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.09, 0.08),
    "orange": (0.96, 0.48, 0.05),
    "yellow": (0.97, 0.84, 0.10),
    "green": (0.10, 0.58, 0.16),
    "turquoise": (0.10, 0.76, 0.74),
    "blue": (0.10, 0.22, 0.85),
    "purple": (0.50, 0.13, 0.70),
    "pink": (0.97, 0.48, 0.70),
    "brown": (0.44, 0.25, 0.12),
    "white": (0.94, 0.94, 0.94),
    "grey": (0.48, 0.48, 0.49),
    "black": (0.09, 0.09, 0.10),
}
# What a material looks like when the caption names it without a colour.
BARE_MATERIAL = {
    "ceramic": (0.95, 0.88, 0.76),
    "metal": (0.55, 0.57, 0.60),
    "wooden": (0.60, 0.38, 0.20),
    "stone": (0.56, 0.54, 0.50),
}
PRECIOUS = {"golden": (1.0, 0.72, 0.18), "silver": (0.82, 0.84, 0.88)}  # metals whose name is their colour
MADE_OF = {
    "ceramic": "ceramic",
    "metal": "metal",
    "wooden": "wood",
    "stone": "stone",
    "golden": "gold",
    "silver": "silver",
}
SYNONYMS = {"rabbit": "bunny", "torus": "donut", "sphere": "ball", "mug": "cup", "grey": "gray"}
# The words of every view suffix, in their order and with repetitions.
VIEW_WORDS = [word for suffixes in SUFFIXES.values() for s in suffixes for word in s.strip(", ").split()]
OPENINGS = ("a photo of ", "a DSLR photo of ", "a 3D render of ")


@dataclass(frozen=True)
class Subject:
    """What a picture shows; an empty colour or material is one the caption does not name."""

    kind: str
    color: str = ""
    material: str = ""

    def paint(self) -> tuple[float, float, float]:
        """Linear RGB of the main part."""
        if self.material in PRECIOUS:
            return PRECIOUS[self.material]
        if self.color:
            return COLORS[self.color]
        return BARE_MATERIAL.get(self.material, COLORS[KINDS[self.kind].natural_color])

    def phrase(self, rng: np.random.Generator | None = None) -> str:
        """The noun phrase, as in "a red ceramic lion"; with a generator, also other ways people put it."""
        noun, color = KINDS[self.kind].noun, self.color
        tail, adjectives = "", [color, self.material]
        if rng is not None:
            if rng.random() < 0.15:
                noun, color = SYNONYMS.get(noun, noun), SYNONYMS.get(color, color)
                adjectives = [color, self.material]
            if self.material and rng.random() < 0.15:
                adjectives, tail = [color], f" made of {MADE_OF[self.material]}"
        words = " ".join([word for word in adjectives if word] + [noun]) + tail
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def held_out(kind: str, color: str) -> bool:
    """Whether no training caption names this kind in this colour: 24 of 288 pairs, by a fixed rule.

    One pair of every kind and two of every colour. A kind whose natural colour is held out (tree, cube,
    capsule) is still seen in it, under captions that name no colour.
    """
    return (list(KINDS).index(kind) + 2 * list(COLORS).index(color)) % 24 in (1, 12)


def subject(rng: np.random.Generator) -> Subject:
    """A random subject that is not held out; kinds with many parts are drawn twice as often."""
    kinds = list(KINDS)
    odds = np.array([2.0 if KINDS[kind].has_front else 1.0 for kind in kinds])
    kind = kinds[rng.choice(len(kinds), p=odds / odds.sum())]
    fate = rng.random()
    if fate < 0.12:
        return Subject(kind)
    if fate < 0.24:
        return Subject(kind, "", str(rng.choice(list(PRECIOUS))))
    material = "" if rng.random() < 0.5 else str(rng.choice(list(BARE_MATERIAL)))
    if fate < 0.38:
        return Subject(kind, "", material)
    colors = [color for color in COLORS if not held_out(kind, color)]
    return Subject(kind, str(rng.choice(colors)), material)


def caption(subject: Subject, views: tuple[str, str], bad_words: list[str], rng: np.random.Generator) -> str:
    """One of the captions of a picture.

    `views` are its suffixes in the four-word and in the eight-word scheme of `src.guidance.prompts`. A
    degraded picture is called by its bad words, with or without the subject: NFSD asks for them alone.
    """
    if bad_words:
        bad = ", ".join(bad_words)
        return bad if rng.random() < 0.6 else f"{subject.phrase(rng)}, {bad}"
    text = subject.phrase(rng)
    opening = rng.random()
    if opening < 0.25:
        text = OPENINGS[int(opening * 12)] + text
    elif opening < 0.30:
        text = text.split(" ", 1)[1]
    fate = rng.random()
    return text + (views[1] if fate < 0.68 else views[0] if fate < 0.88 else "")


def vocabulary() -> list[str]:
    """Every word a caption of the world can hold, sorted; what the bundled prior knows."""
    phrases = [kind.noun for kind in KINDS.values()] + list(OPENINGS)
    phrases += [*COLORS, *BARE_MATERIAL, *PRECIOUS, *MADE_OF.values(), *SYNONYMS.values(), "an", "made"]
    return sorted({word.lower() for phrase in phrases for word in phrase.split()})


def named(prompt: str) -> Subject | None:
    """The subject that a prompt names, with any opening and view words; None if any word says more than that.

    Undoes `Subject.phrase`, its other ways to put things included: "a donut made of gold".
    """
    text = " ".join(prompt.lower().split()).rstrip(".")
    views = sorted({words for suffixes in SUFFIXES.values() for words in suffixes}, key=len, reverse=True)
    text = text.removesuffix(next(words for words in views if text.endswith(words)))
    for opening in OPENINGS:
        text = text.removeprefix(opening.lower())
    words = text.split()[text.startswith(("a ", "an ", "the ")) :]
    spellings = {other: word for word, other in SYNONYMS.items()}
    materials = {substance: material for material, substance in MADE_OF.items()}
    material = ""
    if words[-3:-1] == ["made", "of"] and words[-1] in materials:
        material, words = materials[words[-1]], words[:-3]
    words = [spellings.get(word, word) for word in words]
    nouns = {tuple(kind.noun.split()): name for name, kind in KINDS.items()}
    for noun, name in nouns.items():
        rest, tail = words[: -len(noun)], tuple(words[-len(noun) :])
        if tail != noun:
            continue
        color = rest.pop(0) if rest and rest[0] in COLORS else ""
        if rest and not material and rest[0] in MADE_OF:
            material = rest.pop(0)
        return None if rest else Subject(name, color, material)
    return None
