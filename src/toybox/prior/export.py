"""Write the bundled prior as a folder that a stock StableDiffusionPipeline loads: float16, no pickle."""

import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from src.errors import UserError
from src.guidance.prompts import NEGATIVE_PROMPT
from src.toybox.prior import networks
from src.toybox.prior.card import model_card
from src.toybox.prior.fitting import Networks
from src.toybox.world.captions import VIEW_WORDS, vocabulary

LICENSE = Path(__file__).parents[3] / "LICENSE"  # it covers the weights too, and says so
FOLDERS = {"text": "text_encoder", "unet": "unet", "vae": "vae"}
PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": version("diffusers"),
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


def refuse_to_replace(target: Path) -> None:
    """Raise UserError if `target` is there and is anything but an exported prior or empty."""
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not is_exported(target)):
        raise UserError(
            f"weights={target} is there and is no prior that was exported, so it is not overwritten: "
            "choose another weights=FOLDER"
        )


def export(
    target: Path,
    parts: Networks,
    tokenizer_from: Path,
    samples: int,
    lineage: Sequence[dict[str, Any]] = (),
) -> None:
    """Write `parts` (text, unet, vae) to `target`, beside the tokenizer of `tokenizer_from`/tokenizer.

    `samples` counts the pictures that the denoiser was shown, `lineage` has what was trained before, on
    whose weights it went on. What was exported to `target` before is
    replaced when the new one is whole; raises UserError if something else is there.
    """
    target = target.resolve()
    refuse_to_replace(target)
    fresh, old = target.with_name(target.name + ".new"), target.with_name(target.name + ".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    for name, folder in FOLDERS.items():
        networks.copied_as_half(parts[name]).save_pretrained(fresh / folder)
    _as_on_the_hub(fresh / "text_encoder")
    networks.noise_schedule().save_pretrained(fresh / "scheduler")
    shutil.copytree(tokenizer_from / "tokenizer", fresh / "tokenizer")
    words = sorted({*vocabulary(), *VIEW_WORDS, *NEGATIVE_PROMPT.replace(",", "").split()})
    (fresh / "known_words.json").write_text(json.dumps(words, indent=0))
    trained = {"denoiser_samples": samples, "torch": torch.__version__, "lineage": list(lineage)}
    (fresh / "trained.json").write_text(json.dumps(trained))
    parameters = {name: sum(p.numel() for p in parts[name].parameters()) for name in FOLDERS}
    shown = [*(before["denoiser_samples"] for before in lineage), samples]
    (fresh / "README.md").write_text(model_card(parameters, shown), encoding="utf-8")
    shutil.copyfile(LICENSE, fresh / "LICENSE")
    (fresh / "model_index.json").write_text(json.dumps(PIPELINE, indent=2))
    if target.exists():
        target.rename(old)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _as_on_the_hub(text_encoder: Path) -> None:
    weights, config = text_encoder / "model.safetensors", text_encoder / "config.json"
    # Older transformers need the prefix, newer ones accept it.
    tensors = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in load_file(weights).items()}
    save_file(tensors, weights, metadata={"format": "pt"})
    # Newer transformers compute in the type that the config names, and diffusers in float32 unless told.
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float32"}, indent=2))


def is_exported(folder: Path) -> bool:
    """Whether a folder holds a prior that `export` left there."""
    return (folder / "model_index.json").is_file() and (folder / "trained.json").is_file()
