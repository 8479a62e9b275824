"""Rebuild the bundled prior from nothing: `python -m src.toybox.train [name=value ...]`.

Four stages, each resumable by the same command: render the world, fit the autoencoder, encode the world, fit
the denoiser with its text encoder. Every few minutes the current weights are exported in the layout of a
StableDiffusionPipeline, so a prior half-way through can already be sampled (`python -m src.toybox.sample
path=...`). Wants the extra `toybox` (numba).
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.lib.format import open_memmap  # unlike np.load, it never unpickles
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, spawn
from tqdm import tqdm
from transformers import CLIPTokenizer

from src.arguments import in_range, parse
from src.errors import UserError
from src.guidance.prompts import NEGATIVE_PROMPT
from src.toybox.prior import networks
from src.toybox.prior.export import export, refuse_to_replace
from src.toybox.prior.fitting import Fit, Networks, Recipe, Team
from src.toybox.world.captions import VIEW_WORDS, Subject, caption, vocabulary
from src.toybox.world.pictures import write_shard
from src.toybox.world.shapes import KINDS


@dataclass
class Settings:
    """What the command line can change."""

    folder: str = "outputs/toybox"  # world, checkpoints, logs
    weights: str = "outputs/toybox/weights"  # the exported pipeline; src/toybox/weights is the one that ships
    shards: int = 18  # of 2,000 pictures
    autoencoder_steps: int = 3000
    denoiser_steps: int = 6600
    batch_size: int = 64
    autoencoder_batch_size: int = 8
    learning_rate: float = 1e-3
    autoencoder_learning_rate: float = 2e-3
    caption_dropout: float = 0.12
    ema: float = 0.999
    seed: int = 0
    processes: int = 2  # one thread each; may change between restarts
    checkpoint_seconds: int = 180

    def __post_init__(self) -> None:
        in_range(self, ["shards"], 1, 9999)  # four digits name a shard
        in_range(self, ["autoencoder_steps", "denoiser_steps"], 1, 10**8)
        in_range(self, ["batch_size", "autoencoder_batch_size"], 1, 10**5)
        in_range(self, ["processes"], 1, 1024)
        in_range(self, ["learning_rate", "autoencoder_learning_rate", "caption_dropout", "ema"], 0, 1)
        in_range(self, ["seed"], 0, 2**63 - 1)
        in_range(self, ["checkpoint_seconds"], 0, 10**6)
        for name in ("batch_size", "autoencoder_batch_size"):
            if getattr(self, name) % self.processes:
                raise UserError(
                    f"{name}={getattr(self, name)} cannot be shared equally by processes={self.processes}: "
                    "choose a multiple"
                )
        refuse_to_replace(Path(self.weights))

    def recipe(self, steps: int, learning_rate: float) -> Recipe:
        """How networks are fitted in so many steps."""
        return Recipe(steps, learning_rate, self.ema, self.checkpoint_seconds)


def to_unit(pixels: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] to [B, 3, H, W] in [-1, 1]."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()
    return (image / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def render_world(cfg: Settings, team: Team) -> None:
    """Render the shards that are missing."""
    world = Path(cfg.folder) / "world"
    world.mkdir(parents=True, exist_ok=True)
    mine = range(team.rank, cfg.shards, team.size)
    for index in tqdm(mine, desc="world", disable=team.rank > 0):
        if not (world / f"{index:04d}.json").exists():
            write_shard(world, cfg.seed, index)
    team.wait()


def fit_autoencoder(cfg: Settings, team: Team) -> AutoencoderKL:
    """Fit by L1 + MSE + a light KL, on clean and degraded pictures alike; make latents standard.

    Raises UserError where latents of an autoencoder of fewer steps are left.
    """
    torch.manual_seed(cfg.seed)
    vae = networks.autoencoder().to(memory_format=torch.channels_last)
    world = Path(cfg.folder) / "world"
    shards = [open_memmap(world / f"{index:04d}.npy", mode="r") for index in range(cfg.shards)]

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([cfg.seed, 1, step])
        picks = rng.integers(0, [len(shards), len(shards[0])], (cfg.autoencoder_batch_size, 2))[
            team.rank :: team.size
        ]
        image = to_unit(np.stack([shards[s][i] for s, i in picks]))
        posterior = vae.encode(image).latent_dist
        z = posterior.mean + posterior.std * torch.from_numpy(
            rng.standard_normal(posterior.mean.shape, np.float32)
        )
        error = vae.decode(z).sample - image
        return (
            error.abs().mean()
            + error.square().mean()
            + 3e-4 * posterior.kl().mean() / posterior.mean[0].numel()
        )

    folder = Path(cfg.folder)
    fit = Fit(
        folder / "autoencoder",
        cfg.recipe(cfg.autoencoder_steps, cfg.autoencoder_learning_rate),
        team,
        {"vae": vae},
    )
    if fit.step < cfg.autoencoder_steps and any((folder / "latents").glob("*.npy")):
        raise UserError(
            f"autoencoder_steps={cfg.autoencoder_steps}: {folder / 'latents'} was encoded after fewer; "
            f"remove it and {folder / 'denoiser'}, or choose at most {fit.step}"
        )
    fit.run(loss)
    vae = fit.mean["vae"]
    images = to_unit(np.concatenate([shard[:64] for shard in shards[:16]]))
    standardize(vae, images)
    if team.rank == 0:
        print(f"autoencoder: {decibel(vae, images):.1f} dB mean over {len(images)} pictures")
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
def decibel(vae: AutoencoderKL, images: Tensor) -> float:
    """Mean peak signal-to-noise ratio of images [B, 3, 128, 128] in [-1, 1] after the autoencoder."""
    restored = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in images.split(64)])
    mse = ((restored.clamp(-1, 1) - images) / 2).square().mean((1, 2, 3))
    return float((-10 * mse.log10()).mean())


@torch.no_grad()
def encode_world(cfg: Settings, team: Team, vae: AutoencoderKL) -> None:
    """Posterior mean and deviation of every picture, float16 [N, 16, 16, 16] a shard."""
    folder = Path(cfg.folder) / "latents"
    folder.mkdir(exist_ok=True)
    for index in range(team.rank, cfg.shards, team.size):
        path = folder / f"{index:04d}.npy"
        if not path.exists():
            pixels = open_memmap(Path(cfg.folder) / "world" / f"{index:04d}.npy", mode="r")
            posteriors = [vae.encode(to_unit(part)).latent_dist for part in np.array_split(pixels, 40)]
            latents = torch.cat([torch.cat([p.mean, p.std], 1) for p in posteriors]).half()
            np.save(folder / f".{index:04d}.npy", latents.contiguous().numpy())
            os.replace(folder / f".{index:04d}.npy", path)
    team.wait()


def taught_tokenizer(cfg: Settings, team: Team) -> CLIPTokenizer:
    """A tokenizer of every word that a caption can hold: one process writes it once, all read it ever after.

    What the text encoder has learnt is tied to the numbers of its tokens.
    """
    folder = Path(cfg.folder) / "tokenizer"
    if team.rank == 0 and not (folder / "tokenizer_config.json").exists():  # it is written last
        words = [*vocabulary(), *NEGATIVE_PROMPT.replace(",", " ").replace("-", " ").split(), ",", "-", "."]
        networks.write_tokenizer([*words, *VIEW_WORDS], folder)
    team.wait()
    return CLIPTokenizer.from_pretrained(folder)


def fit_denoiser(cfg: Settings, team: Team, vae: AutoencoderKL) -> None:
    """Fit the denoiser and its text encoder to predict eps, weighted by 1 / sqrt(SNR) within [1/4, 16].

    Plain eps spends most of its effort on the finest noise. Which side of an object is seen, though, is
    settled where almost nothing else can be seen: at t > 850 on latents as small as these. Hence the
    weight, half of all t from there, and kinds with a front drawn twice as often as the world has them;
    without them the words for views stayed unlearnt for 150,000 samples.
    """
    torch.manual_seed(cfg.seed)
    tokens = taught_tokenizer(cfg, team)
    modules: Networks = {
        "text": networks.text_encoder(tokens),
        "unet": networks.denoiser().to(memory_format=torch.channels_last),
    }
    folder, shards = Path(cfg.folder), range(cfg.shards)
    latents = [open_memmap(folder / "latents" / f"{index:04d}.npy", mode="r") for index in shards]
    facts = [json.loads((folder / "world" / f"{index:04d}.json").read_text()) for index in shards]
    alphas = networks.noise_schedule().alphas_cumprod
    weights = (alphas / (1 - alphas)).rsqrt().clamp(0.25, 16)
    pool = np.array(
        [
            (s, i)
            for s, shard in enumerate(facts)
            for i, fact in enumerate(shard)
            for _ in range(2 if KINDS[fact["subject"]["kind"]].has_front else 1)
        ]
    )

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([cfg.seed, 2, step])
        picks = pool[rng.integers(0, len(pool), cfg.batch_size)]
        captions = []
        for s, i in picks:
            fact = facts[s][i]
            text = caption(Subject(**fact["subject"]), fact["views"], fact["bad_words"], rng)
            captions.append("" if rng.random() < cfg.caption_dropout else text)
        t = torch.from_numpy(rng.integers(np.where(rng.random(cfg.batch_size) < 0.5, 0, 750), 1000))
        shape = (2, cfg.batch_size, networks.LATENT_CHANNELS, networks.LATENT_SIZE, networks.LATENT_SIZE)
        noise = torch.from_numpy(rng.standard_normal(shape, np.float32))
        mine = slice(team.rank, None, team.size)
        mean, std = torch.from_numpy(np.stack([latents[s][i] for s, i in picks[mine]])).float().chunk(2, 1)
        t, (jitter, eps) = t[mine], noise[:, mine]
        z = mean + std * jitter
        alpha, sigma = alphas[t].sqrt()[:, None, None, None], (1 - alphas[t]).sqrt()[:, None, None, None]
        noised = (alpha * z + sigma * eps).contiguous(memory_format=torch.channels_last)
        ids = tokens(
            captions[mine],
            padding="max_length",
            truncation=True,
            max_length=networks.TOKENS,
            return_tensors="pt",
        )
        text = modules["text"](ids.input_ids)[0]
        error = modules["unet"](noised, t, text).sample - eps
        return (weights[t] * error.square().mean((1, 2, 3))).mean()

    def publish(mean: Networks, step: int) -> None:
        export(Path(cfg.weights), mean | {"vae": vae}, Path(cfg.folder), step * cfg.batch_size)

    recipe = cfg.recipe(cfg.denoiser_steps, cfg.learning_rate)
    Fit(Path(cfg.folder) / "denoiser", recipe, team, modules, publish).run(loss)


def work(rank: int, cfg: Settings) -> None:
    """All stages, as one process of a team."""
    torch.set_num_threads(1)
    try:
        team = Team(rank, cfg.processes)
        render_world(cfg, team)
        vae = fit_autoencoder(cfg, team)
        encode_world(cfg, team, vae)
        fit_denoiser(cfg, team, vae)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def main() -> None:
    """Exit code 0, or 2 after one sentence about what the user can put right."""
    try:
        cfg = parse(Settings, sys.argv[1:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29517")
    if cfg.processes == 1:
        work(0, cfg)
        return
    try:
        spawn(work, (cfg,), nprocs=cfg.processes)
    except ProcessExitedException as error:  # it has said why
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
