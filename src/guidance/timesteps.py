"""Which noise level each view of a step is judged at."""

import torch
from jaxtyping import Int
from torch import Tensor

from src.streams import Stream


def sample_timesteps(t_min: int, t_max: int, batch: int, stream: Stream) -> Int[Tensor, "B"]:
    """Draw one integer timestep per view, uniform on t_min, ..., t_max with both ends included."""
    return t_min + (stream.uniform(batch) * (t_max - t_min + 1)).to(torch.int64)
