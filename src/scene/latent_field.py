"""Fields that render what the prior calls latents, and the map that shows them as colours.

Latent-NeRF (Metzer et al. 2022): a latent-diffusion prior's gradient is for latents, so a field may hold
these and leave the encoder out; its picture is the prior's input.  Latents are nearly linear in colours: with
a small matrix the same field can be shown, or trained further, in RGB.  N points, C channels.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from src.scene.background import Background, BackgroundConfig, Solid, spherical_harmonics
from src.scene.field import Field, FieldConfig, dense_layer
from src.streams import Stream, Streams

RIDGE = 1e-3  # of the latents' mean variance


class ColorMap(nn.Module):
    """rgb = (z A + b + 1) / 2, with a matrix A that is trained along with the field.

    Latent-NeRF has no b, and one A for Stable Diffusion; here both are fitted to the prior, whose latents
    need not be centred.  b stays.  Not cut off at 0 and 1, where a colour would have no gradient back.
    """

    offset: Float[Tensor, "3"]

    def __init__(self, matrix: Float[Tensor, "C 3"], offset: Float[Tensor, "3"] | None = None) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix.clone())
        self.register_buffer("offset", torch.zeros(3) if offset is None else offset.clone())

    def forward(self, latents: Float[Tensor, "N C"]) -> Float[Tensor, "N 3"]:
        """Colours of latents."""
        return 0.5 * (latents @ self.matrix + self.offset + 1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        state_dict.setdefault(f"{prefix}offset", torch.zeros(3))  # runs from before there was one
        super()._load_from_state_dict(state_dict, prefix, *others)


class LatentField(Field):
    """A field whose colours are latents: as many channels as the prior's, of any value; and their colours."""

    def __init__(self, cfg: FieldConfig, channels: int, streams: Streams) -> None:
        super().__init__(cfg, streams)
        self.color_out = dense_layer(channels, cfg.hidden, "color_out", streams)
        self.colors = ColorMap(torch.zeros(channels, 3))

    def forward(self, points: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, " N"], Float[Tensor, "N C"]]:
        """Density and latents."""
        encoded = self._encode(points)
        density = self._density(self._head(encoded, self.density_hidden, self.density_out), points)
        return density, self.cfg.color_gain * self._head(encoded, self.color_hidden, self.color_out)


class LatentBackground(Background):
    """An environment map of latents; a solid colour has no meaning here, so none is drawn."""

    def __init__(self, cfg: BackgroundConfig, channels: int, streams: Streams) -> None:
        super().__init__(cfg, streams)
        self.out = dense_layer(channels, cfg.hidden, "background_out", streams)

    def draw(self, batch: int, stream: Stream | None) -> Solid | None:
        """Nothing."""
        return None

    def forward(self, directions: Float[Tensor, "N 3"]) -> Float[Tensor, "N C"]:
        """The map's latents in unit directions."""
        hidden = functional.linear(spherical_harmonics(directions), self.first).relu()
        hidden = functional.linear(hidden, self.second).relu()
        return functional.linear(hidden, self.out)


class ColoredField(Field):
    """A latent field seen through its colour map, point by point: for the eye, and for training in RGB."""

    def __init__(self, latent: LatentField) -> None:
        nn.Module.__init__(self)  # it has nothing of its own
        self.cfg, self.latent = latent.cfg, latent

    def density(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
        """The field's."""
        return self.latent.density(points)

    def forward(self, points: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, " N"], Float[Tensor, "N 3"]]:
        """Density and colours."""
        density, latents = self.latent(points)
        return density, self.latent.colors(latents)


class ColoredBackground(Background):
    """A background of latents seen through a field's colour map."""

    def __init__(self, latent: LatentBackground, colors: ColorMap) -> None:
        nn.Module.__init__(self)
        self.cfg, self.latent, self.colors, self.out = latent.cfg, latent, colors, latent.out

    def forward(self, directions: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
        """The map's colours in unit directions."""
        return self.colors(self.latent(directions))


@torch.no_grad()
def fit_colors(
    latents: Float[Tensor, "N C"], colors: Float[Tensor, "N 3"]
) -> tuple[Float[Tensor, "C 3"], Float[Tensor, "3"]]:
    """The matrix and offset of a colour map that make colours in [0, 1] of latents best, by ridge regression.

    Of a prior's encodings of any pictures, and these shrunk to the latents' size.
    """
    z, rgb = latents.double(), 2 * colors.double() - 1
    centred = z - z.mean(0)
    spread = centred.T @ centred / len(z)
    ridge = (
        RIDGE * spread.diagonal().mean() * torch.eye(len(spread), dtype=spread.dtype, device=spread.device)
    )
    matrix = torch.linalg.solve(spread + ridge, centred.T @ rgb / len(z))
    return matrix.to(latents.dtype), (rgb.mean(0) - z.mean(0) @ matrix).to(latents.dtype)
