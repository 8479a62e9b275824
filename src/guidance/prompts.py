"""From a prompt to embeddings: the same prompt seen from every side, the empty prompt, and the paper's p_neg.

Azimuth and elevation are a camera's angles in radians.  Azimuth 0 is the front and grows counter-clockwise
seen from above, so a camera at 90 degrees looks at the left side of an object that faces the front.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.errors import UserError
from src.guidance.prior import Prior
from src.streams import upload

NEGATIVE_PROMPT = (
    "unrealistic, blurry, low quality, out of focus, ugly, low contrast, dull, dark, low-resolution, gloomy"
)


class Views(StrEnum):
    """How many sides a prompt is told apart by."""

    none = "none"
    four = "four"
    eight = "eight"


@dataclass
class PromptConfig:
    """How a prompt is told which side it is seen from, and what NFSD's negative prompt says."""

    views: Views = Views.four
    front_threshold_degrees: float = 30.0  # half the width of front and of back; closest public config
    overhead_threshold_degrees: float = 60.0
    negative: str = NEGATIVE_PROMPT
    # Blend the embeddings of the two nearest views by azimuth (DreamFusion, section 3.2), thresholds or not.
    interpolate: bool = False
    perp_neg: float = 0.0  # weight of the front view held against the others (Perp-Neg; one more UNet row)

    def __post_init__(self) -> None:
        for name in ("front_threshold_degrees", "overhead_threshold_degrees"):
            value = getattr(self, name)
            if not 0 < value <= 90:
                raise UserError(f"prompts.{name}={value} is out of range: choose above 0, at most 90 degrees")
        if not 0 <= self.perp_neg <= 100:
            raise UserError(f"prompts.perp_neg={self.perp_neg} is out of range: choose 0 (off) to 100")
        if self.views is Views.none and (self.interpolate or self.perp_neg):
            setting = "interpolate=true" if self.interpolate else f"perp_neg={self.perp_neg}"
            raise UserError(f"prompts.{setting} tells views apart: choose prompts.views=four or eight")


SUFFIXES = {
    Views.none: ("",),
    Views.four: (", front view", ", side view", ", back view", ", overhead view"),
    Views.eight: (
        ", front view",
        ", front left view",
        ", left side view",
        ", back left view",
        ", back view",
        ", back right view",
        ", right side view",
        ", front right view",
        ", overhead view",
    ),
}


class Text(NamedTuple):
    """Embeddings of the branches that a prior can be asked for, one row per view."""

    cond: Float[Tensor, "B L D"]
    uncond: Float[Tensor, "B L D"]
    negative: Float[Tensor, "B L D"]
    front: Float[Tensor, "B L D"] | None = None  # the prompt's front view, if it is held against the others
    front_weight: Float[Tensor, "B"] | None = None


def view_words(cfg: PromptConfig, azimuth: Float[Tensor, "B"], elevation: Float[Tensor, "B"]) -> list[str]:
    """Return what is appended to the prompt for each camera (radians)."""
    return [SUFFIXES[cfg.views][index] for index in _view_index(cfg, azimuth, elevation).tolist()]


def _view_index(
    cfg: PromptConfig, azimuth: Float[Tensor, "B"], elevation: Float[Tensor, "B"]
) -> Int[Tensor, "B"]:
    suffixes = SUFFIXES[cfg.views]
    if len(suffixes) == 1:
        return torch.zeros_like(azimuth, dtype=torch.int64)
    turn = _degrees(azimuth)
    if cfg.views is Views.four:
        from_front = torch.minimum(turn % 360, -turn % 360)  # 0 ... 180
        side = torch.where(from_front < cfg.front_threshold_degrees, 0, 1)
        side = torch.where(from_front > 180 - cfg.front_threshold_degrees, 2, side)
    else:
        side = ((turn + 22.5) % 360 / 45).to(torch.int64)
    return torch.where(_degrees(elevation) > cfg.overhead_threshold_degrees, len(suffixes) - 1, side)


