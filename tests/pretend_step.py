"""Waits and launches of one step on the pretend device: python -m tests.pretend_step step=6000 [settings]

With preset=paper and its own sizes that takes minutes; field.hash_grid.levels=2 changes no count and spares
most of them.  backend=triton counts a launch where Triton would make one, and computes nothing there.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from src.assemble import make_guide
from src.config import RunConfig
from src.door import settings
from src.generators.nerf import NeRF
from src.guidance.prior import Prior, load_prior
from src.model import make_optimizer, stand_in
from src.scene import hash_grid
from src.step import Run, take_step
from src.streams import Stream, Streams
from tests.pretend_cuda import Counts, pretend_cuda

APART = "the prior's networks"


class Apart:
    """Charges what the prior's networks do, forward and backward, to a part of its own."""

    def __init__(self, prior: Prior, counts: Counts, patch: pytest.MonkeyPatch) -> None:
        self.counts = counts
        encode, predict = prior.encode, prior.predict_noise

        def encode_apart(image: torch.Tensor, stream: Stream) -> torch.Tensor:
            image.register_hook(lambda _: counts.charge("render, backward"))
            with self.charged(APART):
                return encode(image, stream)

        def predict_apart(*asked: torch.Tensor) -> torch.Tensor:
            with self.charged(APART):
                return predict(*asked)

        patch.setattr(prior, "encode", encode_apart)
        patch.setattr(prior, "predict_noise", predict_apart)

    @contextmanager
    def charged(self, part: str) -> Iterator[None]:
        before = self.counts.part
        self.counts.charge(part)
        yield
        self.counts.charge(before)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        # Backward begins in the encoder, and the hook on the image says when it is through.
        self.counts.charge(APART if part == "backward" else part)
        yield
        self.counts.charge(None)


def counted(cfg: RunConfig, step: int, counts: Counts, patch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Waits and launches of one step with a stand-in scene, the prior's networks apart."""
    device = torch.device("cuda")
    prior = load_prior(cfg.prior, device)
    guide = make_guide(cfg, prior)
    generator = NeRF(cfg, stand_in(cfg, device, step), prior)
    run = Run(cfg, generator, make_optimizer(cfg, generator.groups()), guide)
    part = Apart(prior, counts, patch)
    take_step(run, step, Streams(cfg.seed, step, device=device), part)  # brings constants to the device
    counts.clear()
    take_step(run, step + 1, Streams(cfg.seed, step + 1, device=device), part)
    return counts.totals(APART)


class OneLaunch:
    """Stands for src/scene/hash_grid_triton.py where only launches are counted."""

    def __init__(self, levels: list[object]) -> None:
        self.levels, self.counts = levels, Counts()

    def encode(self, points: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        self.counts.launch()
        return table.new_empty(len(points), len(self.levels) * table.shape[1]).zero_()

    def accumulate(self, points: torch.Tensor, upstream: torch.Tensor, gradient: torch.Tensor) -> None:
        self.counts.launch()


def main(arguments: list[str]) -> None:
    """Count, and print where they come from."""
    step = int(next(each for each in arguments if each.startswith("step="))[5:])
    rest = [each for each in arguments if not each.startswith(("step=", "backend="))]
    paper = ("prompt=a", "preset=paper", "device=cpu", "prior=gaussian", "prior.latent_size=64")
    with pretend_cuda() as counts, pytest.MonkeyPatch.context() as patch:
        if "backend=triton" in arguments:
            patch.setattr(hash_grid, "AtOnce", OneLaunch)
        waits, launches = counted(settings(*paper, *rest), step, counts, patch)
    print(f"step {step}: {waits} waits, {launches} launches beside the prior's networks")
    for name, found in {"waits": counts.waits, "launches": counts.launches}.items():
        parts: Counter[str] = Counter()
        for (part, _), times in found.items():
            parts[part] += times
        print(name, dict(parts))
        for (part, line), times in found.most_common(12):
            print(f"  {times:6d}  {part}: {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
