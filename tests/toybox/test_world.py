"""The toy world's pictures and captions."""

import math
from collections import Counter

import numpy as np
import torch

from src.guidance.prompts import NEGATIVE_PROMPT, SUFFIXES, PromptConfig, Views, view_words
from src.scene.cameras import orbit
from src.toybox.captions import COLORS, Subject, caption, held_out, named, subject, vocabulary
from src.toybox.shapes import KINDS, build
from src.toybox.solid import BOUNDING_RADIUS
from src.toybox.world import DEGRADED, key_light, photograph, shard


def view(kind: str, azimuth_degrees: int, size: int = 48) -> np.ndarray:
    """Premultiplied RGBA of a red instance from a given side."""
    camera = orbit(360, 10.0, 1.45, 45.0, size)
    light = key_light(math.radians(azimuth_degrees), 20.0, 60.0)
    table = build(kind, np.random.default_rng(0))
    return photograph(table, Subject(kind, "red"), light, camera.one(azimuth_degrees))


def test_silhouette_of_a_sphere() -> None:
    """Oracle: a sphere of radius r at distance d covers a disc of half-angle asin(r/d). 1%: 2x2 rays."""
    image = view("sphere", 0, size=96)
    half_angle = math.asin(BOUNDING_RADIUS / 1.45)
    radius = math.tan(half_angle) / math.tan(math.radians(22.5)) * 48
    assert abs(image[..., 3].sum() / (math.pi * radius**2) - 1) < 0.01


def test_fronts_face_azimuth_zero() -> None:
    """Oracle: a lion, cat and rabbit show their black eyes to a camera on +x and to no camera on -x."""
    for kind in ("lion", "cat", "rabbit"):

        def dark(azimuth: int, kind: str = kind) -> int:
            image = view(kind, azimuth)
            return int(((image[..., 3] > 0.9) & (image[..., :3].max(-1) < 0.2)).sum())

        assert dark(0) >= dark(180) + 4, kind


def test_azimuth_90_shows_the_left_side() -> None:
    """Oracle: from +y, what faces +x has its nose towards the image's left edge (a duck's bill is orange)."""
    image = view("duck", 90)
    bill = (image[..., 0] > 0.6) & (image[..., 1] > 0.3) & (image[..., 2] < 0.3)
    assert bill.any()
    assert np.argwhere(bill)[:, 1].mean() < 24
    angle = torch.tensor([math.radians(90.0)])
    assert view_words(PromptConfig(views=Views.eight), angle, torch.zeros(1)) == [", left side view"]


def test_a_shard_is_a_function_of_its_seed() -> None:
    """Oracle: equality, bit for bit; and another index is another shard."""
    one, again, other = shard(0, 7, 12), shard(0, 7, 12), shard(0, 8, 12)
    assert all(
        np.array_equal(a.pixels, b.pixels) and a.subject == b.subject for a, b in zip(one, again, strict=True)
    )
    assert any(a.subject != b.subject for a, b in zip(one, other, strict=True))


def test_held_out_pairs_never_appear_and_spare_nobody() -> None:
    """Oracle: counting."""
    rng = np.random.default_rng(0)
    seen = Counter((s.kind, s.color) for s in (subject(rng) for _ in range(20_000)) if s.color)
    pairs = [(kind, color) for kind in KINDS for color in COLORS if held_out(kind, color)]
    assert len(pairs) == 24
    assert not any(seen[pair] for pair in pairs)
    assert len(seen) == len(KINDS) * len(COLORS) - 24
    assert max(Counter(kind for kind, _ in pairs).values()) <= 2


def test_captions_use_known_words_only() -> None:
    """Oracle: the vocabulary, closed over 3,000 captions."""
    known = {*vocabulary(), *NEGATIVE_PROMPT.replace(",", "").split()}
    known |= {word for suffixes in SUFFIXES.values() for s in suffixes for word in s.strip(", ").split()}
    rng = np.random.default_rng(1)
    for _ in range(3000):
        bad = NEGATIVE_PROMPT.split(", ")[:3] if rng.random() < 0.1 else []
        text = caption(subject(rng), (", side view", ", left side view"), bad, rng)
        assert set(text.lower().replace(",", "").split()) <= known, text


def test_captions_are_read_back() -> None:
    """Oracle: the subject that each of 3,000 captions was made from; prompts as people write them."""
    rng = np.random.default_rng(2)
    for _ in range(3000):
        what = subject(rng)
        assert named(caption(what, (", side view", ", left side view"), [], rng)) == what
    assert named("  A DSLR photo of a gray bunny ") == Subject("rabbit", "grey")
    assert named("a donut made of gold") == Subject("torus", "", "golden")
    assert named("a cactus in a pot.") == Subject("cactus")


def test_what_says_more_than_a_subject_names_none() -> None:
    """Oracle: a lion that reads is none of this world, nor is an ice cream or a cat in two colours."""
    for prompt in (
        "a lion reading a book",
        "a cat wearing a hat",
        "a red blue cat",
        "a ceramic cat made of gold",
    ):
        assert named(prompt) is None, prompt
    for prompt in ("an ice cream", "two cats", "a hedgehog", "a red", "a", ""):
        assert named(prompt) is None, prompt


def test_degraded_pictures_name_their_faults() -> None:
    """Oracle: the share DEGRADED (4 sigma of a binomial), and words of p_neg where a picture is degraded."""
    pictures = shard(1, 0, 150)
    bad = [p for p in pictures if p.bad_words]
    spread = 4 * math.sqrt(150 * DEGRADED * (1 - DEGRADED))
    assert abs(len(bad) - 150 * DEGRADED) < spread
    assert {word for p in bad for word in p.bad_words} <= set(NEGATIVE_PROMPT.split(", "))
