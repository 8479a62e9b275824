"""What losses make of latents alone, without any 3-D: `python -m src.evaluation.distil_2d`.

Every method starts from the same noise, sees the same draws and takes the same steps (those of training, with
generator=latents); what comes out is compared with samples of the prior.  Beside each stands R, how far NFSD
should overshoot: only t < cut pulls back, so for Gaussians it rests at mu_g + R (mu_g - mu_neg), mu_g being
the guided mean.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from src.arguments import in_range, parse, to_write
from src.command_line import prompt_list
from src.config import RunConfig
from src.door import CONF, one_sentence, settings
from src.evaluation.distilled import distil
from src.evaluation.looks import distance, floor, log_spectra, spectrum_distance
from src.evaluation.suite.suite import Method, methods
from src.guidance.load import load_prior
from src.guidance.losses import CSD, NFSD
from src.guidance.prior import Prior
from src.guidance.sampling import ddim
from src.run.checkpoint import write_atomically
from src.streams import Streams
from src.toybox.sample import grid

SAMPLES = 4  # of each prompt, that methods are compared with


@dataclass
class Settings:
    """What the command line can change."""

    losses: str = "[sds@7.5,sds,nfsd,nfsd+loss.cut=200,nfsd+loss.cut=200+loss.sigma_power=2]"
    prompts: str = "gallery"  # of conf/prompts
    preset: str = "bench"  # whose losses and whose range of t
    steps: int = 300
    pictures: int = 2  # of each prompt
    lr: float = 0.03
    seed: int = 0
    out: str = "outputs/distil-2d"  # .md and .png

    def __post_init__(self) -> None:
        in_range(self, ["pictures"], 1, 1000)
        in_range(self, ["steps"], 1, 10**6)
        in_range(self, ["lr"], 1e-6, 10)
        in_range(self, ["seed"], 0, 2**31)


def overshoot(cfg: RunConfig, prior: Prior, deviation: float) -> float:
    """R = sum of w k over t >= cut / sum of w k over t < cut, k = sigma alpha / (alpha^2 d^2 + sigma^2).

    `deviation` is d, that of a prompt's latents; the t are those of the end of the run.  Losses that pull
    back at every t do not overshoot: 0; CSD, which is the condition alone, pulls back at none: infinite.
    """
    if isinstance(cfg.loss, CSD):
        return float("inf")
    if not isinstance(cfg.loss, NFSD):
        return 0.0
    stage, cut = cfg.schedule.at(cfg.steps - 1), cfg.loss.cut
    t = torch.arange(stage.t_min, stage.t_max + 1)
    squared = prior.alphas_cumprod[t].cpu()
    alpha, sigma = squared.sqrt(), (1 - squared).sqrt()
    pull = alpha**cfg.loss.alpha_power * sigma**cfg.loss.sigma_power * sigma * alpha
    pull = pull / (squared * deviation**2 + 1 - squared)
    below = float(pull[t < cut].sum()) * cfg.loss.weight_below_cut
    return float(pull[t >= cut].sum()) / below if below else float("inf")


def spread(latents: Float[Tensor, "N C h w"], of_prompt: int) -> float:
    """Root mean square deviation of a prompt's latents from their own mean; `of_prompt` in a row each."""
    groups = latents.unflatten(0, (-1, of_prompt))
    return float(groups.var(1).mean().sqrt())


def repeated(prompts: Sequence[str], times: int) -> list[str]:
    """Each prompt so many times in a row."""
    return [said for said in prompts for _ in range(times)]


def compare(cfg: Settings, chosen: Sequence[Method]) -> tuple[str, Float[Tensor, "N 3 H W"], int]:
    """Distil, and compare with samples; returns a table in Markdown, all pictures, and how many a row."""
    prompts = prompt_list("prompts", cfg.prompts, CONF)
    annealed = settings("prompt=any", f"preset={cfg.preset}").schedule.t_max_after
    said = [f"preset={cfg.preset}", "prior=toybox", "generator=latents", f"batch_size={cfg.pictures}"]
    said += [f"steps={cfg.steps}", f"seed={cfg.seed}", f"optimizer.lr_latents={cfg.lr}"]
    said += [f"schedule.t_max_after={annealed}"]  # latents alone would not be annealed
    runs = [[settings(f"prompt={prompt}", *said, *one.overrides()) for prompt in prompts] for one in chosen]
    prior = load_prior(runs[0][0].prior, "cpu")
    # As src/evaluation/looks.py samples, but several for each of few prompts.
    drawn = ddim(
        prior, repeated(prompts, SAMPLES), 7.5, 25, Streams(cfg.seed, 0)("distil-2d/samples"), eta=1.0
    )
    deviation, samples = spread(drawn, SAMPLES), prior.decode(drawn)
    lines = ["| | R | size of latents, of samples' | distance of spectrum (dB) |", "|---|---:|---:|---:|"]
    rows = []
    for one, each in zip(chosen, runs, strict=True):
        latents = torch.cat([distil(run, prior).latents for run in each])
        rows.append(prior.decode(latents))
        size = float(latents.square().mean().sqrt() / drawn.square().mean().sqrt())
        cells = [
            f"{overshoot(each[0], prior, deviation):.2g}",
            f"{size:.2f}",
            f"{spectrum_distance(rows[-1], samples):.2f}",
        ]
        lines.append(f"| {one.title(each[0])} | {' | '.join(cells)} |")
    lines.append(f"| samples among themselves | | 1 | {floor(log_spectra(samples), distance):.2f} |")
    return "\n".join(lines) + "\n", torch.cat(rows), len(prompts) * cfg.pictures


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    table, sheet = to_write(f"{cfg.out}.md"), to_write(f"{cfg.out}.png")
    text, pictures, columns = compare(cfg, methods(cfg.losses))
    write_atomically(table, text.encode())
    grid(pictures, columns, enlarge=1).save(sheet)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
