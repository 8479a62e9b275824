"""A model of exactly Stable Diffusion 2.1-base's shapes with random weights, where its own cannot be had.

    python -m src.guidance.replica out=FOLDER [scale=full|tiny] [layout=new|old]

Every cost of a step is the same as with the real weights; what it draws is noise.  `full` takes 2.6 GB of
disk, `tiny` has the same configuration keys at a few thousandths of the size.  `old` is the layout of the
hub's files: text encoder under text_model.* with its position_ids, the autoencoder's attention as query, key,
value and proj_attn, vocab.json and merges.txt.  The numbers depend on their tensor's name alone.
"""

import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from src.arguments import typed_path
from src.door import one_sentence
from src.errors import UserError
from src.guidance.loading import WEIGHTS
from src.streams import Streams

TOKENS = 77
START, END = "<|startoftext|>", "<|endoftext|>"
README = (
    "Random weights in the shapes of Stable Diffusion 2.1-base, made by src.guidance.replica: not a model.\n"
)
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
# What the hub's older files call the parts of the autoencoder's attention.
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


class Scale(NamedTuple):
    """Configurations of the three networks."""

    text_encoder: dict[str, Any]
    vae: dict[str, Any]
    unet: dict[str, Any]


FULL = Scale(
    text_encoder={
        "vocab_size": 49_408,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "max_position_embeddings": TOKENS,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "projection_dim": 512,
    },
    vae={
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "latent_channels": 4,
        "norm_num_groups": 32,
        "sample_size": 768,
        "scaling_factor": 0.18215,
    },
    unet={
        "sample_size": 64,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),  # diffusers' name for the number of heads
        "use_linear_projection": True,
    },
)
TINY = Scale(
    text_encoder=FULL.text_encoder
    | {
        "vocab_size": 600,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 16,
    },
    vae=FULL.vae | {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4, "sample_size": 96},
    unet=FULL.unet
    | {
        "sample_size": 8,
        "block_out_channels": (8, 16, 32, 32),
        "norm_num_groups": 4,
        "cross_attention_dim": 32,
        "attention_head_dim": (1, 2, 4, 4),
    },
)
SCALES = {"full": FULL, "tiny": TINY}


def network(scale: Scale, part: str) -> Any:
    """Return a text encoder, vae or unet of this scale on the meta device: shapes without numbers."""
    # Imported here because they take seconds, and only a replica needs them.
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    settings = getattr(scale, part)
    with torch.device("meta"):
        if part == "text_encoder":
            last = settings["vocab_size"] - 1
            special = {"bos_token_id": last - 1, "eos_token_id": last, "pad_token_id": last}
            return CLIPTextModel(CLIPTextConfig(**settings, **special))
        return {"vae": AutoencoderKL, "unet": UNet2DConditionModel}[part](**settings)


def write(folder: Path, scale: str = "full", layout: str = "new") -> None:
    """Write a replica as `folder`, whole or not at all; raises UserError if something else is there."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UserError(f"out={folder} is there and not empty: choose another out=FOLDER, or delete it")
    shapes = SCALES[scale]
    unfinished = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for part, name in WEIGHTS.items():
            _write_network(unfinished / part, name, network(shapes, part), layout == "old")
        _write_tokenizer(unfinished / "tokenizer", shapes.text_encoder["vocab_size"], layout == "old")
        (unfinished / "scheduler").mkdir()
        (unfinished / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2))
        (unfinished / "model_index.json").write_text(json.dumps(PIPELINE, indent=2))
        (unfinished / "README.md").write_text(README)
        if folder.is_dir():
            folder.rmdir()
        unfinished.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise UserError(
            f"out={folder} could not be written ({error}): free some space (scale=full takes 2.6 GB) or "
            "choose another out=FOLDER"
        ) from error


def _write_network(folder: Path, name: str, module: Any, old: bool) -> None:
    folder.mkdir()
    if hasattr(module, "save_config"):  # a network of diffusers
        module.save_config(folder)
    else:
        module.config.architectures = [type(module).__name__]
        module.config.dtype = "float16"
        module.config.save_pretrained(folder)
    tensors = dict(_random_tensors(folder.name, module))
    if old:
        tensors = {_old_name(folder.name, name): tensor for name, tensor in tensors.items()}
    if old and folder.name == "text_encoder":
        tensors["text_model.embeddings.position_ids"] = torch.arange(TOKENS)[None]
    save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})


def _random_tensors(part: str, module: Any) -> Iterator[tuple[str, Tensor]]:
    """Float16 numbers as torch's layers start with: uniform in 1 / sqrt(inputs), biases 0, norms 1."""
    for name, like in module.named_parameters():
        if like.dim() == 1:
            yield name, torch.full(like.shape, float(name.endswith("weight")), dtype=torch.float16)
            continue
        bound = 1 / math.sqrt(like[0].numel())
        draw = Streams(0, 0)(f"init/{part}/{name.removeprefix('text_model.')}")
        yield name, draw.uniform(1, *like.shape)[0].mul_(2 * bound).sub_(bound).half()


def _old_name(part: str, name: str) -> str:
    if part == "text_encoder":
        return f"text_model.{name.removeprefix('text_model.')}"
    if part == "vae" and ".attentions." in name:
        for new, old in OLD_ATTENTION.items():
            name = name.replace(f".{new}.", f".{old}.")
    return name


def _write_tokenizer(folder: Path, size: int, old: bool) -> None:
    """Write CLIP's byte-level tokenizer without a merge: a letter is a token, the rest of `size` unused."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    characters = sorted(ByteLevel.alphabet())
    known = [*characters, *(character + "</w>" for character in characters)]
    unused = [f"<|unused{number}|>" for number in range(len(known), size - 2)]
    vocabulary = {token: number for number, token in enumerate([*known, *unused, START, END])}
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    settings = {**special, "tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS}
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if not old:
        CLIPTokenizer.from_pretrained(str(folder), local_files_only=True).save_pretrained(str(folder))
        (folder / "vocab.json").unlink()
        (folder / "merges.txt").unlink()


@one_sentence
def main(arguments: list[str]) -> int:
    """Write the replica that the command line names; returns the exit code."""
    settings = {"scale": "full", "layout": "new"}
    choices = {"scale": tuple(SCALES), "layout": ("new", "old")}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in ("out", *choices) or not value:
            raise UserError(
                f"{argument}: src.guidance.replica knows out=FOLDER, scale=full|tiny, layout=new|old"
            )
        if name in choices and value not in choices[name]:
            raise UserError(f"{argument} is unknown: choose {name}={' or '.join(choices[name])}")
        settings[name] = value
    if "out" not in settings:
        raise UserError("out is missing: name a folder to write, as in out=outputs/replica-full")
    folder = Path(typed_path(settings["out"], "out"))
    write(folder, settings["scale"], settings["layout"])
    print(f"{folder} is ready: load it with prior.path={folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
