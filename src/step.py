"""One step of training, told in the order in which data flows.

What is optimised shows latents, they are noised, whoever guides predicts the noise, a loss makes a gradient
of that, and an optimiser takes a step.  Training, the pre-flight and the benchmark take this same step;
`part` says whose time it is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from src.config import RunConfig
from src.generator import Generator, Part, Seen
from src.guidance.guide import Guide
from src.guidance.losses import surrogate
from src.guidance.terms import SOURCE, ScoreTerms
from src.guidance.timesteps import sample_noise, sample_timesteps
from src.run.finite import check_finite
from src.run.ranks import Ranks
from src.scene.cameras import Cameras
from src.streams import Streams


@dataclass
class Run:
    """All that a step works on."""

    cfg: RunConfig
    generator: Generator
    optimizer: Optimizer
    guide: Guide
    source: Generator | None = None  # what an edit began from, as it was
    ranks: Ranks = Ranks()  # the processes that share a step's views

    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser changes."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def modules(self) -> dict[str, nn.Module]:
        """What changes, by name; of the source its occupancy grid, which is refreshed along."""
        before = {} if self.source is None else self.source.modules()
        grid = {"source-occupancy": before["occupancy"]} if "occupancy" in before else {}
        return self.generator.modules() | self.guide.modules() | grid

    def optimizers(self) -> dict[str, Optimizer]:
        """What changes it, by name."""
        return {"optimizer": self.optimizer} | self.guide.optimizers()


class Step(NamedTuple):
    """What a step saw and found, without graph; `t` and everything in `terms` has one row per view.

    `t` is on the processor, whatever the device.
    """

    seen: Seen
    t: Int[Tensor, "B"]
    terms: ScoreTerms
    grad: Float[Tensor, "B C h w"]
    learnt: dict[str, Float[Tensor, ""]]  # by who guides, for the log


def take_step(
    run: Run,
    step: int,
    draw: Streams,
    part: Part,
    t: Int[Tensor, "B"] | None = None,
    camera: Cameras | None = None,
) -> Step:
    """Take one optimiser step from `draw`'s numbers; `t` or `camera` given replaces the step's own."""
    cfg, stage = run.cfg, run.cfg.schedule.at(step)

    # Parameters to latents; what is edited is seen as it was, from the same place and by the same draws.
    seen = run.generator(stage, step, draw, part, camera)
    before = None
    if run.source is not None:
        with torch.no_grad():
            before = run.source(stage, step, draw.again(), part, seen.camera).latents

    # Latents to their gradient.
    with part("unet"):
        if t is None:
            t = sample_timesteps(stage.t_min, stage.t_max, len(seen.latents), draw.here("t"))
        noise = sample_noise(seen.latents.shape, cfg.schedule.noise_correlation, draw)
        question = run.guide.question(seen.latents, noise, t, seen.camera, before)
        terms = run.guide.answer(question, cfg.loss.needs(t))
        grad = cfg.loss(terms)  # the whole difference between methods
        learnt = run.guide.learn(question, draw)

    # Gradient to parameters.
    with part("backward"):
        (surrogate(seen.latents, grad) + seen.penalty).backward()
    with part("optimiser"):
        run.ranks.sum_gradients(run.parameters(), len(seen.latents) / cfg.batch_size)
        refuse_what_is_not_finite(run, step, seen, terms, grad)
        run.optimizer.step()
        run.optimizer.zero_grad(set_to_none=True)
    seen = seen._replace(latents=seen.latents.detach(), penalty=seen.penalty.detach())
    return Step(seen, t, terms, grad, learnt)


def refuse_what_is_not_finite(run: Run, step: int, seen: Seen, terms: ScoreTerms, grad: Tensor) -> None:
    """Raise UserError, naming what is not finite, if anything is; the host waits for the device once."""
    gradients = [p.grad for p in run.parameters() if p.grad is not None]
    whole = torch.nn.utils.get_total_norm(gradients)
    if torch.stack([grad.norm(), seen.penalty.detach(), whole]).isfinite().all():
        return
    found = (
        {} if seen.view is None else {f"image ({name})": map_ for name, map_ in seen.view._asdict().items()}
    )
    found["latents"] = seen.latents.detach()
    for name, mask in run.cfg.loss.needs(terms.t.cpu()).items():
        of = terms.reference if name.startswith(SOURCE) else terms
        found[f"prediction ({name})"] = getattr(of, name.removeprefix(SOURCE))[mask]
    found |= {"gradient": grad, "penalty": seen.penalty.detach(), "gradient of the parameters": whole}
    check_finite(step, found)


def most_rows(cfg: RunConfig, t_min: int, t_max: int) -> Int[Tensor, ""]:
    """Return a timestep of t_min ... t_max for which the loss asks the UNet for the most rows."""
    every = torch.arange(t_min, t_max + 1)
    return every[rows_at(cfg, every).argmax()]


def rows_at(cfg: RunConfig, t: Int[Tensor, "N"]) -> Int[Tensor, "N"]:
    """Return how many rows the loss asks the UNet for at each of these timesteps."""
    held_against = int(cfg.prompts.perp_neg > 0)
    return torch.stack([mask.long() for mask in cfg.loss.needs(t).values()]).sum(0) + held_against
