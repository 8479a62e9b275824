"""The judge's own pictures of the toy world: what is said of them, and that nobody else's are among them."""

import json
from pathlib import Path

import numpy as np
import torch

from src.evaluation.judge.wording import view_of
from src.streams import Streams
from src.toybox.world import pictures as world
from src.toybox.world.captions import MATERIALS, Subject
from src.toybox.world.paint import COLORS
from src.toybox.world.portraits import (
    BASED,
    CAMERAS,
    FRESH,
    Facts,
    draw_subject,
    picture,
    read_shards,
    shard,
    to_batch,
)
from src.toybox.world.shapes import BASES, KINDS


def test_a_shard_is_itself_again_and_no_other_seed_is() -> None:
    """Oracle: equal pixels and facts; other ones under the seed that errors are measured on."""
    pixels, facts = shard(0, 1, 4)
    again, same = shard(0, 1, 4)
    other, others = shard(FRESH, 1, 4)
    assert np.array_equal(pixels, again)
    assert facts == same
    assert not np.array_equal(pixels, other)
    assert facts != others
    assert (pixels[..., :3] <= pixels[..., 3:].astype(int) + 1).all()  # premultiplied; 1: rounding


def test_the_facts_are_of_the_picture() -> None:
    """Oracle: a red ball is red where it is opaque; the camera's own angles name its view."""
    camera = world.sample_cameras(CAMERAS, 1, 64, Streams(0, 0)("test"))
    for soft in (False, True):
        rgba = picture(Subject("sphere", "red"), camera, 0, Streams(0, 0)("test/picture"), soft)
        middle = rgba[32, 32] / rgba[32, 32, 3]
        assert rgba[32, 32, 3] > 0.3
        assert middle[0] > 3 * middle[1]
        assert middle[0] > 3 * middle[2]
    on_plate, alone = (
        picture(Subject("sphere", "red", base=base), camera, 0, Streams(0, 0)("test/picture"), False)
        for base in ("plate", "")
    )
    white = [(rgba[..., :3].min(-1) > 0.5).sum() for rgba in (on_plate, alone)]  # the plate's rim
    assert white[0] > 100 > white[1]
    fact = shard(0, 1, 4)[1][3]
    assert view_of(fact.azimuth, fact.elevation) in (None, "front view", "side view", "back view")


def test_everything_is_drawn() -> None:
    """Oracle: 4,000 draws have it all, kinds with a front twice as often, bases as said (4 deviations)."""
    drawn = [draw_subject(row) for row in np.random.default_rng(0).random((4000, 4))]
    assert {subject.kind for subject in drawn} == set(KINDS)
    assert {subject.color for subject in drawn} == {"", *COLORS}
    assert {subject.material for subject in drawn} == {"", *MATERIALS}
    assert {subject.base for subject in drawn} == {"", *BASES}
    based = sum(subject.base != "" for subject in drawn) / len(drawn)
    assert abs(based - BASED) < 4 * (BASED * (1 - BASED) / len(drawn)) ** 0.5
    share = sum(kind.has_front for kind in KINDS.values()) / len(KINDS)
    expected = 2 * share / (1 + share)
    found = sum(KINDS[subject.kind].has_front for subject in drawn) / len(drawn)
    assert abs(found - expected) < 4 * (expected * (1 - expected) / len(drawn)) ** 0.5


def test_shards_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Oracle: the same pixels and facts; half-written ones, without facts, are passed over."""
    pixels, facts = shard(0, 0, 3)
    for name in ("0000", "0001"):
        np.save(tmp_path / f"{name}.npy", pixels)
    (tmp_path / "0000.json").write_text(json.dumps(facts))
    (shown,), (read,) = read_shards(tmp_path)
    assert read == facts
    assert isinstance(read[0], Facts)
    batch = to_batch(list(shown))
    torch.testing.assert_close(batch[0, :, 5, 7] * 255, torch.tensor(pixels[0, 5, 7]).float())