def _neighbours(
    cfg: PromptConfig, azimuth: Float[Tensor, "B"], elevation: Float[Tensor, "B"]
) -> tuple[Int[Tensor, "B"], Int[Tensor, "B"], Float[Tensor, "B"]]:
    """The views on either side of each azimuth, and how far it is from the first (0) to the second (1)."""
    ring = (
        [0, 1, 2, 1] if cfg.views is Views.four else list(range(8))
    )  # from one view to the next, all around
    place = (_degrees(azimuth) % 360) * len(ring) / 360
    first = place.to(torch.int64) % len(ring)
    around = torch.tensor(ring, device=azimuth.device)
    one, other = around[first], around[(first + 1) % len(ring)]
    overhead = len(SUFFIXES[cfg.views]) - 1
    above = _degrees(elevation) > cfg.overhead_threshold_degrees
    one, other = (torch.where(above, overhead, view) for view in (one, other))
    return one, other, (place % 1).to(azimuth.dtype)


def _degrees(radians: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    # Rounded, so that a whole number of degrees that came through float32 radians still lies on its boundary.
    return torch.rad2deg(radians.double()).round(decimals=3)


class PromptBank:
    """Every text of a run, embedded once: the prompt with each view's words, the empty prompt, p_neg.

    `cut` maps a setting whose text was too long for the prior to the words that were left out at its end;
    room is kept for the longest view words, which would otherwise be the first to go.
    """

    def __init__(self, prior: Prior, prompt: str, cfg: PromptConfig) -> None:
        suffixes = SUFFIXES[cfg.views]
        kept, cut = _fit(prior, _valid(prompt), suffixes)
        negative, negative_cut = _fit(prior, _valid(cfg.negative), ("",))
        cuts = {"prompt": cut, "prompts.negative": negative_cut}
        self.cut = {setting: text for setting, text in cuts.items() if text}
        self._cfg = cfg
        embedded = prior.embed([*(kept + suffix for suffix in suffixes), "", negative])
        self._cond, self._uncond, self._negative = embedded[:-2], embedded[-2], embedded[-1]
        self._plain = prior.embed([kept])[0]

    def plain(self, batch: int) -> Text:
        """Return the embeddings for what is seen from nowhere: the prompt without view words."""
        size = (batch, -1, -1)
        return Text(*(one.expand(size) for one in (self._plain, self._uncond, self._negative)))

    def __call__(self, azimuth: Float[Tensor, "B"], elevation: Float[Tensor, "B"]) -> Text:
        """Return the embeddings for cameras at these angles (radians), which are on the processor."""
        size, device = (len(azimuth), -1, -1), self._cond.device
        if self._cfg.interpolate:
            one, other, mix = (upload(each, device) for each in _neighbours(self._cfg, azimuth, elevation))
            cond = torch.lerp(self._cond[one], self._cond[other], mix.to(self._cond)[:, None, None])
        else:
            cond = self._cond[upload(_view_index(self._cfg, azimuth, elevation), device)]
        text = Text(cond, self._uncond.expand(size), self._negative.expand(size))
        if not self._cfg.perp_neg:
            return text
        # Nothing in front, all of it behind, half at the sides.
        weight = self._cfg.perp_neg * (1 - azimuth.cos()) / 2
        return text._replace(
            front=self._cond[0].expand(size), front_weight=upload(weight.to(self._cond.dtype), device)
        )


def _valid(text: str) -> str:
    # A command line may carry bytes that are no text (lone surrogates); tokenizers refuse those.
    return text.encode(errors="replace").decode()


def _fit(prior: Prior, text: str, suffixes: Iterable[str]) -> tuple[str, str]:
    """Split a text into what fits the prior's tokens together with any suffix, and the rest."""

    def fits(length: int) -> bool:
        return all(prior.count_tokens(text[:length] + suffix) <= prior.max_tokens for suffix in suffixes)

    if fits(len(text)):
        return text, ""
    short, long = 0, len(text)
    while long - short > 1:
        middle = (short + long) // 2
        short, long = (middle, long) if fits(middle) else (short, middle)
    word_end = text.rfind(" ", 0, short + 1)
    kept = text[:word_end] if word_end > 0 else text[:short]
    return kept, text[len(kept) :].strip()
