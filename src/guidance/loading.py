"""The files of a latent diffusion model in the diffusers layout: check and load them."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from src.errors import UserError

WEIGHTS = {"text_encoder": "model", "vae": "diffusion_pytorch_model", "unet": "diffusion_pytorch_model"}
CONFIG_OF = {part: f"{part}/config.json" for part in WEIGHTS} | {
    "scheduler": "scheduler/scheduler_config.json"
}
CONFIGS = list(CONFIG_OF.values())
# What settings call the parts that we can use; files of 2022 leave some of these names out.
KINDS = {
    "text_encoder": ("model_type", ("clip_text_model", "clip"), "CLIP's text encoder"),
    "vae": ("_class_name", ("AutoencoderKL",), "an AutoencoderKL"),
    "unet": ("_class_name", ("UNet2DConditionModel",), "a UNet2DConditionModel"),
    "scheduler": ("_class_name", (), "a schedule of noise in 1000 steps"),
}
# Flows, and noise that grows beyond alpha^2 + sigma^2 = 1.
UNFIT = ("FlowMatch", "EDM")
REMEDY = "choose prior=toybox (bundled), or prior.path=FOLDER with a model in the diffusers layout"


class Parts(NamedTuple):
    """What a diffusers pipeline consists of, and the words its model was taught, if it comes with a list."""

    tokenizer: Any
    text_encoder: Any
    vae: Any
    unet: Any
    scheduler: Any
    known_words: list[str] | None


def load_parts(folder: Path, dtype: torch.dtype, device: torch.device) -> Parts:
    """Load the five parts of a folder without touching the network, in `dtype` but for the text encoder.

    That one stays in float32: it runs once, and on a CPU half precision would make it slower.
    """
    missing = missing_files(folder)
    if missing:
        pickled = any(path.suffix in (".bin", ".ckpt") for path in folder.glob("*/*"))
        hint = " (.bin and .ckpt files can run code when opened and are never loaded)" if pickled else ""
        raise UserError(f"prior.path={folder} lacks {', '.join(missing)}{hint}: {REMEDY}")

    check_kinds(folder)

    # Imported here because they take seconds, and only a loaded prior needs them.
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from transformers import CLIPTextModel, CLIPTokenizer

    def load(part: str, kind: Any, **options: Any) -> Any:
        try:
            return kind.from_pretrained(str(folder / part), local_files_only=True, **options)
        except Exception as error:  # a broken file breaks its reader in any way it likes
            raise _broken(folder, part, first_line(error)) from error

    def load_words() -> list[str] | None:
        file = folder / "known_words.json"
        try:
            return [str(word) for word in json.loads(file.read_text("utf-8"))] if file.is_file() else None
        except (OSError, ValueError, TypeError) as error:
            raise _broken(folder, file.name, first_line(error)) from error

    def load_model(part: str, kind: Any, **options: Any) -> Any:
        variant = {"variant": "fp16"} if _files_of(folder, part)[0] else {}
        model, report = load(part, kind, use_safetensors=True, output_loading_info=True, **variant, **options)
        if report["missing_keys"]:  # the libraries would go on with random numbers in their place
            raise _broken(folder, part, f"its file lacks {min(report['missing_keys'])}")
        try:
            # Convolutions in half precision are fastest on CUDA with channels innermost.
            layout = torch.channels_last if device.type == "cuda" and part != "text_encoder" else None
            return model.to(device) if layout is None else model.to(device, memory_format=layout)
        except torch.OutOfMemoryError as error:
            raise UserError(f"device={device} has no memory left for the prior's {part}: {REMEDY}") from error

    with quiet():
        return Parts(
            tokenizer=load("tokenizer", CLIPTokenizer),
            text_encoder=load_model("text_encoder", CLIPTextModel).float(),
            vae=load_model("vae", AutoencoderKL, torch_dtype=dtype),
            unet=load_model("unet", UNet2DConditionModel, torch_dtype=dtype),
            scheduler=load("scheduler", DDIMScheduler),
            known_words=load_words(),
        )


def _broken(folder: Path, part: str, reason: str) -> UserError:
    return UserError(f"prior.path={folder}: {part} is broken ({reason}): {REMEDY}")


def weights_of(variant: str) -> list[str]:
    """Name the weight files of a precision: "" is the full one, ".fp16" half of it."""
    return [f"{part}/{name}{variant}.safetensors" for part, name in WEIGHTS.items()]


def weights_among(files: set[str], variant: str) -> list[str] | None:
    """Name the weights of a precision among a model's files, those in shards with their index; None if any
    part has none.
    """
    found = []
    for whole in weights_of(variant):
        stem = whole.removesuffix(".safetensors")
        index = f"{stem.removesuffix(variant)}.safetensors.index{variant}.json"
        shards = re.compile(re.escape(stem) + r"-\d{5}-of-\d{5}\.safetensors")
        names = [whole] if whole in files else [name for name in files if shards.fullmatch(name)]
        if not names or (whole not in files and index not in files):
            return None
        found += names if whole in files else [index, *sorted(names)]
    return found


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files that load_parts reads from a complete folder, shard by shard."""
    return [file for part in WEIGHTS for file in _files_of(folder, part)[1]]


