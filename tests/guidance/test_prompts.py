"""View words at their boundaries, prompts that are long or strange, words that the prior was never taught."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.errors import UserError
from src.guidance.gaussian import gaussian_prior
from src.guidance.prompts import NEGATIVE_PROMPT, PromptBank, PromptConfig, Views, view_words

FOUR, EIGHT, NONE = (PromptConfig(views=views) for views in (Views.four, Views.eight, Views.none))


def words(
    cfg: PromptConfig, azimuth: float, elevation: float = 0.0, dtype: torch.dtype = torch.float32
) -> str:
    angles = torch.deg2rad(torch.tensor([azimuth, elevation], dtype=torch.float64)).to(dtype)
    return view_words(cfg, angles[:1], angles[1:])[0]


# --- view words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("azimuth", "expected"),
    [
        (0, "front"),
        (29.99, "front"),
        (30, "side"),  # the closest public config's comparison is strict, too
        (-29.99, "front"),
        (-30, "side"),
        (330, "side"),
        (330.01, "front"),
        (90, "side"),
        (270, "side"),
        (150, "side"),
        (150.01, "back"),
        (180, "back"),
        (-180, "back"),
        (-150, "side"),
        (-150.01, "back"),
        (360, "front"),
    ],
)
def test_four_views(azimuth: float, expected: str, dtype: torch.dtype) -> None:
    """Oracle: front within 30 degrees of azimuth 0, back within 30 of 180, in either precision."""
    assert words(FOUR, azimuth, dtype=dtype) == f", {expected} view"


@pytest.mark.parametrize(
    ("azimuth", "expected"),
    [
        (0, ", front view"),
        (45, ", front left view"),
        (90, ", left side view"),
        (135, ", back left view"),
        (180, ", back view"),
        (225, ", back right view"),
        (270, ", right side view"),
        (315, ", front right view"),
    ],
)
def test_eight_views(azimuth: float, expected: str) -> None:
    """Oracle: sectors of 45 degrees, each from its centre - 22.5 up to, and without, its centre + 22.5."""
    for offset in (-22.5, 0, 22.49):
        for turn in (-360, 0, 360):
            assert words(EIGHT, azimuth + offset + turn) == expected
    assert words(EIGHT, azimuth + 22.5) != expected


def test_azimuth_90_shows_the_left_side() -> None:
    """Oracle: who faces +x has +y at the left hand, and the camera at azimuth 90 sits on +y."""
    facing, up = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    left = torch.linalg.cross(up, facing)
    assert left.tolist() == [0, 1, 0]
    assert words(EIGHT, math.degrees(math.atan2(left[1], left[0]))) == ", left side view"


@pytest.mark.parametrize("cfg", [FOUR, EIGHT])
def test_overhead_beats_every_side(cfg: PromptConfig) -> None:
    """Oracle: above 60 degrees, without 60 itself."""
    for azimuth in (0, 90, 180, 200):
        assert words(cfg, azimuth, 60.01) == ", overhead view"
        assert words(cfg, azimuth, 60) == words(cfg, azimuth, 0) != ", overhead view"


def test_no_view_words_if_none_are_wanted() -> None:
    """Oracle: the empty string."""
    assert words(NONE, 120, 80) == ""


@given(st.floats(-720, 720), st.integers(-3, 3))
def test_a_full_turn_changes_nothing(azimuth: float, turns: int) -> None:
    """Oracle: periodicity; the angle is snapped to .01 degrees, so that no rounding crosses a boundary."""
    azimuth = round(azimuth, 2) + 0.005
    for cfg in (FOUR, EIGHT):
        turned = words(cfg, azimuth + 360 * turns, dtype=torch.float64)
        assert turned == words(cfg, azimuth, dtype=torch.float64)


@given(st.floats(-180, 180))
def test_left_is_the_mirror_of_right(azimuth: float) -> None:
    """Oracle: the mirror y -> -y maps azimuth to -azimuth, left to right, and keeps front, back and side."""
    azimuth = round(azimuth, 2) + 0.005
    mirrored = words(EIGHT, -azimuth).replace("left", "?").replace("right", "left").replace("?", "right")
    assert words(EIGHT, azimuth) == mirrored
    assert words(FOUR, azimuth) == words(FOUR, -azimuth)


# --- embeddings ---------------------------------------------------------------------------------------------


def bank(prior: Any, prompt: str, cfg: PromptConfig = FOUR) -> PromptBank:
    return PromptBank(prior, prompt, cfg)


@pytest.mark.parametrize("cfg", [NONE, FOUR, EIGHT])
def test_each_view_gets_its_own_prompt(tiny_prior: Any, cfg: PromptConfig) -> None:
    """Oracle: prior.embed of prompt + words; "" and p_neg never carry view words."""
    azimuth = torch.deg2rad(torch.tensor([0.0, 100, 180, 250, 10]))
    elevation = torch.deg2rad(torch.tensor([0.0, 10, 20, 30, 80]))
    text = bank(tiny_prior, "a red lion", replace(cfg, negative="ugly"))(azimuth, elevation)
    suffixes = view_words(cfg, azimuth, elevation)
    expected = tiny_prior.embed(["a red lion" + suffix for suffix in suffixes])
    torch.testing.assert_close(
        text.cond, expected, rtol=1e-5, atol=1e-6
    )  # another batch size, another sum order
    for branch, prompt in ((text.uncond, ""), (text.negative, "ugly")):
        expected = tiny_prior.embed([prompt]).expand(5, -1, -1)
        torch.testing.assert_close(branch, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("views", "anchors"), [(Views.four, [0, 90, 180, 270]), (Views.eight, range(0, 360, 45))]
)
def test_interpolated_views_meet_the_plain_ones_at_their_centres(views: Views, anchors: Any) -> None:
    """Oracle: the embedding of the words at a view's centre; half-way, the mean of the two beside it."""
    prior, plain = gaussian_prior(size=2), PromptConfig(views=views)
    centres = torch.deg2rad(torch.tensor([float(a) for a in anchors], dtype=torch.float64))
    level = torch.zeros_like(centres)
    there = bank(prior, "a lion", plain)(centres, level).cond
    smooth = bank(prior, "a lion", replace(plain, interpolate=True))
    torch.testing.assert_close(smooth(centres, level).cond, there)
    half = smooth(centres + math.pi / len(anchors), level).cond
    torch.testing.assert_close(half, (there + there.roll(-1, 0)) / 2)


