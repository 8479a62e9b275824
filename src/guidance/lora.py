"""A LoRA merged into a prior: what people train of a style or a subject, added to the weights once.

A layer y = W x becomes (W + scale alpha / r B A) x; A maps to r numbers, B from them (Hu et al. 2022).  The
sum is made in float32 and rounded once to the network's own precision.  A step then costs what it did, and
VSD's critic, which adds a LoRA of its own (src/guidance/critic.py), begins at the prior so changed.

Files name layers in many ways: diffusers' (unet.…lora_A, …lora.down, …processor.to_q_lora.down) and kohya's
(lora_unet_…, every point an underscore).  No name is taken apart: all names of the layers that there are get
listed, and a file's must be among them.  (peft's own, base_model.…, is not: its alpha is in another file.)
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor, nn

from src.errors import UserError
from src.guidance.loading import first_line
from src.guidance.source import Source

REMEDY = "name a LoRA made for this very model, as a .safetensors file, or leave prior.lora out"
# What stands between a layer's name and its tensor's.
MATRIX = re.compile(r"(?P<layer>.+)[._]lora(?:_linear_layer)?[._](?P<side>down|up|A|B)(?:\.\w+)?\.weight")
ALPHA = re.compile(r"(?P<layer>.+)\.alpha")
SIDES = {"down": "down", "A": "down", "up": "up", "B": "up"}
HEADER = "lora_adapter_metadata"  # where diffusers writes peft's settings
# Those of peft's settings that make something else of the matrices.
BEYOND = ("use_rslora", "use_dora", "alpha_pattern", "lora_bias")
# Names of 2023 for CLIP's matrices.
OLD_TEXT = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


class Change(NamedTuple):
    """What a file says of one layer: A of shape [r, in], B of shape [out, r], convolutions' with pixels."""

    down: Tensor
    up: Tensor
    alpha: float


def lora_source(path: str) -> Source:
    """Return the file as a source; raises UserError where it is no file, or one that could run code."""
    file = Path(path)
    if not file.is_file():
        what = "a folder" if file.is_dir() else "no file"
        raise UserError(f"prior.lora={path} is {what}: {REMEDY}")
    if file.suffix != ".safetensors":
        raise UserError(
            f"prior.lora={path} is no .safetensors file, and others can run code when opened: {REMEDY}"
        )
    return Source(path, file.resolve().parent, file=file.resolve())


@torch.no_grad()
def merge(source: Source, scale: float, unet: nn.Module, text_encoder: nn.Module) -> str:
    """Add `scale` times a file's changes to the networks' weights; returns which were changed, in words.

    Raises UserError for a file that cannot be read, that holds anything but matrices of these networks'
    layers (LoHa, LoKr, DoRA, another model's), or that leaves numbers which are not finite.
    """
    layers = dict(_named("unet", unet)) | dict(_named("text_encoder", text_encoder))
    try:
        changes = _read(source, set(layers))
    except UserError:
        raise
    except Exception as error:  # a broken file breaks its reader in any way it likes
        raise UserError(f"prior.lora={source.name} cannot be read ({first_line(error)}): {REMEDY}") from error
    for name, change in changes:
        layers[name].weight.copy_(_sum(source, name, layers[name].weight, change, scale))
    changed = {id(layers[name]) for name, _ in changes}
    of_unet = len(changed & {id(module) for module in unet.modules()})
    return f"{of_unet} layers of the UNet and {len(changed) - of_unet} of the text encoder"


def _named(part: str, network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Every layer that a LoRA can change, under all the names that files have for it."""
    kohya = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part]
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        names = [name]
        if part == "text_encoder":  # flat in newer versions of transformers
            names = [f"text_model.{name.removeprefix('text_model.')}"]
            names += [name.removeprefix("text_model.")]
        for each in names:
            yield f"{part}.{each}", layer
            yield kohya + each.replace(".", "_"), layer
            stem, _, last = each.rpartition(".")
            if part == "text_encoder" and last in OLD_TEXT:
                yield f"{part}.{stem}.{OLD_TEXT[last]}", layer
            if part == "unet":  # alone in their file, its layers have no prefix
                yield each, layer
                if each.endswith("to_out.0"):
                    yield each.removesuffix(".0"), layer
                    yield f"unet.{each.removesuffix('.0')}", layer


def _read(source: Source, layers: set[str]) -> list[tuple[str, Change]]:
    """A file's changes by layer; raises UserError if it holds anything else, or none."""
    sides: dict[str, dict[str, Tensor]] = {}
    alphas: dict[str, float] = {}
    unmatched = []
    with safe_open(source.weights()[0], framework="pt") as tensors:
        told = _settings(source, tensors.metadata() or {})
        for key in tensors.keys():  # noqa: SIM118 (it is no dict)
            plain = key.replace(".processor.", ".")
            if (found := MATRIX.fullmatch(plain)) and found["layer"] in layers:
                sides.setdefault(found["layer"], {})[SIDES[found["side"]]] = tensors.get_tensor(key)
            elif (found := ALPHA.fullmatch(plain)) and found["layer"] in layers:
                alphas[found["layer"]] = float(tensors.get_tensor(key))
            else:
                unmatched.append(key)
    if unmatched or not sides:
        said = (
            f"{len(unmatched)} tensors that belong to no layer of this prior ({min(unmatched, default='')})"
        )
        raise UserError(f"prior.lora={source.name} holds {said if unmatched else 'nothing'}: {REMEDY}")
    changes = []
    for name in {**sides, **alphas}:
        both = sides.get(name, {})
        if set(both) != {"down", "up"}:
            raise UserError(f"prior.lora={source.name} has half of what changes {name}: {REMEDY}")
        usual = told.get("lora_alpha", len(both["down"]))
        alpha = alphas.get(name, float(told.get(f"{name.partition('.')[0]}.lora_alpha", usual)))
        changes.append((name, Change(both["down"], both["up"], alpha)))
    return changes


def _settings(source: Source, metadata: dict[str, str]) -> dict[str, Any]:
    """What peft was told, by part or of the UNet alone; UserError for what would make other sums of them."""
    told: dict[str, Any] = json.loads(metadata.get(HEADER, "{}"))
    for name, value in told.items():
        if name.rpartition(".")[2] in BEYOND and value:
            raise UserError(
                f"prior.lora={source.name} was made with {name}={value}, which we do not know: {REMEDY}"
            )
    return told


def _sum(source: Source, name: str, weight: Tensor, change: Change, scale: float) -> Float[Tensor, "..."]:
    """W + scale alpha / r B A in float32."""
    down, up = (side.to(weight.device, torch.float32).flatten(1) for side in (change.down, change.up))
    if up.shape[1] != len(down) or len(up) * down.shape[1] != weight.numel() or len(up) != len(weight):
        raise UserError(
            f"prior.lora={source.name} was made for another model: it changes {name}, here of shape "
            f"{tuple(weight.shape)}, by {tuple(change.up.shape)} times {tuple(change.down.shape)}: {REMEDY}"
        )
    whole = weight.float() + scale * change.alpha / len(down) * (up @ down).view_as(weight)
    if not math.isfinite(change.alpha) or not whole.to(weight.dtype).isfinite().all():
        raise UserError(
            f"prior.lora={source.name} with prior.lora_scale={scale} leaves numbers in {name} that are not "
            "finite: choose a smaller scale, or leave prior.lora out"
        )
    return whole
