"""Write the bundled prior as a folder that a stock StableDiffusionPipeline loads: float16 safetensors and json, no pickle."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from src.guidance.prompts import NEGATIVE_PROMPT, SUFFIXES
from src.toybox import networks
from src.toybox.captions import vocabulary

PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export(target: Path, parts: dict[str, nn.Module], tokenizer_from: Path, samples: int) -> None:
    """Write `parts` (text, unet, vae) to `target`, beside the tokenizer of `tokenizer_from`/tokenizer."""
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name, folder in (("text", "text_encoder"), ("unet", "unet"), ("vae", "vae")):
        model = networks.copied_as_half(parts[name])
        model.save_pretrained(fresh / folder)
    weights = fresh / "text_encoder" / "model.safetensors"
    tensors = load_file(weights)
    # The hub's key layout: older transformers need the prefix, newer ones accept it.
    tensors = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in tensors.items()}
    save_file(tensors, weights, metadata={"format": "pt"})
    networks.noise_schedule().save_pretrained(fresh / "scheduler")
    shutil.copytree(tokenizer_from / "tokenizer", fresh / "tokenizer")
    (fresh / "model_index.json").write_text(json.dumps(PIPELINE, indent=2))
    views = [word for suffixes in SUFFIXES.values() for s in suffixes for word in s.strip(", ").split()]
    words = sorted({*vocabulary(), *views, *NEGATIVE_PROMPT.replace(",", "").split()})
    (fresh / "known_words.json").write_text(json.dumps(words, indent=0))
    (fresh / "trained.json").write_text(json.dumps({"denoiser_samples": samples, "torch": torch.__version__}))
    for keep in ("README.md", "LICENSE"):
        if (target / keep).exists():
            shutil.copy(target / keep, fresh / keep)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