def test_interpolation_leaves_overhead_alone() -> None:
    """Oracle: the embedding of the overhead words, at any azimuth."""
    prior, steep = gaussian_prior(size=2), torch.full((3,), math.radians(80))
    made = bank(prior, "a lion", PromptConfig(interpolate=True))
    expected = prior.embed(["a lion, overhead view"]).expand(3, -1, -1)
    assert torch.equal(made(torch.tensor([0.1, 2.0, 4.0]), steep).cond, expected)


def test_the_front_view_is_held_against_the_back_most() -> None:
    """Oracle: the front's embedding, with (1 - cos azimuth) / 2 of the weight: 0 in front, all behind."""
    prior = gaussian_prior(size=2)
    text = bank(prior, "a lion", PromptConfig(perp_neg=3.0))(
        torch.tensor([0, math.pi / 2, math.pi]), torch.zeros(3)
    )
    assert text.front is not None
    assert text.front_weight is not None
    assert torch.equal(text.front, prior.embed(["a lion, front view"]).expand(3, -1, -1))
    torch.testing.assert_close(text.front_weight, torch.tensor([0.0, 1.5, 3.0]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"perp_neg": -1.0}, "perp_neg=-1.0 is out of range"),
        ({"perp_neg": math.nan}, "perp_neg=nan is out of range"),
        ({"perp_neg": 2.0, "views": Views.none}, "perp_neg=2.0 tells views apart"),
        ({"interpolate": True, "views": Views.none}, "interpolate=true tells views apart"),
    ],
)
def test_views_cannot_be_used_where_there_are_none(settings: Any, said: str) -> None:
    """Oracle: the sentence names setting and value."""
    with pytest.raises(UserError, match=said):
        PromptConfig(**settings)


