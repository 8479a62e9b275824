"""Pictures of true solids made as bad as those of half-formed radiance fields, a batch at a time.

All pictures are premultiplied RGBA [B, 4, H, W] in [0, 1]; every effect falls on its own share of the batch.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from src.streams import Stream

Rgba = Float[Tensor, "B 4 H W"]


def _share(u: Tensor, share: float) -> Tensor:
    return (u < share).float()[:, None, None, None]


def _column(u: Tensor) -> Tensor:
    return u[:, None, None, None]


def blurred(rgba: Rgba, sigma: Float[Tensor, "B"]) -> Rgba:
    """Gaussian blur, `sigma` in pixels, a picture each."""
    reach = 8
    offsets = torch.arange(-reach, reach + 1.0)
    kernel = torch.softmax(-(offsets**2) / (2 * sigma[:, None].clamp(min=0.05) ** 2), -1).repeat_interleave(
        4, 0
    )
    batch, channels, height, width = rgba.shape
    rows = F.pad(rgba.reshape(1, -1, height, width), (reach, reach, reach, reach))
    rows = F.conv2d(rows, kernel[:, None, None, :], groups=batch * channels)
    return F.conv2d(rows, kernel[:, None, :, None], groups=batch * channels).view_as(rgba)


def violent_color(rgba: Rgba, saturation: Float[Tensor, "B"], contrast: Float[Tensor, "B"]) -> Rgba:
    """Colours moved away from (or to) their own grey, then from the middle grey."""
    alpha = rgba[:, 3:]
    color = rgba[:, :3] / alpha.clamp(min=1e-3)
    grey = color.mean(1, keepdim=True)
    color = grey + (color - grey) * _column(saturation)
    color = (0.5 + (color - 0.5) * _column(contrast)).clamp(0, 1)
    return torch.cat([color * alpha, alpha], 1)


def mottled(rgba: Rgba, field: Float[Tensor, "B 1 h w"], strength: Float[Tensor, "B"]) -> Rgba:
    """Dark and bright patches where there should be one tone."""
    smooth = F.interpolate(field, rgba.shape[-2:], mode="bicubic", align_corners=False)
    alpha = rgba[:, 3:]
    color = torch.minimum(rgba[:, :3] * torch.exp(_column(strength) * smooth), alpha)
    return torch.cat([color, alpha], 1)


def with_floaters(rgba: Rgba, u: Float[Tensor, "B K 7"]) -> Rgba:
    """Soft spots in front of the object; place, radius, opacity and colour from uniform numbers."""
    height, width = rgba.shape[-2:]
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    for spot in u.unbind(1):
        cx, cy, size, dense = spot[:, :4, None, None].unbind(1)
        radius = 0.01 + 0.05 * size
        alpha = dense[:, None] * torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))[:, None]
        solid = torch.cat([spot[:, 4:], torch.ones(len(spot), 1)], 1)[:, :, None, None]
        rgba = rgba * (1 - alpha) + solid * alpha
    return rgba


def coarse(rgba: Rgba, side: int) -> Rgba:
    """Low resolution: `side` pixels, enlarged again."""
    small = F.interpolate(rgba, (side, side), mode="area")
    return F.interpolate(small, rgba.shape[-2:], mode="bilinear", align_corners=False)


def degrade(rgba: Rgba, draw: Stream) -> Rgba:
    """Blur, fog, mottle, violent or flat colour, thin density, floaters, coarse pixels, noise: some."""
    u = draw.uniform(len(rgba), 20)
    saturation = torch.where(u[:, 0] < 0.4, torch.exp(1.5 * u[:, 1] - 0.5), 1.0)
    contrast = torch.where(u[:, 0] < 0.4, torch.exp(1.3 * u[:, 2] - 0.4), 1.0)
    rgba = violent_color(rgba, saturation, contrast)
    cells = draw.normal(len(rgba), 1, 6, 6)
    rgba = mottled(rgba, cells, torch.where(u[:, 3] < 0.4, 0.5 * u[:, 4], 0.0))
    rgba = blurred(rgba, torch.where(u[:, 5] < 0.4, 0.5 + 2.0 * u[:, 6], 0.05))
    halo = blurred(rgba, 2 + 3 * u[:, 7]) * _column(0.15 + 0.6 * u[:, 8]) * _share(u[:, 9], 0.25)
    rgba = rgba + (1 - rgba[:, 3:]) * halo
    rgba = rgba * (1 - _share(u[:, 10], 0.3) * _column(0.6 * u[:, 11]))
    floaters = draw.uniform(len(rgba), 5, 7)
    floaters[:, :, 3] *= 0.8 * (u[:, 12:17] < 0.25)
    rgba = with_floaters(rgba, floaters)
    for side, low in ((16, 0.9), (24, 0.8)):
        chosen = (u[:, 17] >= low) & (u[:, 17] < low + 0.1)
        rgba = torch.where(_column(chosen), coarse(rgba, side), rgba)
    noise = draw.normal(*rgba[:, :3].shape) * _column(0.12 * u[:, 18]) * _share(u[:, 19], 0.3)
    color = (rgba[:, :3] + noise * rgba[:, 3:]).clamp(min=0)
    return torch.cat([torch.minimum(color, rgba[:, 3:]), rgba[:, 3:]], 1)


def jittered(rgba: Rgba, size: int, draw: Stream) -> Float[Tensor, "B 4 h w"]:
    """Mirrored or not, a little larger or (now and then much) smaller, off the middle, size x size pixels."""
    u = draw.uniform(len(rgba), 5)
    mirror = torch.where(u[:, 0] < 0.5, -1.0, 1.0)
    # Up to half the size: what a field of view of 70 degrees makes of an object that fills one of 45.
    zoom = torch.exp(torch.where(u[:, 4] < 0.25, 0.75 * u[:, 1], 0.24 * (u[:, 1] - 0.4)))
    theta = torch.zeros(len(rgba), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = mirror * zoom, zoom
    theta[:, :, 2] = 0.2 * (u[:, 2:4] - 0.5)
    grid = F.affine_grid(theta, [len(rgba), 4, size, size], align_corners=False)
    return F.grid_sample(rgba, grid, align_corners=False)


def before_any_background(rgba: Rgba, draw: Stream) -> Float[Tensor, "B 3 H W"]:
    """Composited over light grey, mostly; else any grey, one colour, or two that fade into each other."""
    u = draw.uniform(len(rgba), 8)
    fate = u[:, :1]
    first = torch.where(fate < 0.75, u[:, 1:2], u[:, 1:4])
    first = torch.where(fate < 0.6, 0.65 + 0.2 * u[:, 1:2], first)
    second = torch.where(fate < 0.85, first, u[:, 4:7])
    height, width = rgba.shape[-2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    angle = _column(2 * math.pi * u[:, 7])
    mix = torch.sigmoid(4 * (x * angle.cos() + y * angle.sin()))
    background = first[:, :, None, None] * (1 - mix) + second[:, :, None, None] * mix
    return rgba[:, :3] + (1 - rgba[:, 3:]) * background
