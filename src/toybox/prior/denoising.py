"""The denoiser of the bundled prior and its text encoder: how they are fitted to the world's latents."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.lib.format import open_memmap  # unlike np.load, it never unpickles
from torch import Tensor
from transformers import CLIPTokenizer

from src.guidance.prompts import NEGATIVE_PROMPT
from src.toybox.prior import networks
from src.toybox.prior.export import export
from src.toybox.prior.fitting import Fit, Networks, Team
from src.toybox.prior.heritage import lineage, started
from src.toybox.prior.settings import Settings
from src.toybox.world.captions import VIEW_WORDS, Subject, caption, vocabulary
from src.toybox.world.shapes import KINDS

# Where t is drawn, each range as often as the others: everywhere; where faces are settled; where kinds and
# sides are. The last two overlap the first.
RANGES = ((0, 1000), (300, 700), (700, 1000))


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


def draw_times(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` timesteps, by RANGES."""
    low, high = np.array(RANGES)[rng.integers(len(RANGES), size=count)].T
    return rng.integers(low, high)


def fit_denoiser(cfg: Settings, team: Team, vae: AutoencoderKL) -> None:
    """Fit the denoiser and its text encoder to predict eps, weighted by 1 / sqrt(SNR) within [1/4, 16].

    Plain eps spends most of its effort on the finest noise. Which side of an object is seen, though, is
    settled where almost nothing else can be seen: at t > 850 on latents as small as these. Hence the
    weight, the share of t up there, and kinds with a front drawn twice as often as the world has them;
    without them the words for views stayed unlearnt for 150,000 samples.
    """
    torch.manual_seed(cfg.seed)
    tokens = taught_tokenizer(cfg, team)
    modules: Networks = {
        "text": networks.text_encoder(tokens),
        "unet": networks.denoiser().to(memory_format=torch.channels_last),
    }
    if cfg.start:
        started(cfg.start, modules, tokens)
    for module in modules.values():
        module.to(cfg.device)
    folder, shards = Path(cfg.folder), range(cfg.shards)
    latents = [open_memmap(folder / "latents" / f"{index:04d}.npy", mode="r") for index in shards]
    facts = [json.loads((folder / "world" / f"{index:04d}.json").read_text()) for index in shards]
    alphas = networks.noise_schedule().alphas_cumprod
    weights = (alphas / (1 - alphas)).rsqrt().clamp(0.25, 16).to(cfg.device)
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
            four, eight = fact["views"]
            text = caption(Subject(**fact["subject"]), (four, eight), fact["bad_words"], rng)
            captions.append("" if rng.random() < cfg.caption_dropout else text)
        times = torch.from_numpy(draw_times(rng, cfg.batch_size))
        shape = (2, cfg.batch_size, networks.LATENT_CHANNELS, networks.LATENT_SIZE, networks.LATENT_SIZE)
        noise = torch.from_numpy(rng.standard_normal(shape, np.float32))
        mine = slice(team.rank, None, team.size)
        mean, std = torch.from_numpy(np.stack([latents[s][i] for s, i in picks[mine]])).float().chunk(2, 1)
        t, (jitter, eps) = times[mine], noise[:, mine]
        z = mean + std * jitter
        alpha, sigma = alphas[t].sqrt()[:, None, None, None], (1 - alphas[t]).sqrt()[:, None, None, None]
        noised = (alpha * z + sigma * eps).to(cfg.device, memory_format=torch.channels_last)
        ids = tokens(
            captions[mine],
            padding="max_length",
            truncation=True,
            max_length=networks.TOKENS,
            return_tensors="pt",
        )
        t, eps = t.to(cfg.device), eps.to(cfg.device)
        with cfg.precision():
            text = modules["text"](ids.input_ids.to(cfg.device))[0]
            error = modules["unet"](noised, t, text).sample.float() - eps
        return (weights[t] * error.square().mean((1, 2, 3))).mean()

    before = lineage(cfg.start)

    def publish(mean: Networks, step: int) -> None:
        export(Path(cfg.weights), mean | {"vae": vae}, Path(cfg.folder), step * cfg.batch_size, before)

    recipe = cfg.recipe(cfg.denoiser_steps, cfg.learning_rate)
    Fit(Path(cfg.folder) / "denoiser", recipe, team, modules, publish).run(loss)