def missing_files(folder: Path) -> list[str]:
    """List the files that a complete folder has and this one lacks."""
    missing = [file for file in CONFIGS if not (folder / file).is_file()]
    for part, name in WEIGHTS.items():
        _, files = _files_of(folder, part)
        missing += [f"{part}/{file.name}" for file in files if not file.is_file()]
        missing += [] if files else [f"{part}/{name}.safetensors"]
    tokenizer = {path.name for path in folder.glob("tokenizer/*")}
    if not ("tokenizer.json" in tokenizer or {"vocab.json", "merges.txt"} <= tokenizer):
        missing.append("tokenizer/vocab.json and merges.txt")
    return missing


def _files_of(folder: Path, part: str) -> tuple[str, list[Path]]:
    """A part's variant (what stands before .safetensors: nothing or .fp16) and its files; none without any.

    Large models come in shards, and with an index that maps every weight to one of them.
    """
    for variant in ("", ".fp16"):
        whole = folder / part / f"{WEIGHTS[part]}{variant}.safetensors"
        if whole.is_file():
            return variant, [whole]
        index = folder / part / f"{WEIGHTS[part]}.safetensors.index{variant}.json"
        if index.is_file():
            try:
                shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
                return variant, [folder / part / Path(shard).name for shard in sorted(shards)]
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise _broken(folder, f"{part}/{index.name}", first_line(error)) from error
    return "", []


def check_kinds(folder: Path) -> None:
    """Raise UserError where a part is of a kind that we cannot use, by what its settings say it is."""
    for part, (key, known, words) in KINDS.items():
        file = folder / CONFIG_OF[part]
        try:
            config = json.loads(file.read_text("utf-8"))
            kind = str(config.get(key) or (known or ("DDIMScheduler",))[0])
        except (OSError, ValueError, AttributeError) as error:
            raise _broken(folder, part, first_line(error)) from error
        if part == "vae" and (config.get("shift_factor") or config.get("latents_mean")) is not None:
            raise UserError(f"prior.path={folder}: its vae shifts its latents, which we do not: {REMEDY}")
        if (known and kind not in known) or any(name in kind for name in UNFIT):
            raise UserError(f"prior.path={folder}: its {part} is a {kind}, and we need {words}: {REMEDY}")


def first_line(error: Exception) -> str:
    """Return what an error says before it goes into detail."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and advice off the terminal; our own errors say what matters."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    try:
        for library in libraries:
            library.set_verbosity(logging.CRITICAL)
            library.disable_progress_bar()
        yield
    finally:
        for library, (verbosity, progress_bar) in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            if progress_bar:
                library.enable_progress_bar()
