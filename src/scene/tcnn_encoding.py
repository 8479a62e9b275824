"""tiny-cuda-nn (Mueller 2021) in the place of our hash encoding; CUDA, float32.

Never run by us: the one GPU that we have had was without it.

The table stays ours, so that checkpoints and optimisers see no difference: each call lays it out as
tiny-cuda-nn wants it, and the gradient comes back through that.  What differs is said in tcnn_layout.py, and
scales are float32 throughout: at 4096 vertices an edge, a point's place in its cell is known to 0.002.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from src.scene.levels import HashGridConfig
from src.scene.tcnn_layout import encoding_config, to_parameters


class TcnnEncoding:
    """Not a module: nothing of it belongs in a checkpoint.  Raises UserError for a grid it cannot compute."""

    def __init__(self, cfg: HashGridConfig) -> None:
        self._cfg, self._settings = cfg, encoding_config(cfg)
        self._encoding: Any = None

    def __call__(
        self, points: Float[Tensor, "n 3"], table: Float[Tensor, "rows features"]
    ) -> Float[Tensor, "n outputs"]:
        """What `HashGrid` computes; raises ImportError or OSError where tiny-cuda-nn cannot be loaded."""
        parameters = to_parameters(table, self._cfg)
        if not len(points):  # tiny-cuda-nn would hand back a gradient that it never filled
            return parameters[:0].view(0, self._cfg.levels * self._cfg.features)
        if self._encoding is None:
            import tinycudann  # raises without a GPU, so it cannot come first

            with torch.cuda.device_of(table):
                self._encoding = tinycudann.Encoding(3, self._settings, dtype=torch.float32)
            self._encoding.params.data = table.new_empty(0)  # its own, never read
        return functional_call(self._encoding, {"params": parameters}, (points.detach(),))
