"""A prior from its files: found, fetched if need be, tried once, and announced.

What it is when it is there: src/guidance/prior.py.
"""

from functools import cache
from typing import Any

import torch

from src.errors import UserError
from src.guidance.gaussian import gaussian_prior
from src.guidance.loading import REMEDY, load_parts, missing_files
from src.guidance.lora import lora_source, merge
from src.guidance.prior import Precision, Prior, PriorConfig, try_out
from src.guidance.small_autoencoder import REMEDY as SMALL_REMEDY
from src.guidance.small_autoencoder import load_small_autoencoder
from src.guidance.source import BASE_NAME, Source, differences, hub_source, local_source
from src.processor import multiplies_bfloat16_fast

LICENCE = (
    f"{BASE_NAME}'s weights are under a licence of their own, CreativeML Open RAIL++-M: it restricts what "
    "they, their derivatives and their output may be used for; by using them you accept it"
)


def load_prior(cfg: PriorConfig, device: torch.device | str) -> Prior:
    """Load the prior onto a device; a local folder never touches the network.

    Raises UserError if it cannot be found, is incomplete or broken, or is no model of the kind we use.
    """
    device = torch.device(device)
    if cfg.name == "gaussian":
        prior = gaussian_prior(size=cfg.latent_size or 16, device=device)
    else:
        prior = _load(sources_of(cfg), cfg, device)
    size = prior.latent_shape[-1]
    if cfg.latent_size not in (None, size):
        raise UserError(
            f"prior.latent_size={cfg.latent_size}, but this model's latents are {size}x{size}: "
            f"set prior.latent_size={size} and check that the timesteps suit it"
        )
    return prior


def sources_of(cfg: PriorConfig) -> dict[str, Source]:
    """Find a prior's files, fetched if need be: "model", "small_autoencoder" and "lora" where one is named.

    Empty for a computed prior; raises UserError where they cannot be had.
    """
    if cfg.name == "gaussian":
        return {}
    beside = {}  # looked for first: a download takes long
    if cfg.small_autoencoder is not None:
        beside["small_autoencoder"] = local_source(
            cfg.small_autoencoder, "prior.small_autoencoder", SMALL_REMEDY
        )
    if cfg.lora is not None:
        beside["lora"] = lora_source(cfg.lora)
    if cfg.path is not None:
        return {"model": local_source(cfg.path), **beside}
    # A user's own choice may be any model; mirrors that are tried one after another stand for the base.
    return {"model": hub_source(cfg.source, cfg.name == "sd21" and len(cfg.source) > 1), **beside}


def provenance_of(cfg: PriorConfig) -> dict[str, Any]:
    """`Prior.provenance` without loading anything; raises UserError as `sources_of` does."""
    found = sources_of(cfg)
    model = found.get("model")
    if model is not None and (missing := missing_files(model.folder)):
        raise UserError(f"prior.path={model.folder} lacks {', '.join(missing)}: {REMEDY}")
    return {setting: source.provenance() for setting, source in found.items()}


def announce(cfg: PriorConfig, prior: Prior) -> None:
    """Print in one line what guides, and once a process under which licence; nothing of a computed prior."""
    source = prior.sources.get("model")
    if source is None:
        return
    revision = f" at revision {source.revision}" if source.revision else ""
    predicts = "velocity" if prior.predicts_velocity else "epsilon"
    latents = "x".join(map(str, prior.latent_shape))
    pixels = f"{prior.image_size}x{prior.image_size}"
    kind = ""
    unlike = differences(source.folder) if cfg.name == "sd21" else []
    if cfg.name == "sd21":
        kind = f", as {BASE_NAME}"
    if unlike:
        kind = f"; not {BASE_NAME}, because {', '.join(unlike)}; its own licence applies"
    print(
        f"prior {source.name}{revision}: {predicts} prediction, {latents} latents of {pixels} images{kind}",
        flush=True,
    )
    if prior.changed is not None:
        print(
            f"prior.lora={cfg.lora} x {cfg.lora_scale:g} changes {prior.changed}",
            flush=True,
        )
    if source.passed_over:
        print(f"passed over for it: {'; '.join(source.passed_over)}", flush=True)
    if cfg.name == "sd21" and not unlike:
        _print_licence()


@cache
def _print_licence() -> None:
    print(LICENCE, flush=True)


def _load(sources: dict[str, Source], cfg: PriorConfig, device: torch.device) -> Prior:
    dtype, source, small = _dtype(cfg.precision, device), sources["model"], sources.get("small_autoencoder")
    try:
        parts = load_parts(source.folder, dtype, device)
    except UserError as error:
        if source.revision is None:
            raise
        cached = source.folder.parents[1]
        raise UserError(f"{error}, or delete {cached}, so that {source.name} is fetched anew") from error
    if small is not None:
        parts = parts._replace(vae=load_small_autoencoder(small.folder, parts.vae.config, dtype, device))
    changed = None
    if "lora" in sources:
        changed = merge(sources["lora"], cfg.lora_scale, parts.unet, parts.text_encoder)
    # What a small autoencoder would keep for backward is small as well.
    checkpoint_encoder = cfg.checkpoint_encoder and small is None
    prior = Prior(
        *parts,
        sources=sources,
        checkpoint_encoder=checkpoint_encoder,
        latent_size=cfg.latent_size,
        changed=changed,
    )
    try_out(prior)
    return prior


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    if precision is not Precision.auto:
        return getattr(torch, precision.name)
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if multiplies_bfloat16_fast() else torch.float32
