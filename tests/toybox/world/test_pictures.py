"""The toy world's pictures and captions."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch

from src.guidance.prompts import NEGATIVE_PROMPT, SUFFIXES, PromptConfig, Views, view_words
from src.scene.cameras import orbit
from src.toybox.sheet import COLUMNS, SHOWN
from src.toybox.world.captions import (
    MATERIALS,
    SYNONYMS,
    VAGUE,
    VAGUENESS,
    Subject,
    caption,
    covered,
    held_out,
    held_out_material,
    named,
    subject,
    unseen,
    vocabulary,
)
from src.toybox.world.lattice import near
from src.toybox.world.paint import BARE_MATERIAL, COLORS, FINISH, NATURAL
from src.toybox.world.pictures import DEGRADED, SIZE, key_light, photograph, pinhole, shard
from src.toybox.world.render import _shadow, trace
from src.toybox.world.shapes import BASES, KINDS, PAIRS, build
from src.toybox.world.solid import BOUNDING_RADIUS, Solid


def view(subject: Subject, azimuth_degrees: int, size: int = 48) -> np.ndarray:
    """Premultiplied RGBA of an instance from a given side."""
    camera = orbit(360, 10.0, 1.45, 45.0, size)
    light = key_light(math.radians(azimuth_degrees), 20.0, 60.0)
    table = build(subject.kind, np.random.default_rng(0), base=subject.base)
    return photograph(table, subject, light, camera.one(azimuth_degrees))


def test_silhouette_of_a_sphere() -> None:
    """Oracle: a sphere of radius r at distance d covers a disc of half-angle asin(r/d). 1%: 2x2 rays."""
    image = view(Subject("sphere", "red"), 0, size=96)
    half_angle = math.asin(BOUNDING_RADIUS / 1.45)
    radius = math.tan(half_angle) / math.tan(math.radians(22.5)) * 48
    assert abs(image[..., 3].sum() / (math.pi * radius**2) - 1) < 0.01


def test_the_tracer_sees_along_the_cameras_rays() -> None:
    """Oracle: the trainer's own rays, met by a ball off the middle. 0.1 pixels, 3%: whole pixels."""
    camera = orbit(8, 25.0, 1.4, 45.0, 64).one(3)
    table = build("sphere", np.random.default_rng(0))
    place = np.array([0.1, -0.2, 0.2])
    table[:, 1:4] += place
    table[:, [13, 14, 15, 20]] *= 0.4
    alpha = trace(table, np.zeros((30, 4)), np.array([0.0, 0, 1]), np.zeros(3), pinhole(camera), 64)[..., 3]
    rays = camera.rays()
    toward = place - rays.origins[0].numpy()
    angle = np.arccos((toward * rays.directions[0].numpy()).sum(-1) / np.linalg.norm(toward, axis=-1))
    seen = angle < math.asin(0.2 / np.linalg.norm(toward[0, 0]))
    np.testing.assert_allclose(
        np.argwhere(seen).mean(0), np.average(np.indices((64, 64)).reshape(2, -1), 1, alpha.ravel()), atol=0.1
    )
    assert abs(alpha.sum() - seen.sum()) < 0.03 * seen.sum()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].has_front])
def test_fronts_and_backs_differ(kind: str) -> None:
    """Oracle: over both silhouettes, the front's colours and the mirrored back's are 0.07 apart on average.

    A bowl's or a table's are 0.003 apart."""
    front, back = view(Subject(kind), 0, 64), view(Subject(kind), 180, 64)[:, ::-1]
    either = (front[..., 3] > 0.5) | (back[..., 3] > 0.5)
    assert np.abs(front - back)[either][:, :3].mean() > 0.07


def test_azimuth_90_shows_the_left_side() -> None:
    """Oracle: from +y, what faces +x has its nose towards the image's left edge (a duck's bill is orange)."""
    image = view(Subject("duck", "red"), 90)
    bill = (image[..., 0] > 0.6) & (image[..., 1] > 0.3) & (image[..., 2] < 0.3)
    assert bill.any()
    assert np.argwhere(bill)[:, 1].mean() < 24
    angle = torch.tensor([math.radians(90.0)])
    assert view_words(PromptConfig(views=Views.eight), angle, torch.zeros(1)) == [", left side view"]


@pytest.mark.parametrize("color", ["", "red"])
def test_materials_differ_from_one_another(color: str) -> None:
    """Oracle: on a teapot, colours of any two materials are 0.04 apart on average, 10 of 255 steps; of one
    colour, 0.02."""
    names = ["", *(BARE_MATERIAL if color else MATERIALS)]
    looks = {name: view(Subject("teapot", color, name), 60, 64) for name in names}
    for one, other in combinations(names, 2):
        apart = np.abs(looks[one] - looks[other])[looks[one][..., 3] > 0.5][:, :3].mean()
        assert apart > (0.02 if color else 0.04), (one, other)
    assert set(FINISH) == {"", *MATERIALS}


