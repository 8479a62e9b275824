"""A frozen latent diffusion model, seen only as something that predicts noise.

Its own conventions end here: images are [0, 1] outside and [-1, 1] inside, latents are always scaled,
predictions are always noises (epsilon), and whatever precision the model computes in, the caller's comes
back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from src.arguments import LATER, typed_path
from src.errors import UserError
from src.guidance.loading import REMEDY, first_line
from src.guidance.source import Source
from src.streams import Stream


class Precision(StrEnum):
    """Number format that the autoencoder and the UNet compute in; callers never see it."""

    auto = "auto"  # float16 on CUDA, bfloat16 on processors that are faster with it, float32 elsewhere
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@dataclass
class PriorConfig:
    """Which model guides, and where its files are."""

    name: str = "toybox"  # "gaussian" is computed, "sd21" fetches nothing else; other names are but labels
    path: str | None = None  # a folder in the diffusers layout; if relative, here or in the source checkout
    # Hub ids, tried in this order where there is no path: one may be any model; several mirror 2.1-base.
    source: list[str] = field(default_factory=list)
    precision: Precision = Precision.auto
    small_autoencoder: str | None = (
        None  # a folder with diffusers' AutoencoderTiny, to use instead of the prior's own
    )
    latent_size: int | None = None  # side of the latents; timesteps suit one size, so the model must agree
    checkpoint_encoder: bool = (
        False  # backward computes the own encoder's blocks anew: less memory, more time
    )
    lora: str | None = field(default=None, metadata=LATER)  # a .safetensors file, merged into the weights
    lora_scale: float = field(default=1.0, metadata=LATER)

    def __post_init__(self) -> None:
        if self.path is not None:
            self.path = typed_path(self.path, "prior.path")
        if self.small_autoencoder is not None:
            self.small_autoencoder = typed_path(self.small_autoencoder, "prior.small_autoencoder")
        if self.lora is not None:
            self.lora = typed_path(self.lora, "prior.lora")
            if self.name == "gaussian":
                raise UserError(
                    f"prior.lora={self.lora}: prior=gaussian has no network to change: leave it out"
                )
        elif self.lora_scale != 1:
            raise UserError(f"prior.lora_scale={self.lora_scale} scales what prior.lora=FILE adds: name one")


class Prior:
    """The five parts of a diffusers pipeline: tokenizer, text encoder, autoencoder, UNet, noise schedule."""

    alphas_cumprod: Float64[Tensor, "T"]  # alpha^2 at t = 0 ... 999
    latent_shape: tuple[int, int, int]  # C, h, w
    image_size: int  # side of the square images that the model was made for, in pixels
    predicts_velocity: bool  # what the UNet says; predict_noise converts it
    max_tokens: int  # of one prompt, begin and end included
    known_words: list[str] | None  # what the model was taught, if it comes with such a list
    device: torch.device
    sources: dict[str, Source]  # of its files: "model", "small_autoencoder", "lora"; empty if computed
    changed: str | None  # what of it a LoRA changed, in words

    def __init__(
        self,
        tokenizer: Any,
        text_encoder: Any,
        vae: Any,
        unet: Any,
        scheduler: Any,
        known_words: list[str] | None = None,
        sources: dict[str, Source] | None = None,
        checkpoint_encoder: bool = False,
        latent_size: int | None = None,
        changed: str | None = None,
    ) -> None:
        """`latent_size` is asked only where the model itself names no size."""
        for part in (text_encoder, vae, unet):
            part.eval().requires_grad_(False)
        _check_parts_agree(text_encoder.config, vae.config, unet.config, scheduler.config)
        if checkpoint_encoder:
            # Block by block (Chen et al. 2016): under a single checkpoint backward would hold it all at once.
            vae.enable_gradient_checkpointing(
                partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
            )
        self._tokenizer, self._text_encoder, self._vae, self._unet = tokenizer, text_encoder, vae, unet
        self._scaling_factor: float = vae.config.scaling_factor
        self.predicts_velocity = scheduler.config.prediction_type == "v_prediction"
        size = _side(unet.config.sample_size, latent_size)
        self.latent_shape = (unet.config.in_channels, size, size)
        self.image_size = size * 2 ** (len(vae.config.block_out_channels) - 1)
        self.max_tokens = text_encoder.config.max_position_embeddings
        self.device = _first(unet).device
        self.alphas_cumprod = scheduler.alphas_cumprod.double().to(self.device)
        self.known_words = known_words
        self.sources = sources or {}
        self.changed = changed

    @property
    def unet(self) -> Any:
        """The network itself, for what adds to it."""
        return self._unet

    def provenance(self) -> dict[str, Any]:
        """Return where the files came from, with revision and sha256, as a run's manifest has it."""
        return {setting: source.provenance() for setting, source in self.sources.items()}

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text takes, begin and end included."""
        return len(self._tokenizer([text], verbose=False).input_ids[0])

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Float[Tensor, "P L D"]:
        """Embed prompts, without graph; what exceeds max_tokens is not seen."""
        fill = {"padding": "max_length", "truncation": True, "max_length": self.max_tokens}
        tokens = self._tokenizer(list(prompts), return_tensors="pt", **fill).input_ids
        return self._text_encoder(tokens.to(self.device))[0]

    def release_text_encoder(self) -> None:
        """Free the text encoder's memory; embed() is over then."""
        del self._text_encoder

    def encode(self, image: Float[Tensor, "B 3 H W"], stream: Stream) -> Float[Tensor, "B C h w"]:
        """Map images in [0, 1] of any size to scaled latents, mean + std * normals; differentiable."""
        size = (self.image_size, self.image_size)
        if image.shape[-2:] != size:
            # Antialiased, because a shrunken image would otherwise send no gradient to most of its pixels.
            image = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
        posterior = self._vae.encode((2 * image - 1).to(_first(self._vae).dtype)).latent_dist
        mean, std = posterior.mean.to(image.dtype), posterior.std.to(image.dtype)
        return self._scaling_factor * (mean + std * stream.normal(*mean.shape).to(mean))

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        """Map scaled latents to images of the model's size, clipped to [0, 1], without graph."""
        image = self._vae.decode((latents / self._scaling_factor).to(_first(self._vae).dtype)).sample
        return (image.to(latents.dtype).contiguous() / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def predict_noise(
        self, noised: Float[Tensor, "N C h w"], t: Int[Tensor, "N"], text: Float[Tensor, "N L D"]
    ) -> Float[Tensor, "N C h w"]:
        """Return eps(z_t; text, t) in the precision of `noised`, without graph: one UNet call."""
        return self.predict_with_graph(noised, t, text)

    def predict_with_graph(
        self, noised: Float[Tensor, "N C h w"], t: Int[Tensor, "N"], text: Float[Tensor, "N L D"]
    ) -> Float[Tensor, "N C h w"]:
        """predict_noise, whose graph reaches what was added to the UNet (src/guidance/critic.py)."""
        inside = _first(self._unet).dtype
        output = self._unet(noised.to(inside), t, encoder_hidden_states=text.to(inside)).sample
        output = output.to(noised.dtype)
        if not self.predicts_velocity:
            return output
        # v = alpha eps - sigma z_0 (Salimans & Ho 2022), hence eps = alpha v + sigma z_t.
        alpha_bar = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return alpha_bar.sqrt().to(output) * output + (1 - alpha_bar).sqrt().to(output) * noised


def _first(module: Any) -> Tensor:
    """A module lives where, and computes in the precision in which, its first parameter is."""
    return next(module.parameters())


def try_out(prior: Prior) -> None:
    """Encode one small picture and ask the UNet once, as every step will; UserError where that fails.

    Settings can agree with each other and still ask for an input that nobody gives (unCLIP's image
    embeddings, SDXL's sizes).  On the meta device only shapes are looked at.
    """
    vae, unet = prior._vae, prior._unet
    pixels = prior.image_size // prior.latent_shape[-1]
    side = min(prior.latent_shape[-1], 2 ** max(3, len(getattr(unet.config, "block_out_channels", ())) - 1))
    shape = (1, prior.latent_shape[0], side, side)
    text_shape = (1, prior.max_tokens, unet.config.cross_attention_dim)
    device = _first(unet).device
    try:
        with torch.no_grad():
            picture = torch.zeros(1, 3, side * pixels, side * pixels, device=device)
            latents = vae.encode(picture.to(_first(vae).dtype)).latent_dist.mean.float()
            text = torch.zeros(text_shape, device=device) if device.type == "meta" else prior.embed([""])
            noise = prior.predict_noise(latents, torch.full((1,), 500, device=device), text.float())
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a model that wants something else says so in any way it likes
        raise UserError(
            f"the prior cannot be used: asked once for a noise, it fails ({first_line(error)}): {REMEDY}"
        ) from error
    for name, found in (("autoencoder", latents), ("UNet", noise)):
        if tuple(found.shape) != shape:
            raise UserError(f"the prior's {name} answers with {tuple(found.shape)}, not {shape}: {REMEDY}")
        if device.type != "meta" and not found.isfinite().all():
            raise UserError(
                f"the prior's {name} answers with numbers that are not finite: its files are damaged, or it "
                f"needs prior.precision=float32; else {REMEDY}"
            )


def _side(said: Any, latent_size: int | None) -> int:
    """The side of the latents from a UNet's sample_size: a number, a pair of equal ones, or nothing."""
    sides = said if isinstance(said, list | tuple) else [said]
    if set(sides) == {None} and latent_size is not None:
        return latent_size
    if len(set(sides)) == 1 and isinstance(sides[0], int) and sides[0] > 0:
        return int(sides[0])
    if set(sides) == {None}:
        raise UserError(
            "the prior's UNet says nothing of its size (sample_size is null): give prior.latent_size=N, the "
            "side of the latents that it was trained with"
        )
    raise UserError(f"the prior's latents are no square (sample_size is {list(sides)}): {REMEDY}")


def _check_parts_agree(text_encoder: Any, vae: Any, unet: Any, scheduler: Any) -> None:
    if unet.cross_attention_dim != text_encoder.hidden_size:
        raise UserError(
            f"the prior's UNet reads text of width {unet.cross_attention_dim}, but its text encoder writes "
            f"width {text_encoder.hidden_size}: {REMEDY}"
        )
    if unet.in_channels != vae.latent_channels:
        raise UserError(
            f"the prior's UNet takes {unet.in_channels} latent channels, but its autoencoder makes "
            f"{vae.latent_channels}: {REMEDY}"
        )
    if getattr(unet, "out_channels", unet.in_channels) != unet.in_channels:
        raise UserError(
            f"the prior's UNet takes {unet.in_channels} channels and answers with {unet.out_channels}, which "
            f"is more or less than the noise: {REMEDY}"
        )
    if getattr(scheduler, "num_train_timesteps", 1000) != 1000:
        raise UserError(
            f"the prior's schedule has {scheduler.num_train_timesteps} steps, and timesteps here mean 0 to "
            f"999: {REMEDY}"
        )
    if scheduler.prediction_type not in ("epsilon", "v_prediction"):
        raise UserError(
            f"the prior predicts {scheduler.prediction_type!r}, neither epsilon nor v_prediction: {REMEDY}"
        )
