"""A small autoencoder in the place of a prior's own, whose gradient costs more than two UNet passes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import UserError
from src.guidance.loading import first_line, quiet

REMEDY = "name a folder with diffusers' AutoencoderTiny (TAESD's format), or leave the setting out"


class SmallAutoencoder(nn.Module):
    """An AutoencoderTiny that answers like an AutoencoderKL without noise.

    Images are [-1, 1] on both sides. Its latents already are the UNet's: its scaling factor is 1.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.config = inner.config

    def encode(self, image: Float[Tensor, "B 3 H W"]) -> SimpleNamespace:
        latents = self.inner.encode(image).latents
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=latents, std=torch.zeros_like(latents)))

    def decode(self, latents: Float[Tensor, "B C h w"]) -> SimpleNamespace:
        return SimpleNamespace(sample=self.inner.decode(latents).sample)


def load_small_autoencoder(
    folder: Path, own: Any, dtype: torch.dtype, device: torch.device
) -> SmallAutoencoder:
    """Load AutoencoderTiny's safetensors for a prior whose own autoencoder has the configuration `own`.

    Raises UserError if the folder holds none, or one with latents of another shape.
    """
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    try:
        with quiet():
            inner, report = AutoencoderTiny.from_pretrained(str(folder), torch_dtype=dtype, **options)
        if report["missing_keys"]:  # the library would go on with random numbers in their place
            raise ValueError(f"its file lacks {min(report['missing_keys'])}")
    except Exception as error:  # a broken file breaks its reader in any way it likes
        raise UserError(
            f"prior.small_autoencoder={folder} cannot be used ({first_line(error)}): {REMEDY}"
        ) from error
    has, wants = _latents(inner.config), _latents(own)
    if has != wants:
        raise UserError(
            f"prior.small_autoencoder={folder} makes {has[0]} latent channels at 1/{has[1]} of the image's "
            f"size, but the prior's own makes {wants[0]} at 1/{wants[1]}: name one that was made for this "
            "prior, or leave the setting out"
        )
    return SmallAutoencoder(inner).to(device)


def _latents(config: Any) -> tuple[int, int]:
    return config.latent_channels, 2 ** (len(config.block_out_channels) - 1)