def test_eyes_stay_black_whatever_the_material() -> None:
    """Oracle: a cat of gold shows the same black, white and pink as one of ice."""
    gold, ice = (view(Subject("cat", "", name), 0, 64) for name in ("golden", "ice"))
    same = (np.abs(gold - ice).max(-1) < 0.02) & (gold[..., 3] > 0.9)
    pink = (gold[..., 0] > gold[..., 1] + 0.15) & (gold[..., 2] > gold[..., 1] + 0.02)
    for part in (gold[..., :3].max(-1) < 0.2, gold[..., :3].min(-1) > 0.7, pink):
        assert (same & part).sum() > 4


def test_light_comes_from_the_key_light() -> None:
    """Oracle: a ball is brighter towards the light than away from it."""
    ball = view(Subject("sphere", "white"), 0, 64)
    assert ball[16, 32, 0] > ball[48, 32, 0] + 0.2


def test_shadows_are_soft() -> None:
    """Oracle: under a ball a place is dark when the light stands above and lit when it stands aside, and the
    further aside the lighter."""
    scene = Solid()
    scene.box((0, 0, -0.3), (0.4, 0.4, 0.05))
    scene.ellipsoid((0, 0, 0.15), 0.15)
    lattice = near(np.stack(scene.rows)).lattice
    place, up = np.array([0.0, 0.0, -0.25]), np.array([0.0, 0.0, 1.0])
    angles = np.radians([0, 15, 25, 35, 45, 60])
    shares = [_shadow(lattice, place, up, np.array([np.sin(a), 0.0, np.cos(a)])) for a in angles]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)
    assert any(0.1 < share < 0.9 for share in shares)


def test_a_shard_is_a_function_of_its_seed() -> None:
    """Oracle: equality, bit for bit; and another index is another shard."""
    one, again, other = shard(0, 7, 12), shard(0, 7, 12), shard(0, 8, 12)
    assert all(
        np.array_equal(a.pixels, b.pixels) and a.subject == b.subject for a, b in zip(one, again, strict=True)
    )
    assert any(a.subject != b.subject for a, b in zip(one, other, strict=True))
    assert one[0].pixels.shape == (SIZE, SIZE, 4)


def test_held_out_pairs_never_appear_and_spare_nobody() -> None:
    """Oracle: counting 25,000 draws, in which an allowed pair is expected 8 times or more."""
    rng = np.random.default_rng(0)
    drawn = [subject(rng) for _ in range(25_000)]
    for rule, names, seen in (
        (held_out, list(COLORS), Counter((s.kind, s.color) for s in drawn if s.color)),
        (held_out_material, MATERIALS, Counter((s.kind, s.material) for s in drawn if s.material)),
    ):
        pairs = [(kind, name) for kind in KINDS for name in names if rule(kind, name)]
        assert len(pairs) == len(KINDS)
        assert not any(seen[pair] for pair in pairs)
        assert len(seen) == len(KINDS) * (len(names) - 1)
        assert set(Counter(name for _, name in pairs)) == set(names)
    assert not any(held_out(kind, KINDS[kind].natural_color) for kind in KINDS)
    assert not held_out_material("lion", "ceramic")
    assert {(s.kind, s.base) for s in drawn if s.base} == set(PAIRS)
    assert {s.kind for s in drawn} == set(KINDS)


def test_every_kind_has_a_colour_by_nature() -> None:
    """Oracle: the tables that `paint` looks it up in; nouns, and so captions, are told apart."""
    assert {kind.natural_color for kind in KINDS.values()} <= COLORS.keys() | NATURAL.keys()
    nouns = [kind.noun for kind in KINDS.values()] + [w for words in SYNONYMS.values() for w in words]
    assert len(set(nouns)) == len(nouns)
    assert set(SYNONYMS) <= {kind.noun for kind in KINDS.values()} | COLORS.keys()
    assert all(kind in KINDS and base in BASES for kind, base in PAIRS)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Subject("lion", "", "ceramic"), "a ceramic lion"),
        (Subject("hedgehog", "", "golden"), "a golden hedgehog"),
        (Subject("elephant", "orange"), "an orange elephant"),
        (Subject("cactus"), "a cactus in a clay pot"),
        (Subject("rabbit", base="pancakes"), "a rabbit on a stack of pancakes"),
        (Subject("owl", "", "ice", "stump"), "an ice owl on a tree stump"),
    ],
)
def test_plain_phrases(what: Subject, words: str) -> None:
    """Oracle: English."""
    assert what.phrase() == words


def test_captions_use_known_words_only() -> None:
    """Oracle: the vocabulary, closed over 5,000 captions, and no word in it that none of them uses."""
    known = {*vocabulary()}
    views = {word for suffixes in SUFFIXES.values() for s in suffixes for word in s.strip(", ").split()}
    bad = {*NEGATIVE_PROMPT.replace(",", "").split()}
    rng, used = np.random.default_rng(1), set()
    for _ in range(5000):
        words = NEGATIVE_PROMPT.split(", ")[:3] if rng.random() < 0.1 else []
        text = caption(subject(rng), (", side view", ", left side view"), words, rng)
        used |= set(text.lower().replace(",", "").split())
    assert used <= known | views | bad
    assert known <= used


