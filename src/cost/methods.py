"""What a step of each loss costs on the bundled prior, in the scene of a laptop run's second part."""

from collections.abc import Callable
from contextlib import nullcontext

from src import door
from src.assemble import assemble, make_guide
from src.guidance.prior import load_prior
from src.step import take_step
from src.streams import Streams

LOSSES = ("nfsd", "sds", "vsd")
FIRST, STEPS = 401, 4  # at 64x64 pixels; some t on either side of NFSD's cut


def steps_of_methods() -> dict[str, Callable[[], None]]:
    """Runs of STEPS steps, by loss; each call takes the same ones, NFSD's the first."""
    return {f"{STEPS} laptop steps of {name}": _steps(name) for name in LOSSES}


def _steps(name: str) -> Callable[[], None]:
    cfg = door.settings("prompt=a ceramic lion", "preset=laptop", "device=cpu", f"loss={name}")
    prior = load_prior(cfg.prior, "cpu")  # each its own: a critic adds to the UNet
    run = assemble(cfg, make_guide(cfg, prior), prior.device)

    def take() -> None:
        for step in range(FIRST, FIRST + STEPS):
            take_step(run, step, Streams(cfg.seed, step), lambda _: nullcontext())

    return take
