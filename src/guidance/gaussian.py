"""A prior in closed form: every prompt is a normal distribution N(mu_prompt, deviation^2).

Its noise prediction is exact, so it is the oracle of the tests and the quickest prior to try the trainer
with. It supplies the five parts of a latent diffusion model; `Prior` runs through them like through any
other.
"""

import hashlib
from collections.abc import Mapping
from types import SimpleNamespace

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn

from src.guidance.prior import Prior

BEGIN, END, PAD = 1, 2, 0


def gaussian_prior(
    size: int = 16,
    deviation: float = 0.5,
    means: Mapping[str, Float[Tensor, "3 size size"]] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Prior:
    """Build the prior N(means[prompt], deviation^2) over latents that are images, [3, size, size] in [-1, 1].

    A prompt without an explicit mean is a plain colour, which its words decide.
    """
    tokenizer = WordTokenizer()
    explicit = {tuple(tokenizer([prompt]).input_ids[0]): mean for prompt, mean in (means or {}).items()}
    return Prior(
        tokenizer=tokenizer,
        text_encoder=MeanEncoder(size, explicit).to(device, dtype),
        vae=IdentityAutoencoder().to(device, dtype),
        unet=GaussianUNet(size, deviation).to(device, dtype),
        scheduler=SimpleNamespace(
            alphas_cumprod=scaled_linear(), config=SimpleNamespace(prediction_type="epsilon")
        ),
    )


def scaled_linear() -> Float64[Tensor, "1000"]:
    """Return Stable Diffusion's alpha^2 at t = 0 ... 999: square roots of beta linear from .00085 to .012."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


class WordTokenizer:
    """One token per word, the word's hash, between a begin and an end token."""

    model_max_length = 77

    def __call__(
        self,
        prompts: list[str],
        padding: str | bool = False,
        truncation: bool = False,
        max_length: int = model_max_length,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> SimpleNamespace:
        rows = [[BEGIN, *map(_word_id, prompt.split()), END] for prompt in prompts]
        if truncation:
            rows = [[*row[: max_length - 1], END] if len(row) > max_length else row for row in rows]
        if padding:
            rows = [row + [PAD] * (max_length - len(row)) for row in rows]
        return SimpleNamespace(input_ids=torch.tensor(rows) if return_tensors else rows)


def _word_id(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=7).digest(), "little")


class MeanEncoder(nn.Module):
    """Text embeddings [P, 1, 3 size^2] that are the means of the prompts."""

    def __init__(self, size: int, explicit: Mapping[tuple[int, ...], Tensor]) -> None:
        super().__init__()
        self.size = size
        self.explicit = explicit
        self.config = SimpleNamespace(max_position_embeddings=77, hidden_size=3 * size**2)
        self.placed = nn.Parameter(torch.zeros(()))  # says where, and in which precision, the module lives

    def forward(self, input_ids: Int[Tensor, "P L"]) -> tuple[Float[Tensor, "P 1 D"]]:
        means = [self._mean([token for token in row if token != PAD]) for row in input_ids.tolist()]
        return (torch.stack(means)[:, None].to(self.placed),)

    def _mean(self, tokens: list[int]) -> Float[Tensor, "D"]:
        if tuple(tokens) in self.explicit:
            return self.explicit[tuple(tokens)].flatten()
        digest = hashlib.blake2b(str(tokens).encode(), digest_size=3).digest()  # a byte per colour channel
        colour = torch.tensor(list(digest)) / 127.5 - 1
        return colour[:, None].expand(-1, self.size**2).flatten()


class IdentityAutoencoder(nn.Module):
    """Latents that are the image itself, without noise."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(scaling_factor=1.0, block_out_channels=[3], latent_channels=3)
        self.placed = nn.Parameter(torch.zeros(()))

    def encode(self, image: Float[Tensor, "B 3 H W"]) -> SimpleNamespace:
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=image, std=torch.zeros_like(image)))

    def decode(self, latents: Float[Tensor, "B 3 h w"]) -> SimpleNamespace:
        return SimpleNamespace(sample=latents)


class GaussianUNet(nn.Module):
    """The exact noise prediction sigma (z_t - alpha mu) / (alpha^2 deviation^2 + sigma^2)."""

    def __init__(self, size: int, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation
        self.config = SimpleNamespace(in_channels=3, sample_size=size, cross_attention_dim=3 * size**2)
        self.placed = nn.Parameter(torch.zeros(()))
        self.alphas_cumprod = scaled_linear()

    def forward(
        self,
        noised: Float[Tensor, "N C h w"],
        t: Int[Tensor, "N"],
        encoder_hidden_states: Float[Tensor, "N 1 D"],
    ) -> SimpleNamespace:
        mean = encoder_hidden_states.view(noised.shape)
        alpha_bar = self.alphas_cumprod.to(t.device)[t].view(-1, 1, 1, 1).to(noised)
        variance = alpha_bar * self.deviation**2 + 1 - alpha_bar  # of z_t
        return SimpleNamespace(sample=(1 - alpha_bar).sqrt() * (noised - alpha_bar.sqrt() * mean) / variance)
