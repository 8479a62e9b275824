"""The paper's figures, drawn anew: python -m src.paper fig=2

Figures 2 to 5 show what the parts of a score are, on pictures; 7 and 8 what the losses make of them.  Each
leaves in outputs/paper a picture, its numbers, and a caption that says what they show here.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from src.arguments import in_range, parse
from src.command_line import prompt_list
from src.config import check_device, run_name
from src.door import CONF, one_sentence, settings
from src.errors import UserError
from src.evaluation.paper import condition, domain, guidance_ladder, in_2d, nerfs, residual
from src.evaluation.paper.figure import Figure, open_folder
from src.evaluation.paper.shown import photographs, samples
from src.guidance.load import announce, load_prior
from src.guidance.prior import Prior
from src.train import train

PRIORS = ("toybox", "sd21")
# What the bundled prior is asked for in the place of the paper's prompts, which it was never taught.
TOY_PAIRS = ("a lion, side view", "a blue penguin, front view")
TOY_2D = ("an animal", "a lion", "a ripe strawberry")  # from many answers to nearly one
TOY_NERFS = ("a ceramic lion", "a golden hedgehog")
TOY_LADDER = ("a photo of a lion", "a statue of a marble rabbit", "a red rocket")
METHODS = {
    "SDS 7.5": ("loss=sds", "loss.guidance_scale=7.5"),
    "SDS 100": ("loss=sds",),
    "NFSD 7.5": ("loss=nfsd",),
}


@dataclass
class Settings:
    """What the command line can change."""

    fig: int = 0
    prior: str = "toybox"
    path: str = ""  # of the prior's files, where it is not the prior's own
    device: str = "cpu"
    pictures: int = (
        0  # that are measured; 0: 32 of the toy world's, 8 samples, in figures 7 and 8 all prompts
    )
    steps: int = 0  # of figures 7 and 8; 0: 400 and the preset's with the bundled prior, else the paper's
    seed: int = 0
    out: str = "outputs/paper"

    def __post_init__(self) -> None:
        if self.fig not in FIGURES:
            numbers = ", ".join(map(str, FIGURES))
            raise UserError(f"fig={self.fig} is no figure that can be drawn: choose one of {numbers}")
        if self.prior not in PRIORS:
            raise UserError(f"prior={self.prior} is unknown here: choose {' or '.join(PRIORS)}")
        in_range(self, ["pictures"], 0, 1000)
        if self.pictures == 1:
            raise UserError("pictures=1 is too few: the figures show two; choose 2 or more, or leave it out")
        in_range(self, ["steps"], 0, 10**6)
        in_range(self, ["seed"], 0, 2**31)
        check_device(self.device)


def load(cfg: Settings) -> Prior:
    """Load the prior that is named, from `path` if that is given; raises UserError if it cannot be had."""
    chosen = settings("prompt=any", "preset=laptop", f"prior={cfg.prior}").prior
    if cfg.path:
        chosen.path = cfg.path
    prior = load_prior(chosen, cfg.device)
    announce(chosen, prior)
    return prior


def figure_2(cfg: Settings) -> Figure:
    """The condition direction."""
    prior = load(cfg)
    if cfg.prior == "toybox":
        shown = photographs(prior, cfg.pictures or 32, cfg.seed)
    else:
        shown = samples(prior, prompt_list("prompts", "paper_fig2", CONF), cfg.pictures or 8, cfg.seed)
    return condition.figure(prior, shown, cfg.seed)


def figure_3(cfg: Settings) -> Figure:
    """The domain correction."""
    prior = load(cfg)
    prompts = TOY_PAIRS if cfg.prior == "toybox" else prompt_list("prompts", "paper_fig3", CONF)
    more = prompt_list("prompts", "toybench", CONF) if cfg.prior == "toybox" else []
    return domain.figure(prior, samples(prior, [*prompts, *more], cfg.pictures or 8, cfg.seed), cfg.seed)


def figure_4(cfg: Settings) -> Figure:
    """The residual that SDS distils."""
    prior = load(cfg)
    if cfg.prior == "toybox":
        shown = photographs(prior, cfg.pictures or 32, cfg.seed)
    else:
        horse = prompt_list("prompts", "paper_fig2", CONF)[:1]
        shown = samples(prior, horse, cfg.pictures or 8, cfg.seed)
    return residual.figure(prior, shown, cfg.seed)


def figure_5(cfg: Settings) -> Figure:
    """The ladder of guidance scales."""
    prior = load(cfg)
    prompts = prompt_list("prompts", "paper_fig2", CONF)[:1]
    if cfg.prior == "toybox":
        prompts = [*TOY_LADDER, *prompt_list("prompts", "toybench", CONF)]
    return guidance_ladder.figure(prior, prompts[: cfg.pictures or 8], cfg.seed)


def figure_7(cfg: Settings) -> Figure:
    """Latents distilled."""
    prior = load(cfg)
    prompts = list(TOY_2D) if cfg.prior == "toybox" else prompt_list("prompts", "paper_fig7", CONF)
    prompts = prompts[: cfg.pictures or None]
    steps = f"steps={cfg.steps or (400 if cfg.prior == 'toybox' else 1000)}"
    said = (
        "preset=laptop",
        f"prior={cfg.prior}",
        "generator=latents",
        "batch_size=1",
        f"seed={cfg.seed}",
        steps,
    )
    runs = {
        title: [settings(f"prompt={prompt}", *said, *method) for prompt in prompts]
        for title, method in METHODS.items()
    }
    return in_2d.figure(prior, runs, cfg.seed)


def figure_8(cfg: Settings) -> Figure:
    """Radiance fields distilled, with t not annealed; runs go on where they were stopped."""
    prompts = list(TOY_NERFS) if cfg.prior == "toybox" else prompt_list("prompts", "paper_fig8", CONF)
    prompts = prompts[: cfg.pictures or None]
    said = [
        f"preset={'bench' if cfg.prior == 'toybox' else 'paper'}",
        f"seed={cfg.seed}",
        f"device={cfg.device}",
        "schedule.law=none",
    ]
    said += [f"steps={cfg.steps}"] if cfg.steps else []
    said += [f"prior.path={cfg.path}"] if cfg.path else []
    runs = {
        title: [settings(f"prompt={prompt}", *said, *METHODS[title]) for prompt in prompts]
        for title in ("SDS 100", "NFSD 7.5")
    }
    for each in runs.values():
        for run in each:
            run.out = str(Path(cfg.out) / "runs" / run_name(run))
            train(run)
    return nerfs.figure(runs)


FIGURES: dict[int, Callable[[Settings], Figure]] = {
    **{2: figure_2, 3: figure_3, 4: figure_4, 5: figure_5},
    **{7: figure_7, 8: figure_8},
}


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    folder = open_folder(Path(cfg.out) / f"fig{cfg.fig}-{cfg.prior}")
    FIGURES[cfg.fig](cfg).write(folder)
    print((folder / "caption.md").read_text("utf-8"))
    print(folder / "figure.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
