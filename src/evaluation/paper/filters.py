"""What takes pictures out of the prior's domain in figure 3: a Gaussian and a bilateral filter."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# In pixels of a picture of 128; others in proportion.
GAUSSIAN = 3.0
BILATERAL_PLACE, BILATERAL_COLOUR = 4.0, 0.25


def gaussian(images: Float[Tensor, "N 3 H W"], deviation: float) -> Float[Tensor, "N 3 H W"]:
    """Blur by a Gaussian of this many pixels; edges are repeated."""
    reach = max(1, round(3 * deviation))
    place = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    weights = (-(place**2) / (2 * deviation**2)).exp()
    weights = (weights / weights.sum()).view(1, 1, -1).expand(3, 1, -1)
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, weights[:, :, None, :], groups=3)
    return functional.conv2d(rows, weights[:, :, :, None], groups=3)


def bilateral(images: Float[Tensor, "N 3 H W"], place: float, colour: float) -> Float[Tensor, "N 3 H W"]:
    """Average over pixels that are near (a Gaussian of `place` pixels) and alike (of `colour`, RGB distance).

    Fine texture goes and strong edges stay (Tomasi and Manduchi 1998); edges of the picture are repeated.
    """
    reach = max(1, round(2 * place))
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    height, width = images.shape[-2:]
    total, weights = torch.zeros_like(images), torch.zeros_like(images[:, :1])
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            near = padded[..., reach + y : reach + y + height, reach + x : reach + x + width]
            apart = (near - images).square().sum(1, keepdim=True)
            weight = (-(x * x + y * y) / (2 * place**2) - apart / (2 * colour**2)).exp()
            total, weights = total + weight * near, weights + weight
    return total / weights
