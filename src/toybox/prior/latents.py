"""The autoencoder of the bundled prior: how it is fitted to the rendered world, and the world's latents."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from jaxtyping import Float, UInt8
from numpy.lib.format import open_memmap  # unlike np.load, it never unpickles
from torch import Tensor

from src.errors import UserError
from src.toybox.prior import networks
from src.toybox.prior.fitting import LOG_EVERY, Fit, Team
from src.toybox.prior.heritage import started_autoencoder
from src.toybox.prior.settings import Settings
from src.toybox.prior.shards import Shards, nobody_renders

KL = 3e-4  # its weight, by latent number
BACKGROUND, SUBJECT, EDGE = 0.3, 1.0, 6.0  # what an error weighs there; EDGE by the size of the step
# Weight of the squared error beside the absolute one: a lost eye is a large error on few pixels.
SQUARED = 4.0
SHARDS = 40  # 20,000 pictures are enough for its few weights, and fit into the memory of a small GPU


def to_unit(pixels: UInt8[Tensor, "B H W C"]) -> Float[Tensor, "B C H W"]:
    """From 0 ... 255 to [-1, 1]."""
    image = pixels.permute(0, 3, 1, 2).float()
    return (image / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def importance(image: Float[Tensor, "B 3 H W"], opacity: Float[Tensor, "B 1 H W"]) -> Tensor:
    """What an error weighs at each pixel, [B, 1, H, W] with mean 1: more on the subject, most at its edges.

    `image` is in [-1, 1], `opacity` in [0, 1]. Plain errors are mostly the background's, which is two
    thirds of a picture, and eyes are a hundredth.
    """
    grey = F.pad(image, (1, 1, 1, 1), mode="replicate")
    across = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]).abs().amax(1, keepdim=True)
    down = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]).abs().amax(1, keepdim=True)
    edge = torch.maximum(across, down) / 4 * opacity.clamp(min=0.25)
    weight = BACKGROUND + (SUBJECT - BACKGROUND) * opacity + EDGE * edge
    return weight / weight.mean()


def fit_autoencoder(cfg: Settings, team: Team, check: Callable[[], object] = nobody_renders) -> AutoencoderKL:
    """Fit by weighted L1 + MSE + a light KL, on clean and degraded pictures alike; make latents standard.

    With autoencoder_steps=0, the one that cfg.start has, as it is. Raises UserError where latents of an
    autoencoder of fewer steps are left.
    """
    torch.manual_seed(cfg.seed)
    vae = networks.autoencoder()
    if cfg.start:
        started_autoencoder(cfg.start, vae)
    vae = vae.to(cfg.device, memory_format=torch.channels_last)
    if cfg.autoencoder_steps == 0:
        return vae.eval().requires_grad_(False)
    folder = Path(cfg.folder)
    world, pictures = Shards(folder / "world", min(cfg.shards, SHARDS), check), list[Tensor]()

    def take_up() -> None:
        pictures.extend(torch.from_numpy(world.pixels(i)).to(cfg.device) for i in world.fresh())

    take_up()

    def loss(step: int) -> Tensor:
        if step % LOG_EVERY == 0:
            take_up()
        rng = np.random.default_rng([cfg.seed, 1, step])
        which = rng.integers(len(pictures), size=cfg.autoencoder_batch_size)[team.rank :: team.size]
        picks = rng.random(cfg.autoencoder_batch_size)[team.rank :: team.size]
        seen = [pictures[s][int(u * len(pictures[s]))] for s, u in zip(which, picks, strict=True)]
        image, opacity = to_unit(torch.stack(seen)).split([3, 1], 1)
        shape = (len(image), networks.LATENT_CHANNELS, networks.LATENT_SIZE, networks.LATENT_SIZE)
        noise = torch.from_numpy(rng.standard_normal(shape, np.float32)).to(cfg.device)
        with cfg.precision():
            posterior = vae.encode(image).latent_dist
            error = vae.decode(posterior.mean + posterior.std * noise).sample.float() - image
        weight = importance(image, opacity / 2 + 0.5)
        wrong = (weight * error.abs()).mean() + SQUARED * (weight * error.square()).mean()
        return wrong + KL * posterior.kl().float().mean() / posterior.mean[0].numel()

    recipe = cfg.recipe(cfg.autoencoder_steps, cfg.autoencoder_learning_rate)
    fit = Fit(folder / "autoencoder", recipe, team, {"vae": vae})
    if fit.step < cfg.autoencoder_steps and any((folder / "latents").glob("*.npy")):
        raise UserError(
            f"autoencoder_steps={cfg.autoencoder_steps}: {folder / 'latents'} was encoded after fewer; "
            f"remove it and {folder / 'denoiser'}, or choose at most {fit.step}"
        )
    fit.run(loss)
    vae = fit.mean["vae"]
    seen = to_unit(torch.cat([shard[:64] for shard in pictures[:16]]))
    images, opacity = seen[:, :3], seen[:, 3:] / 2 + 0.5
    standardize(vae, images)
    if team.rank == 0:
        whole, subjects = decibel(vae, images, opacity)
        print(f"autoencoder: {whole:.1f} dB over {len(images)} pictures, {subjects:.1f} over their subjects")
    return vae


@torch.no_grad()
def standardize(vae: AutoencoderKL, images: Tensor) -> None:
    """Fold the mean and deviation of the images' latents into the 1x1 convolutions before and after them."""
    z = torch.cat([vae.encode(part).latent_dist.mean for part in images.split(64)])
    mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
    out, back = vae.quant_conv, vae.post_quant_conv
    back.bias += back.weight[:, :, 0, 0] @ mean
    back.weight *= std[None, :, None, None]
    half = len(mean)
    out.weight[:half] /= std[:, None, None, None]
    out.bias[:half] = (out.bias[:half] - mean) / std
    out.bias[half:] -= 2 * std.log()


