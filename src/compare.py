"""Every loss asked the same question: python -m src.compare prompt="a ceramic lion" losses=[sds,nfsd,csd]

The same half-formed latents, t and noises go through every loss.  Leaves in outputs/compare how large each
one's gradient is in each fifth of t, the cosines between them, and what a step along each looks like.
"""

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from src.arguments import in_range, parse
from src.config import RunConfig, check_device, identity
from src.door import one_sentence, settings
from src.errors import UserError
from src.evaluation.directions import (
    DRAWS,
    KEPT,
    ask_all,
    by_fifth,
    fit,
    half_formed,
    of_means,
    picture,
)
from src.evaluation.paper.figure import Figure, markdown, open_folder
from src.evaluation.suite.suite import methods
from src.guidance.critic import Critic
from src.guidance.load import announce, load_prior
from src.guidance.losses import VSD
from src.guidance.prompts import Text
from src.streams import Streams


@dataclass
class Settings:
    """What the command line can change."""

    prompt: str = ""
    losses: str = "[sds,nfsd,csd]"  # as suites have them: sds@7.5, nfsd+loss.cut=600
    preset: str = "laptop"  # the prior, and losses tuned for it
    path: str = ""  # of the prior's files, where it is not the prior's own
    device: str = "cpu"
    pictures: int = 16
    critic_steps: int = 200  # that VSD's critic is fitted to the pictures, before anybody is asked
    seed: int = 0
    out: str = ""  # default: outputs/compare/<prompt>

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise UserError('prompt is empty: write what the losses are to want, as in prompt="a red car"')
        if len(methods(self.losses)) < 2:
            raise UserError(f"losses={self.losses} is one loss: name two or more, as in losses=[sds,nfsd]")
        if any(method.loss == "dds" for method in methods(self.losses)):
            raise UserError(f"losses={self.losses}: dds compares with the source of an edit: leave it out")
        in_range(self, ["pictures"], 2, 1000)
        in_range(self, ["critic_steps"], 1, 10**6)
        in_range(self, ["seed"], 0, 2**31)
        check_device(self.device)

    def folder(self) -> Path:
        """Where picture, numbers and caption are written."""
        slug = re.sub(r"[\W_]+", "-", self.prompt.lower()).strip("-")[:60] or "prompt"
        return Path(self.out or f"outputs/compare/{slug}")


CAPTION = """**{prompt}: {names}** on the same {count} half-formed pictures: samples of the prior for the
prompt, blurred and faded by {grey:.0%} to light grey. Every picture has {draws} t and noises in each fifth
of t, the same for all losses. Drawn are steps (minus the gradient) of the first picture.{fitted}

Gradients averaged over all t and noises of a picture, and the cosines between them; sizes are root mean
squares with each loss's own scale and w(t):

{means}

Single gradients:"""

FITTED = """ VSD's critic was fitted to these pictures for {steps} steps: squared error {before:.3f}, then
{after:.3f}."""


def compare(cfg: Settings) -> Figure:
    """Ask, measure and draw."""
    runs: dict[str, RunConfig] = {}
    for method in methods(cfg.losses):
        run = settings("prompt=any", f"preset={cfg.preset}", *method.overrides())
        title = method.title(run)
        if title in runs:
            raise UserError(f"losses={cfg.losses}: {title} is there twice: name each once")
        runs[title] = run
    critics = [run.critic for run in runs.values() if isinstance(run.loss, VSD)]
    if any(other != critics[0] for other in critics):
        raise UserError(f"losses={cfg.losses}: one critic is fitted for all: give every vsd the same")
    first = next(iter(runs.values()))
    for title, run in runs.items():
        if identity(replace(run, loss=first.loss, critic=first.critic)) != identity(first):
            raise UserError(
                f"losses={cfg.losses}: {title} is more than a loss, and all are asked alike: name settings "
                "of losses alone"
            )
    if cfg.path:
        first.prior.path = cfg.path
    prior = load_prior(first.prior, cfg.device)
    announce(first.prior, prior)
    latents = half_formed(prior, cfg.prompt, cfg.pictures, cfg.seed)
    said = prior.embed([cfg.prompt, "", first.prompts.negative])
    losses = {name: run.loss for name, run in runs.items()}
    text, critic, fitted = Text(*said.split(1)), None, ""
    if critics:
        critic = Critic(prior, text.cond, critics[0], Streams(cfg.seed, 0))
        before, after = fit(critic, latents, cfg.critic_steps, cfg.seed)
        fitted = FITTED.format(steps=cfg.critic_steps, before=before, after=after)
    gradients = ask_all(prior, losses, latents, text, cfg.seed, critic)
    caption = CAPTION.format(
        prompt=cfg.prompt,
        names=", ".join(runs),
        count=cfg.pictures,
        grey=1 - KEPT,
        draws=DRAWS,
        fitted=fitted,
        means=markdown(of_means(gradients)),
    )
    return Figure(picture(prior, latents, gradients), by_fifth(gradients), caption)


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    folder = open_folder(cfg.folder())
    compare(cfg).write(folder)
    print((folder / "caption.md").read_text("utf-8"))
    print(folder / "figure.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
