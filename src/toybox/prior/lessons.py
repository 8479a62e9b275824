"""What the denoiser is taught by: latents of the world's pictures and their captions, on its device."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPTokenizer

from src.toybox.prior import networks
from src.toybox.prior.latents import latents_of
from src.toybox.prior.settings import Settings
from src.toybox.prior.shards import Shards
from src.toybox.world.captions import Subject, caption
from src.toybox.world.shapes import KINDS

CAPTIONS = 4  # of each picture


class Lessons:
    """Pictures to draw from, with some captions each; more as shards of the world are finished."""

    def __init__(
        self, cfg: Settings, tokens: CLIPTokenizer, vae: AutoencoderKL, check: Callable[[], object]
    ) -> None:
        self._cfg, self._tokens, self._vae = cfg, tokens, vae
        self._world = Shards(Path(cfg.folder) / "world", cfg.shards, check)
        size, device = networks.LATENT_SIZE, torch.device(cfg.device)
        self._posteriors = torch.empty(0, 2 * networks.LATENT_CHANNELS, size, size, device=device).half()
        self._words = torch.empty(0, CAPTIONS, networks.TOKENS, dtype=torch.int16, device=device)
        self._tickets = torch.empty(0, dtype=torch.int64, device=device)  # of pictures; a front has two
        self._known: dict[str, list[int]] = {}
        self._silence = self._read([[""]])[0, 0].to(device)

    def take_up(self) -> None:
        """Take up what has been finished since the last call."""
        posteriors, words, tickets = [self._posteriors], [self._words], [self._tickets]
        first = len(self._posteriors)
        for index in self._world.fresh():
            facts = json.loads((self._world.folder / f"{index:04d}.json").read_text())
            fronts = torch.tensor([KINDS[fact["subject"]["kind"]].has_front for fact in facts])
            posteriors.append(torch.from_numpy(latents_of(Path(self._cfg.folder), self._vae, index)))
            words.append(self._read(_told(facts, np.random.default_rng([self._cfg.seed, 3, index]))))
            tickets.append(first + torch.arange(len(facts)).repeat_interleave(1 + fronts.long()))
            first += len(facts)
        self._posteriors, self._words, self._tickets = (
            torch.cat([part.to(self._cfg.device) for part in parts]) for parts in (posteriors, words, tickets)
        )

    def draw(
        self, count: int, dropout: float
    ) -> tuple[Float[Tensor, "count twice height width"], Int[Tensor, "count tokens"]]:
        """Posteriors (means, then deviations) of `count` pictures, and a caption of each.

        Drawn by torch's own generator; a share of `dropout` of the captions is empty.
        """
        device = self._tickets.device

        picks = self._tickets[torch.randint(len(self._tickets), (count,), device=device)]
        words = self._words[picks, torch.randint(CAPTIONS, (count,), device=device)]
        silent = torch.rand(count, 1, device=device) < dropout
        return self._posteriors[picks], torch.where(silent, self._silence, words).long()

    def _read(self, told: list[list[str]]) -> Int[Tensor, "pictures captions tokens"]:
        # Word by word, each looked up once: as the tokenizer would, at a tenth of its time.
        start, end, pad = (getattr(self._tokens, f"{name}_token_id") for name in ("bos", "eos", "pad"))

        def row(text: str) -> list[int]:
            ids = [start, *(number for word in text.split() for number in self._numbers(word))]
            ids = [*ids[: networks.TOKENS - 1], end]
            return ids + [pad] * (networks.TOKENS - len(ids))

        return torch.tensor([[row(text) for text in texts] for texts in told], dtype=torch.int16)

    def _numbers(self, word: str) -> list[int]:
        if word not in self._known:
            self._known[word] = self._tokens(word, add_special_tokens=False).input_ids
        return self._known[word]


def _told(facts: list[dict[str, Any]], rng: np.random.Generator) -> list[list[str]]:
    """CAPTIONS captions of every picture of a shard."""
    return [
        [
            caption(Subject(**fact["subject"]), tuple(fact["views"]), fact["bad_words"], rng)
            for _ in range(CAPTIONS)
        ]
        for fact in facts
    ]