@torch.no_grad()
def decibel(vae: AutoencoderKL, images: Tensor, opacity: Tensor) -> tuple[float, float]:
    """Peak signal-to-noise ratio of images [B, 3, 128, 128] in [-1, 1] after the autoencoder.

    First the mean over pictures of each one's, then that of all subjects' pixels (`opacity` [B, 1, 128, 128]
    above a half) together.
    """
    restored = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in images.split(64)])
    squares = ((restored.clamp(-1, 1) - images) / 2).square().mean(1)
    whole = (-10 * squares.mean((1, 2)).log10()).mean()
    return float(whole), float(-10 * squares[opacity[:, 0] > 0.5].mean().log10())


def encode_world(cfg: Settings, team: Team, vae: AutoencoderKL) -> None:
    """Posterior mean and deviation of every picture, float16 [N, 2 channels, 16, 16] a shard."""
    for index in range(team.rank, cfg.shards, team.size):
        if (Path(cfg.folder) / "world" / f"{index:04d}.json").exists():
            latents_of(Path(cfg.folder), vae, index)
    team.wait()


@torch.no_grad()
def latents_of(folder: Path, vae: AutoencoderKL, index: int) -> np.ndarray:
    """One shard's posteriors, float16 [N, 2 channels, 16, 16]: encoded once, then read from the disk."""
    path = folder / "latents" / f"{index:04d}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        pixels = torch.from_numpy(open_memmap(folder / "world" / path.name, mode="c"))
        parts = [to_unit(part[..., :3].to(vae.device)) for part in pixels.split(50)]
        posteriors = [vae.encode(part).latent_dist for part in parts]
        latents = torch.cat([torch.cat([p.mean, p.std], 1) for p in posteriors])
        np.save(path.with_name(f".{path.name}"), latents.half().contiguous().cpu().numpy())
        os.replace(path.with_name(f".{path.name}"), path)
    return open_memmap(path, mode="c")
