"""Judges for the tests: tiny random CLIPs in transformers' format, and judges whose answers are given."""

import json
import zlib
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel

from src.evaluation.judge.judge import Judge
from src.evaluation.judge.network import PICTURES, tokenizer


def write_tiny_clip(folder: Path, size: int) -> Path:
    """An untrained CLIPModel that wants pictures of another size, mean and deviation."""
    tokens = tokenizer(folder)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = layers | {
        "vocab_size": len(tokens),
        "bos_token_id": tokens.bos_token_id,
        "eos_token_id": tokens.eos_token_id,
        "pad_token_id": tokens.pad_token_id,
    }
    vision = layers | {"image_size": size, "patch_size": size // 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))
    model.save_pretrained(folder)
    pictures: dict[str, Any] = PICTURES | {"size": size, "crop_size": size, "image_mean": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    return folder


class GivenJudge(Judge):
    """Sees in every picture the vector that it is given, and hears in a sentence a vector of its own."""

    def __init__(
        self,
        seen: torch.Tensor,
        read: dict[str, torch.Tensor] | None = None,
        errors: dict[str, Any] | None = None,
    ) -> None:
        self.name, self.errors, self.seen, self.read = "given", errors, seen, read or {}

    def images(self, images: torch.Tensor) -> torch.Tensor:
        return self.seen

    def texts(self, texts: list[str]) -> torch.Tensor:
        for text in texts:
            if text not in self.read:
                # 32 bits are all that a generator keeps of its seed.
                generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
                row = torch.randn(self.seen.shape[1], generator=generator)
                self.read[text] = row / row.norm()
        return torch.stack([self.read[text] for text in texts])
