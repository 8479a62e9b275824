"""The denoiser of the bundled prior and its text encoder: how they are fitted to the world's latents."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from jaxtyping import Int
from torch import Tensor
from transformers import CLIPTokenizer

from src.errors import UserError
from src.guidance.prompts import NEGATIVE_PROMPT
from src.toybox.prior import networks
from src.toybox.prior.export import export
from src.toybox.prior.fitting import LOG_EVERY, Fit, Networks, Team
from src.toybox.prior.heritage import lineage, started
from src.toybox.prior.lessons import Lessons
from src.toybox.prior.settings import Settings
from src.toybox.prior.shards import nobody_renders
from src.toybox.world.captions import VIEW_WORDS, vocabulary

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


def draw_times(count: int, device: str = "cpu") -> Int[Tensor, "count"]:
    """`count` timesteps, by RANGES, from torch's own generator."""
    low, high = torch.tensor(RANGES, device=device)[torch.randint(len(RANGES), (count,), device=device)].T
    return low + ((high - low) * torch.rand(count, device=device)).long()


def fit_denoiser(
    cfg: Settings, team: Team, vae: AutoencoderKL, check: Callable[[], object] = nobody_renders
) -> None:
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
    alphas = networks.noise_schedule().alphas_cumprod.to(cfg.device)
    weights = (alphas / (1 - alphas)).rsqrt().clamp(0.25, 16)
    lessons = Lessons(cfg, tokens, vae, check)
    lessons.take_up()
    if time.monotonic() > cfg.deadline():
        raise UserError(f"minutes={cfg.minutes:g} were over before the denoiser began: choose more")
    mine = slice(team.rank, None, team.size)

    def loss(step: int) -> Tensor:
        if step % LOG_EVERY == 0:
            lessons.take_up()
        torch.manual_seed((cfg.seed * 2_654_435_761 + step) % 2**32)  # a processor's generator keeps 32 bits
        posterior, words = lessons.draw(cfg.batch_size, cfg.caption_dropout)
        t = draw_times(cfg.batch_size, cfg.device)
        mean, std = posterior.float().chunk(2, 1)
        jitter, eps = torch.randn((2, *mean.shape), device=cfg.device)
        alpha, sigma = alphas[t].sqrt()[:, None, None, None], (1 - alphas[t]).sqrt()[:, None, None, None]
        noised = (alpha * (mean + std * jitter) + sigma * eps).contiguous(memory_format=torch.channels_last)
        with cfg.precision():
            text = modules["text"](words[mine])[0]
            error = modules["unet"](noised[mine], t[mine], text).sample.float() - eps[mine]
        return (weights[t[mine]] * error.square().mean((1, 2, 3))).mean()

    before = lineage(cfg.start)

    def publish(mean: Networks, step: int) -> None:
        export(Path(cfg.weights), mean | {"vae": vae}, Path(cfg.folder), step * cfg.batch_size, before)

    recipe = cfg.recipe(cfg.denoiser_steps, cfg.learning_rate, cfg.deadline())
    Fit(Path(cfg.folder) / "denoiser", recipe, team, modules, publish).run(loss)
