"""Who answers a step's question: the prior and the prompt, VSD's critic, DDS's words for the source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from src.guidance.critic import Critic
from src.guidance.prior import Prior
from src.guidance.prompts import PromptBank, Text
from src.guidance.terms import Question, ScoreTerms, score_terms
from src.streams import Streams, upload


@runtime_checkable
class Viewpoint(Protocol):
    """All that guidance knows of cameras, on the processor: angles in radians, camera-to-world matrices."""

    @property
    def azimuth(self) -> Float[Tensor, "B"]: ...

    @property
    def elevation(self) -> Float[Tensor, "B"]: ...

    def poses(self) -> Float[Tensor, "B 3 4"]: ...


@dataclass
class Guide:
    """The prior, the prompt and whom else a loss asks."""

    prior: Prior
    prompts: PromptBank
    critic: Critic | None = None
    source_prompts: PromptBank | None = None

    def question(
        self,
        latents: Float[Tensor, "B C h w"],
        noise: Float[Tensor, "B C h w"],
        t: Int[Tensor, "B"],
        view: Viewpoint | None,
        before: Float[Tensor, "B C h w"] | None,
    ) -> Question:
        """Ask about what is seen from a viewpoint (None: nowhere); `before` is what an edit began from."""
        source_text = None if self.source_prompts is None else _text(self.source_prompts, view, len(t))
        pose = _pose(view, latents)
        text = _text(self.prompts, view, len(t))
        return Question(latents.detach(), noise, t, text, pose, before, source_text)

    def answer(self, asked: Question, needs: Mapping[str, Bool[Tensor, "B"]]) -> ScoreTerms:
        """Ask everybody whom the loss needs."""
        return score_terms(self.prior, asked, needs, self.critic)

    def learn(self, asked: Question, draw: Streams) -> dict[str, Float[Tensor, ""]]:
        """Let the critic, if there is one, see what is shown; returns its loss for the log."""
        if self.critic is None:
            return {}
        assert asked.pose is not None
        return {"critic": self.critic.learn(asked.latents, asked.pose, draw)}

    def modules(self) -> dict[str, nn.Module]:
        """What of it changes, as checkpoints know it."""
        return {} if self.critic is None else {"critic": self.critic}

    def optimizers(self) -> dict[str, Optimizer]:
        """What changes it, as checkpoints know it."""
        return {} if self.critic is None else {"critic-optimizer": self.critic.optimizer}


def _text(prompts: PromptBank, view: Viewpoint | None, batch: int) -> Text:
    return prompts.plain(batch) if view is None else prompts(view.azimuth, view.elevation)


def _pose(view: Viewpoint | None, like: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 16"]:
    if view is None:
        return like.new_zeros(len(like), 16)
    poses = view.poses()
    last = poses.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(like), 1, 4)
    return upload(torch.cat([poses, last], 1).flatten(1).to(like.dtype), like.device)
