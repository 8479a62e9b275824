"""What a surface looks like, asked for at its points: colours, or a physical material's numbers.

A hash grid and a small head, as a NeRF's colour is.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from src.scene.field import FieldConfig, dense_layer
from src.scene.hash_grid import HashGrid
from src.streams import Streams


class TextureField(nn.Module):
    """`channels` numbers in [0, 1] at every point of the cube of half-size `cfg.radius` (world units).

    Of the configuration it uses radius, hidden, color_gain and hash_grid.
    """

    def __init__(self, cfg: FieldConfig, channels: int, streams: Streams) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoding = HashGrid(cfg.hash_grid, streams)
        self.color_hidden = dense_layer(cfg.hidden, self.encoding.output_size, "color_hidden", streams)
        self.color_out = dense_layer(channels, cfg.hidden, "color_out", streams)

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n channels"]:
        """The numbers at these points; no gradient flows to where they are."""
        encoded = self.encoding(points.detach() / (2 * self.cfg.radius) + 0.5)
        hidden = functional.linear(encoded, self.color_hidden).relu()
        return (self.cfg.color_gain * functional.linear(hidden, self.color_out)).sigmoid()
