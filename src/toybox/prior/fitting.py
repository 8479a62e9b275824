"""Fit networks on several processes that share one batch, resumable at any step."""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from src.errors import UserError
from src.run.checkpoint import Checkpoint, gather, load_latest, restore, save
from src.run.log import cut_back
from src.toybox.prior.muon import Muon

WARM_UP = 100  # steps
DESCENT = 0.3  # share of the steps
LOG_EVERY = 50  # steps

Networks = dict[str, nn.Module]


class Team:
    """The processes that share one batch: who am I, and the mean of everybody's gradients."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        if size > 1:
            dist.init_process_group("gloo", init_method="env://", rank=rank, world_size=size)

    def average_gradients(self, parameters: list[Tensor]) -> None:
        """Replace everybody's gradients by their mean."""
        if self.size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        flat /= self.size
        for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))

    def wait(self) -> None:
        """Go on when everybody has come this far."""
        if self.size > 1:
            dist.barrier()


@dataclass(frozen=True)
class Recipe:
    """How long and how fast networks are fitted."""

    steps: int
    learning_rate: float
    ema: float  # what the mean keeps of itself in a step
    checkpoint_seconds: int
    deadline: float = math.inf  # on the monotonic clock: ends there, descent and all, if the steps do not


class Fit:
    """Networks under Muon with a warm-up, a plateau and a linear descent, and an exponential mean of them.

    Continues from the newest checkpoint in `folder`. Checkpoints hold the networks and their means;
    `publish(mean, step)` is called after each of them, for whatever else is to be made of the means.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        team: Team,
        networks: Networks,
        publish: Callable[[Networks, int], None] | None = None,
    ) -> None:
        self.folder, self.recipe, self.team, self.networks = folder, recipe, team, networks
        self.publish = publish
        self.mean = {name: copy.deepcopy(m).requires_grad_(False) for name, m in networks.items()}
        self.parameters: list[Tensor] = [p for m in networks.values() for p in m.parameters()]
        self.means: list[Tensor] = [p for m in self.mean.values() for p in m.parameters()]
        self.optimizer = Muon(networks.values(), recipe.learning_rate, weight_decay=0.01)
        self.step, self.began = 0, time.monotonic()
        found = load_latest(folder)
        if found is not None:
            try:
                restore(self._kept(), {"optimizer": self.optimizer}, found.tensors)
            except RuntimeError as error:
                raise UserError(
                    f"{folder} holds checkpoints of other networks: remove it or choose another folder="
                ) from error
            self.step = int(found.facts["step"])
        team.wait()  # nobody may write a new checkpoint while another still reads

    def run(self, loss_of_step: Callable[[int], Tensor]) -> None:
        """Minimise `loss_of_step` up to the last step, saving as it goes and at the end.

        Raises SystemExit, soon after it, at the first loss that is not finite.
        """
        recipe, leads = self.recipe, self.team.rank == 0
        saved, losses = time.monotonic(), list[Tensor]()  # read now and then: reading waits for a GPU
        if leads:
            cut_back(self.folder / "loss.jsonl", self.step + 1)
        bar = tqdm(total=recipe.steps, initial=self.step, desc=self.folder.name, disable=not leads)
        while self._left() > 0:
            loss = loss_of_step(self.step)
            self._descend(loss)
            losses.append(loss.detach())
            bar.update()
            if self.step % LOG_EVERY == 0:
                mean = float(np.mean(self._read(losses)))
                losses = []
                if leads:
                    bar.set_postfix(loss=f"{mean:.4f}")
                    self._log(mean)
            if leads and time.monotonic() - saved > recipe.checkpoint_seconds:
                self._read(losses)
                self._save()
                saved = time.monotonic()
        bar.close()
        self._read(losses)
        if leads:
            self._save()
        self.team.wait()

    def _read(self, losses: list[Tensor]) -> list[float]:
        """The losses of the last steps; nothing is logged or saved after one that is not finite."""
        values: list[float] = torch.stack(losses).tolist() if losses else []
        for step, value in enumerate(values, self.step - len(values)):
            if not math.isfinite(value):
                raise SystemExit(f"{self.folder.name}: the loss of step {step} is {value}")
        return values

    def _left(self) -> float:
        """Which share of the way is left: of the steps, or of the time where that is less."""
        steps, deadline = self.recipe.steps, self.recipe.deadline
        by_steps = (steps - self.step) / steps
        if deadline == math.inf:
            return by_steps
        return min(by_steps, (deadline - time.monotonic()) / (deadline - self.began))

    def _descend(self, loss: Tensor) -> None:
        # 100 steps up, flat, the last 30% down.
        pace = max(0.0, min(1.0, (self.step + 1) / WARM_UP, self._left() / DESCENT))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * pace
        loss.backward()
        self.team.average_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        decay = min(self.recipe.ema, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.means, self.parameters, 1 - decay)

    def _log(self, loss: float) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "loss.jsonl").open("a") as file:
            file.write(json.dumps({"step": self.step, "loss": loss}) + "\n")

    def _save(self) -> None:
        save(
            self.folder, Checkpoint(gather(self._kept(), {"optimizer": self.optimizer}), {"step": self.step})
        )
        if self.publish is not None:
            self.publish(self.mean, self.step)

    def _kept(self) -> Networks:
        return self.networks | {f"mean-{name}": mean for name, mean in self.mean.items()}
