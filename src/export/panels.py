"""What one view of a scene can show: colour, depth, normals and opacity, each as a picture.

Depth and opacity show what colour hides: a hole that is painted on, haze, a billboard.  Depth is bright where
near; normals are seen from the camera: red to the right, green up, blue towards it.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from src.config import RunConfig
from src.model import MeshModel, Model, Scene, look
from src.scene.cameras import Cameras
from src.scene.mesh_rendering import mesh_normals
from src.scene.rendering import Rendering, composite_weights

Frame = UInt8[np.ndarray, "height width channels"]  # RGB, or RGBA where something has no background

# Viridis, sampled: from far to near, readable in grey and by the colour-blind.
DEPTH_COLORS = torch.tensor(
    [
        [0.267, 0.005, 0.329],
        [0.283, 0.141, 0.458],
        [0.254, 0.265, 0.530],
        [0.207, 0.372, 0.553],
        [0.164, 0.471, 0.558],
        [0.128, 0.567, 0.551],
        [0.135, 0.659, 0.518],
        [0.267, 0.749, 0.441],
        [0.478, 0.821, 0.318],
        [0.741, 0.873, 0.150],
        [0.993, 0.906, 0.144],
    ]
)
NORMAL_STEP = 1 / 20  # of the radius: wide enough to see past the grain of a hash grid
NORMAL_BINS, NORMAL_LOOKS = 64, 6  # along a ray: to find where it ends, and where it does
RAYS = 2**12  # followed together
CLEAR = 0.05  # of opacities: what has no surface to speak of
LEGIBLE = 128  # pixels, below which a legend would hide the picture


def panels(
    cfg: RunConfig, model: Scene, camera: Cameras, show: list[str], backgrounds: list[str]
) -> list[Frame]:
    """The pictures named, as one camera sees them; colour once before every background.

    Where one background is transparent, all have an alpha channel, and colours are not multiplied by it.
    """
    seen = look(cfg, model, camera)
    distance, radius = float(camera.distance), cfg.field.radius
    found = []
    for name in show:
        if name == "rgb":
            found += [colored(seen, background) for background in backgrounds]
        elif name == "depth":
            found.append(with_legend(frame(color_depth(seen, distance, radius)), distance, radius))
        elif name == "normal":
            found.append(frame((0.5 + 0.5 * _normals(model, camera, seen.opacity)) * seen.opacity))
        else:
            found.append(frame(seen.opacity.expand(-1, 3, -1, -1)))
    if any(each.shape[-1] == 4 for each in found):
        found = [
            each if each.shape[-1] == 4 else np.pad(each, ((0, 0), (0, 0), (0, 1)), constant_values=255)
            for each in found
        ]
    return found


def colored(seen: Rendering, background: str) -> Frame:
    """Colour before a background of BACKGROUNDS."""
    if background == "white":
        return frame(seen.foreground + 1 - seen.opacity)
    if background == "env":
        return frame(seen.image)
    straight = (seen.foreground / seen.opacity.clamp(min=1e-6)).clamp(0, 1)
    return frame(torch.cat([straight, seen.opacity], 1))


def color_depth(view: Rendering, distance: float, radius: float) -> Float[Tensor, "batch 3 height width"]:
    """Colour the depth from the sphere's front (bright) to its back (dark), black where nothing is."""
    near = ((distance + radius - view.depth) / (2 * radius)).clamp(0, 1)[:, 0]
    position = near * (len(DEPTH_COLORS) - 1)
    lower = position.floor().long().clamp(max=len(DEPTH_COLORS) - 2)
    colors = DEPTH_COLORS.to(near.device)
    mixed = torch.lerp(colors[lower], colors[lower + 1], (position - lower)[..., None])
    return mixed.permute(0, 3, 1, 2) * view.opacity


@torch.no_grad()
def _normals(model: Scene, camera: Cameras, opacity: Tensor) -> Tensor:
    if isinstance(model, MeshModel):
        return mesh_normals(model.surface.mesh(), camera.to(opacity.device))
    return normals(model, camera, opacity)


@torch.no_grad()
def normals(
    model: Model, camera: Cameras, opacity: Float[Tensor, "1 1 height width"]
) -> Float[Tensor, "1 3 height width"]:
    """Unit normals of what rays end in, in the camera's axes (right, up, towards it); 0 where all is clear.

    They point down the gradient of the density, taken by central differences (the hash grid's own backward
    pass knows no positions) and averaged over equal shares of where the ray ends, as colours are: at the
    mean depth of a soft object the density hardly changes.
    """
    device, radius = opacity.device, model.field.radius
    distance, axes = camera.distance.to(device), camera.poses()[0, :, :3].to(device)
    length = 2 * radius / NORMAL_BINS
    bins = distance - radius + (torch.arange(NORMAL_BINS, device=device) + 0.5) * length
    shares = (torch.arange(NORMAL_LOOKS, device=device) + 0.5) / NORMAL_LOOKS
    offsets = NORMAL_STEP * radius * torch.cat([torch.eye(3), -torch.eye(3)]).to(device)
    there = opacity[:, 0] > CLEAR
    origins, directions = (each.to(device)[there] for each in camera.rays())
    found = []
    for origin, direction in zip(origins.split(RAYS), directions.split(RAYS), strict=True):
        points = origin[:, None] + direction[:, None] * bins[:, None]
        density = _density(model, points)
        ended = composite_weights(density, torch.full_like(density, length)).cumsum(1)
        chosen = torch.searchsorted(ended, ended[:, -1:] * shares).clamp(max=NORMAL_BINS - 1)
        ends = points.gather(1, chosen[..., None].expand(-1, -1, 3))
        after, before = _density(model, ends[:, :, None] + offsets).sum(1).chunk(2, 1)
        found.append(functional.normalize(before - after, dim=-1) @ axes)
    picture = torch.zeros(*there.shape, 3, device=device)
    picture[there] = torch.cat(found) if found else picture[there]
    return picture.permute(0, 3, 1, 2)


def _density(model: Model, points: Float[Tensor, "*places 3"]) -> Float[Tensor, "*places"]:
    """Density in the sphere that the renderer looks at, nothing outside."""
    radius = model.field.radius
    inside = points.norm(dim=-1) <= radius
    return model.field.density(points.view(-1, 3)).view(inside.shape) * inside


def with_legend(depth: Frame, distance: float, radius: float) -> Frame:
    """The scale beside a picture of depth, in world units from the camera; small pictures have no room."""
    size = len(depth)
    if size < LEGIBLE:
        return depth
    picture = Image.fromarray(depth)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(max(10, size // 28))
    height, width, margin = size // 3, size // 40, size // 32
    rows = torch.linspace(len(DEPTH_COLORS) - 1, 0, height).round().long()  # near above
    bar = (DEPTH_COLORS[rows] * 255).round().to(torch.uint8)[:, None].expand(-1, width, -1)
    left, top = picture.width - margin - width, size - margin - height
    picture.paste(Image.fromarray(bar.contiguous().numpy()), (left, top))
    for y, number, anchor in ((top, distance - radius, "ra"), (top + height, distance + radius, "rd")):
        pen.text((left - margin // 3, y), f"{number:.2f}", (200, 200, 200), font, anchor=anchor)
    return np.asarray(picture)


def frame(image: Float[Tensor, "1 channels height width"]) -> Frame:
    """A picture in 8 bits."""
    return (image[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