def test_negative_prompt_is_the_papers() -> None:
    """Oracle: NFSD, section 4, word for word."""
    assert NEGATIVE_PROMPT == (
        "unrealistic, blurry, low quality, out of focus, ugly, low contrast, dull, dark, "
        "low-resolution, gloomy"
    )


def test_the_empty_prompt_is_never_replaced_by_the_negative_one() -> None:
    """Oracle: embeddings of the two texts; the closed-form prior tells any two texts apart."""
    prior = gaussian_prior(size=2)
    text = bank(prior, "a lion", PromptConfig(negative="ugly"))(torch.zeros(2), torch.zeros(2))
    empty, negative = prior.embed(["", "ugly"])
    assert torch.equal(text.uncond, empty.expand(2, -1, -1))
    assert torch.equal(text.negative, negative.expand(2, -1, -1))


def test_a_short_prompt_is_kept_whole() -> None:
    """Oracle: nothing is reported as cut."""
    assert bank(gaussian_prior(size=2), "a lion").cut == {}


@pytest.mark.parametrize(("cfg", "room"), [(NONE, 75), (FOUR, 73), (EIGHT, 72)])
def test_a_long_prompt_keeps_its_view_words(cfg: PromptConfig, room: int) -> None:
    """Oracle: 77 tokens less begin, end and the longest view words; here a word is a token.

    The comma of ", front view" belongs to the last word of the prompt there.
    """
    prior = gaussian_prior(size=2)
    prompt = " ".join(f"word{i}" for i in range(100))
    made = bank(prior, prompt, cfg)
    assert made.cut == {"prompt": " ".join(f"word{i}" for i in range(room, 100))}
    kept = " ".join(f"word{i}" for i in range(room))
    text = made(torch.tensor([0.0, math.pi]), torch.zeros(2))
    suffixes = view_words(cfg, torch.tensor([0.0, math.pi]), torch.zeros(2))
    assert torch.equal(text.cond, prior.embed([kept + suffix for suffix in suffixes]))


def test_a_long_word_is_cut_between_characters(tiny_prior: Any) -> None:
    """Oracle: the byte-level tokenizer of the tiny model has one token per ASCII character."""
    made = bank(tiny_prior, "x" * 200, PromptConfig(views=Views.none, negative="ugly"))
    assert made.cut == {"prompt": "x" * 125}


def test_a_long_negative_prompt_is_reported_by_its_own_name(tiny_prior: Any) -> None:
    """Oracle: one token per character, none for a space: the cut falls after 75 characters."""
    made = bank(tiny_prior, "a lion", PromptConfig(negative="ab " * 50))
    assert made.cut == {"prompts.negative": ("ab " * 13).strip()}


@given(st.text(max_size=300))
def test_any_text_is_a_prompt(prompt: str) -> None:
    """Oracle: kept text and cut make up the prompt, whatever the characters."""
    made = bank(gaussian_prior(size=1), prompt)
    text = made(torch.zeros(1), torch.zeros(1))
    assert text.cond.isfinite().all()
    assert prompt.strip().endswith(made.cut.get("prompt", ""))


@pytest.mark.parametrize(
    "prompt",
    [
        "un león de cerámica",
        "一只陶瓷狮子" * 20,
        "🦁" * 40,
        "\udcff broken bytes",
        "null",
        "../a $lion `x` \x00",
        " ",
    ],
)
def test_a_real_tokenizer_takes_any_text(tiny_prior: Any, prompt: str) -> None:
    """Oracle: finite embeddings and no more than 77 tokens, lone surrogates included."""
    text = bank(tiny_prior, prompt)(torch.zeros(1), torch.zeros(1))
    assert text.cond.shape == (1, 77, 32)
    assert text.cond.isfinite().all()


@pytest.mark.parametrize("name", ["front_threshold_degrees", "overhead_threshold_degrees"])
@pytest.mark.parametrize("value", [0.0, -30.0, 90.5, math.nan])
def test_impossible_thresholds_are_refused_by_name(name: str, value: float) -> None:
    """Oracle: the message names key and value."""
    with pytest.raises(UserError, match=f"prompts.{name}={value}"):
        PromptConfig(**{name: value})