def test_captions_are_read_back() -> None:
    """Oracle: the subjects that 3,000 captions were made from; every noun; prompts as people write them."""
    rng = np.random.default_rng(2)
    for _ in range(3000):
        what = subject(rng)
        said = caption(what, (", side view", ", left side view"), [], rng)
        assert named(said) == what or what.kind in covered(said), said
    for kind in KINDS:
        for noun in (KINDS[kind].noun, *SYNONYMS.get(KINDS[kind].noun, ())):
            assert named(f"the {noun}") == Subject(kind)
    for prompt, what in {
        "  A DSLR photo of a gray bunny ": Subject("rabbit", "grey"),
        "a donut made of gold": Subject("torus", "", "golden"),
        "A small saguaro cactus planted in a clay pot.": Subject("cactus"),
        "A highly detailed statue of a dinosaur made of leaves": Subject("dinosaur", "", "leafy"),
        "A zoomed out DSLR photo of a baby bunny sitting on top of a stack of pancakes": Subject(
            "rabbit", base="pancakes"
        ),
        "an ice ice cream on a block of ice, highly detailed, back view": Subject(
            "icecream", "", "ice", "ice"
        ),
    }.items():
        assert named(prompt) == what, prompt


def test_what_says_more_than_a_subject_names_none() -> None:
    """Oracle: a lion that reads is none of this world, nor is a cat in two colours or of two materials."""
    for prompt in (
        "a lion reading a book",
        "a cat wearing a hat",
        "a very red cat",
        "a red blue cat",
        "a ceramic cat made of gold",
        "a red golden cat",
        "a cat made of cheese",
        "a statue of a cat",
        "a cat on a plate on a plate",
        "a cat on a sofa",
        "an ice cream sundae",
        "two cats",
        "a hedgehog's",
        "a red",
        "a photo of a",
        "a",
        "",
    ):
        assert named(prompt) is None, prompt


def test_vague_captions_have_several_answers() -> None:
    """Oracle: counting 4,000 captions against VAGUENESS (4 sigma), and which kinds each word was said of.

    No caption is precise and vague, and a kind is never told with a colour that is held out for it."""
    rng = np.random.default_rng(4)
    drawn = [subject(rng) for _ in range(4000)]
    said = [(what, caption(what, (", side view", ", left side view"), [], rng)) for what in drawn]
    vague = [(what, text) for what, text in said if covered(text)]
    assert not any(named(text) for _, text in vague)
    assert abs(len(vague) - 4000 * VAGUENESS) < 4 * math.sqrt(4000 * VAGUENESS * (1 - VAGUENESS))
    for kinds in VAGUE.values():
        assert len(kinds) >= 3
        assert set(kinds) <= set(KINDS)
        assert len({what.kind for what, text in vague if covered(text) == kinds}) >= 3
    for prompt, word in {
        "an animal": "animal",
        "some red food": "food",
        "a cute blue thing, back view": "thing",
        "a DSLR photo of a ceramic toy on a stack of pancakes": "toy",
        "a statue of some food made of gold": "food",
    }.items():
        assert covered(prompt) == VAGUE[word], prompt
    assert covered("a lion") == ()


def test_what_nobody_was_told_is_unseen() -> None:
    """Oracle: 400 drawn subjects are all seen; a held-out colour or material, or another base, is not."""
    rng = np.random.default_rng(3)
    assert not any(unseen(subject(rng)) for _ in range(400))
    assert unseen(Subject("lion", base="pancakes"))
    for kind in KINDS:
        assert unseen(Subject(kind, next(color for color in COLORS if held_out(kind, color))))
        assert unseen(Subject(kind, "", next(m for m in MATERIALS if held_out_material(kind, m))))


def test_degraded_pictures_name_their_faults() -> None:
    """Oracle: the share DEGRADED (4 sigma of a binomial), and words of p_neg where a picture is degraded."""
    pictures = shard(1, 0, 100)
    bad = [p for p in pictures if p.bad_words]
    spread = 4 * math.sqrt(100 * DEGRADED * (1 - DEGRADED))
    assert abs(len(bad) - 100 * DEGRADED) < spread
    assert {word for p in bad for word in p.bad_words} <= set(NEGATIVE_PROMPT.split(", "))


def test_the_sheet_has_no_gaps() -> None:
    """Oracle: whole rows of kinds and pairs, and one row of materials for each model."""
    assert (len(KINDS) + len(PAIRS)) % COLUMNS == 0
    assert 2 + len(MATERIALS) == COLUMNS
    assert set(SHOWN) <= set(KINDS)
