"""Which noise each view of a step is judged with, and how much of it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.streams import Stream, Streams


def sample_timesteps(t_min: int, t_max: int, batch: int, stream: Stream) -> Int[Tensor, "B"]:
    """Draw one integer timestep per view, uniform on t_min, ..., t_max with both ends included."""
    return t_min + (stream.uniform(batch) * (t_max - t_min + 1)).to(torch.int64)


def sample_noise(shape: tuple[int, ...], correlation: float, draw: Streams) -> Float[Tensor, "B C h w"]:
    """sqrt(c) n + sqrt(1 - c) n', n being drawn once a run and n' in every step: N(0, I), whatever c.

    Any two steps' noises of one view have correlation c, so a run keeps asking about the answer that its own
    noise points to, and other seeds about others: the "more principled noise scheduling" that Katzir et al.
    2023 (section 7) expect to "lead to improved diversity", in its simplest form.
    """
    fresh = draw("noise").normal(*shape)
    if not correlation:
        return fresh
    return correlation**0.5 * draw.of_run("noise/run").normal(*shape) + (1 - correlation) ** 0.5 * fresh
