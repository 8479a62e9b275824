"""Objects as the measures see them, known in every figure: true solids, and densities by a formula."""

from collections.abc import Callable

import torch
from torch import Tensor

from src.config import VideoConfig
from src.evaluation.solids import Pose, instance, ranges
from src.evaluation.views import Views, around

# Half as wide as the measures' own pictures, which makes tracing four times as cheap.
CAMERA = around(VideoConfig(distance=1.45, fov_degrees=45.0), 48)


def bare(kind: str, seed: int = 0, pose: Pose | None = None, base: str = "") -> Views:
    """A true solid without colour."""
    hit, along = ranges(instance(kind, seed, base), CAMERA, pose)
    opacity = hit.float()
    return Views(CAMERA, opacity.expand(-1, 3, -1, -1), opacity, along)


def volume(density: Callable[[Tensor], Tensor], color: Callable[[Tensor], Tensor] | None = None) -> Views:
    """What 64 samples a ray, within 0.6 of the middle, show of a density (1 / world unit) at points."""
    step = 1.2 / 64
    along = CAMERA.distance[0] - 0.6 + step * (torch.arange(64) + 0.5)
    maps = []
    for origin, direction in zip(*CAMERA.rays(), strict=True):
        points = (origin[..., None, :] + direction[..., None, :] * along[:, None]).view(-1, 3)
        depth = density(points).view(48, 48, 64) * step
        weight = (-(depth.cumsum(-1) - depth)).exp() * -torch.expm1(-depth)
        paint = (torch.full_like(points, 0.5) if color is None else color(points)).view(48, 48, 64, 3)
        opacity = weight.sum(-1)
        mean = (weight * along).sum(-1) / opacity.clamp(min=1e-6)
        rgb = (weight[..., None] * paint).sum(-2)
        maps.append(torch.cat([rgb, opacity[..., None], mean[..., None]], -1).permute(2, 0, 1))
    return Views(CAMERA, *torch.stack(maps).split([3, 1, 1], 1))


def ball(points: Tensor, radius: float, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Tensor:
    """Whether points lie in a ball."""
    return (points - points.new_tensor(center)).norm(dim=-1) < radius


EMPTY = volume(lambda p: 0 * p[:, 0])
FOG = volume(lambda p: 4 * (-0.5 * (p.norm(dim=-1) / 0.25).square()).exp())
# Turned by 7.5 degrees, so that no camera sees it edge-on.
SHEET = volume(lambda p: 200.0 * ((p[:, 0] + 0.131 * p[:, 1]).abs() < 0.03) * ball(p, 0.4))
SPECKS = [(0.35, 0.2, 0.3), (-0.3, 0.25, -0.1), (0.0, -0.4, 0.2), (-0.35, -0.2, 0.35)]
FLOATERS = volume(lambda p: 200.0 * sum([ball(p, 0.06, at) for at in SPECKS], ball(p, 0.25)).clamp(max=1))
SOLID_BALL = volume(lambda p: 200.0 * ball(p, 0.4), lambda p: 0.5 + 0.4 * (8 * p).sin())
