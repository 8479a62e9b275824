"""The bundled judge's network, untrained, and its folder: CLIPModel's format, float16, no pickle."""

import copy
import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import UserError
from src.evaluation.judge.wording import TEMPLATES, VIEWS
from src.guidance.loading import quiet
from src.streams import Streams
from src.toybox.world.captions import vocabulary

SIZE, PATCH = 60, 10  # pixels
TRAINED = "trained.json"  # what marks a folder as an exported judge
TEXT = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION = {"hidden_size": 160, "intermediate_size": 480, "num_hidden_layers": 4, "num_attention_heads": 5}
PICTURES = {  # how the judge wants to be shown pictures, in the hub's keys
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": SIZE},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": SIZE, "width": SIZE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_convert_rgb": True,
}


def tokenizer(folder: Path) -> Any:
    """A CLIPTokenizer to which every word of the world is one token; written once, read ever after."""
    from transformers import CLIPTokenizer

    from src.toybox.prior.networks import write_tokenizer

    if not (folder / "tokenizer_config.json").exists():  # it is written last
        words = [word for text in (*TEMPLATES, *VIEWS) for word in text.replace("{}", "").split()]
        write_tokenizer(sorted({*vocabulary(), *words, ",", "-", "."}), folder)
    return CLIPTokenizer.from_pretrained(folder)


def network(tokens: Any, draw: Streams) -> Any:
    """A CLIPModel of 1.5 million parameters: 36 patches, sentences of up to 77 tokens."""
    from transformers import CLIPConfig, CLIPModel

    text = TEXT | {
        "vocab_size": len(tokens),
        "bos_token_id": tokens.bos_token_id,
        "eos_token_id": tokens.eos_token_id,
        "pad_token_id": tokens.pad_token_id,
    }
    vision = VISION | {"image_size": SIZE, "patch_size": PATCH}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # afresh: the library draws from a global generator
            if parameter.dim() < 2 and "class_embedding" not in name:
                continue  # ones and zeros
            scale = 1 / math.sqrt(parameter[0].numel())
            if "embedding" in name and "patch" not in name:
                # The library starts words and places too small for the layers that come after.
                scale = 0.5 if "token" in name else 0.1
            parameter.copy_(draw(f"init/{name}").normal(1, *parameter.shape)[0] * scale)
        places = model.vision_model.embeddings.position_embedding.weight
        places[1:] = waves(SIZE // PATCH, places.shape[1])
        model.logit_scale.fill_(math.log(10))
    return model


def waves(side: int, width: int) -> Float[Tensor, "places width"]:
    """Sines and cosines of row and column: where a patch lies need not be learnt (Beyer et al. 2022)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    rates = torch.pi * 0.5 ** (torch.arange(width // 4) * (4 / (width // 4)))  # from one patch to all
    angles = torch.stack([y.flatten(), x.flatten()], 1)[:, :, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(1)


def save(model: nn.Module, tokens: Any, folder: Path, facts: dict[str, Any]) -> None:
    """Write weights, tokenizer, picture settings and `facts` (trained.json) to a folder.

    The judge that was there goes when the new one is whole, and its measured error with it.
    """
    refuse_to_replace(folder)
    folder = folder.resolve()
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    half: Any = copy.deepcopy(model).to(torch.float16)
    fresh.mkdir(parents=True)
    with quiet():
        half.save_pretrained(fresh)
    tokens.save_pretrained(fresh)
    (fresh / "preprocessor_config.json").write_text(json.dumps(PICTURES, indent=1) + "\n")
    (fresh / TRAINED).write_text(json.dumps(facts) + "\n")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def refuse_to_replace(folder: Path) -> None:
    """Raise UserError if `folder` is there and is anything but an exported judge or empty."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / TRAINED).is_file()):
        raise UserError(
            f"weights={folder} is there and is no judge that was exported, so it is not overwritten: "
            "choose another weights=FOLDER"
        )
