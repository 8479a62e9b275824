"""VSD's critic: low-rank changes to the prior's own UNet, fitted to what the generator shows.

Variational score distillation (ProlificDreamer, Wang et al. 2023, section 3.3) asks what noise there would be
if the generator's own pictures were all there is.  The network that answers is the prior's, with a LoRA (Hu
et al. 2022) in its attention and the camera's pose beside the time; it is told the prompt without view words.
Off, the prior's numbers are the prior's, bit by bit.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW

from src.errors import UserError
from src.guidance.prior import Prior
from src.streams import Streams

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]  # what peft shall add to, as diffusers names it
POSE = 16  # numbers of a camera-to-world matrix
HOOK = "nfsd3d_critic"  # where a UNet keeps the hook of the critic that it has


@dataclass
class CriticConfig:
    """The critic of loss=vsd and how it is fitted; rate and drop-out are ProlificDreamer's."""

    rank: int = 4
    learning_rate: float = 1e-4
    pose_dropout: float = 0.1  # share of samples whose pose it is not told

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 1024:
            raise UserError(f"critic.rank={self.rank} is out of range: choose 1 to 1024")
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"critic.learning_rate={self.learning_rate} is out of range: choose more than 0")
        if not 0 <= self.pose_dropout <= 1:
            raise UserError(f"critic.pose_dropout={self.pose_dropout} is out of range: choose 0 to 1")


class Critic(nn.Module):
    """eps(z_t; t, pose) of what is shown; begins as the prior with the prompt.

    A prior has one critic: a later one takes the place of an earlier one, which then raises RuntimeError.
    """

    def __init__(self, prior: Prior, text: Float[Tensor, "1 L D"], cfg: CriticConfig, init: Streams) -> None:
        super().__init__()
        self._prior, self._text, self._cfg = [prior], text, cfg  # in a list: its weights are no part of this
        self._added, found = _add_lora(prior.unet, cfg.rank, init)
        self.lora = nn.ParameterDict(found)
        width = prior.unet.time_embedding.linear_2.out_features
        self.pose_in = nn.Parameter(init("init/critic/pose").normal(1, width, POSE)[0] / math.sqrt(POSE))
        self.pose_out = nn.Parameter(torch.zeros(width, width))
        self._pose: Float[Tensor, "N 16"] | None = None
        if hasattr(prior.unet, HOOK):
            getattr(prior.unet, HOOK).remove()  # lets the earlier critic go
        self._hook = prior.unet.time_embedding.register_forward_hook(self._beside_the_time)
        setattr(prior.unet, HOOK, self._hook)
        self.to(prior.device, _precision(prior.unet))
        self.optimizer = AdamW(self.parameters(), lr=cfg.learning_rate, weight_decay=0.01, fused=True)

    def predict(
        self, noised: Float[Tensor, "N C h w"], t: Int[Tensor, "N"], pose: Float[Tensor, "N 16"]
    ) -> Float[Tensor, "N C h w"]:
        """Predict the noise, without graph."""
        with torch.no_grad(), self._on(pose):
            return self._answer(noised, t)

    def learn(
        self, latents: Float[Tensor, "B C h w"], pose: Float[Tensor, "B 16"], draw: Streams
    ) -> Float[Tensor, ""]:
        """Take one step of its own towards predicting the noise of these latents; returns the loss before it.

        t is of the whole range, whatever the step's, and the noise another.
        """
        batch, prior = len(latents), self._prior[0]
        t = (draw("critic/t").uniform(batch) * len(prior.alphas_cumprod)).long().to(latents.device)
        noise = draw("critic/noise").normal(*latents.shape).to(latents)
        told = draw("critic/pose").uniform(batch, 1).to(latents.device) >= self._cfg.pose_dropout
        alpha_bar = prior.alphas_cumprod[t].view(-1, 1, 1, 1)
        noised = alpha_bar.sqrt().to(latents) * latents.detach() + (1 - alpha_bar).sqrt().to(latents) * noise
        with self._on(pose * told):  # until backward is through: off, peft's layers take no gradients
            error = (self._answer(noised, t) - noise).square()
            # Summed within a sample: Adam sees no scale, and a mean's gradients vanish in half precision.
            (error.sum() / batch).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return error.detach().mean()

    def _answer(self, noised: Float[Tensor, "N C h w"], t: Int[Tensor, "N"]) -> Float[Tensor, "N C h w"]:
        return self._prior[0].predict_with_graph(noised, t, self._text.expand(len(t), -1, -1))

    @contextmanager
    def _on(self, pose: Float[Tensor, "N 16"]) -> Iterator[None]:
        if getattr(self._prior[0].unet, HOOK) is not self._hook:
            raise RuntimeError("another critic has taken this one's place in the prior")
        self._pose = pose
        for layer in self._added:
            layer.enable_adapters(True)
        try:
            yield
        finally:
            self._pose = None
            for layer in self._added:
                layer.enable_adapters(False)

    def _beside_the_time(self, _module: nn.Module, _inputs: Any, time: Tensor) -> Tensor | None:
        if self._pose is None:
            return None
        hidden = F.silu(self._pose.to(self.pose_in) @ self.pose_in.T)
        return time + (hidden @ self.pose_out.T).to(time)


def _precision(unet: Any) -> torch.dtype:
    """What the critic's parameters are kept in: Adam's steps are too small for half precision."""
    return torch.promote_types(next(unet.parameters()).dtype, torch.float32)


def _add_lora(unet: Any, rank: int, init: Streams) -> tuple[list[Any], dict[str, nn.Parameter]]:
    """Put a LoRA that is off into a UNet's attention; returns its layers, and its parameters by name.

    y = W x + B A x with B = 0 at first (Hu et al. 2022).
    """
    # Seconds of imports that only VSD needs.
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    if hasattr(unet, "peft_config"):
        del unet.peft_config  # an earlier critic's, whose matrices are replaced
    with torch.random.fork_rng(devices=[]):  # it draws from the global generator; what it drew is replaced
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=ATTENTION), unet)
    named = {name: p for name, p in unet.named_parameters() if "lora_" in name}
    with torch.no_grad():
        for name, p in named.items():
            drawn = init(f"init/critic/{name}").normal(1, *p.shape)[0] / math.sqrt(p.shape[1])
            p.copy_(drawn if "lora_A" in name else torch.zeros_like(drawn))
    layers = [module for module in unet.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    return layers, {name.replace(".", "/"): p for name, p in named.items()}  # a ParameterDict allows no dots
