"""Volume rendering with memory bounded by one chunk of rays, whatever the resolution.

Rays, bins and which of their samples survive: src/scene/march.py.  Only survivors cost anything.  P = batch *
height * width rays, N surviving samples of a chunk, listed ray after ray.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from src.errors import UserError
from src.scene import device_march
from src.scene.background import Background
from src.scene.cameras import Cameras
from src.scene.device_march import DeviceMarch
from src.scene.march import Chunk, March, Samples
from src.scene.occupancy import OccupancyGrid
from src.streams import Streams

BEHIND = 65_536  # rays whose background is computed together, 250 bytes each


class RenderBackend(StrEnum):
    """What marches along rays and adds up samples."""

    auto = "auto"  # nerfacc where a run on CUDA finds it working when it starts; torch everywhere else
    torch = "torch"
    nerfacc = "nerfacc"


@dataclass
class RenderConfig:
    """Bins along the sphere's diameter; survivors evaluated together, which trades memory for speed alone;
    and the transmittance below which a ray is not followed any further (0: to its end).
    """

    samples_per_ray: int = 512
    chunk_samples: int = 131_072
    backend: RenderBackend = RenderBackend.auto
    early_stop: float = 0.0

    def __post_init__(self) -> None:
        for name in ("samples_per_ray", "chunk_samples"):
            if getattr(self, name) < 1:
                raise UserError(f"render.{name}={getattr(self, name)} must be at least 1.")
        if not 0 <= self.early_stop < 1:
            raise UserError(f"render.early_stop={self.early_stop} must lie in [0, 1).")

    def step_length(self, radius: float) -> float:
        """Length of a bin in world units, in a sphere of this radius."""
        return 2 * radius / self.samples_per_ray


@runtime_checkable
class Volume(Protocol):
    """What the renderer needs from a field."""

    @property
    def radius(self) -> float: ...

    def __call__(self, points: Tensor, /) -> tuple[Tensor, Tensor]: ...

    def density(self, points: Tensor, /) -> Tensor: ...


@runtime_checkable
class Shader(Protocol):
    """What light does to samples (src/scene/shading.py): their colours, and how far they look away."""

    def __call__(
        self, points: Tensor, density: Tensor, color: Tensor, view: Tensor, directions: Tensor, /
    ) -> tuple[Tensor, Tensor]: ...


class Rendering(NamedTuple):
    """Per-ray maps; distances are in world units along the ray from the camera.

    Colours have as many channels as the field and the background give them: three, in [0, 1], or a latent's.
    """

    image: Float[Tensor, "batch channels height width"]
    opacity: Float[Tensor, "batch 1 height width"]
    depth: Float[Tensor, "batch 1 height width"]  # expected; what passes through ends behind the sphere
    z_variance: Float[Tensor, "batch 1 height width"]  # of the distance, given an end in the object
    foreground: Float[Tensor, "batch channels height width"]  # times opacity, before the background is added
    turned_away: Float[Tensor, "batch 1 height width"]  # how far what is seen looks away; 0 without a shader

    def detach(self) -> "Rendering":
        """The same maps without their graph."""
        return Rendering(*(map_.detach() for map_ in self))


def composite_weights(density: Float[Tensor, "rays bins"], length: Float[Tensor, "rays bins"]) -> Tensor:
    """Share of each bin in its ray's colour, exp(-sum_{j<i} s_j l_j) (1 - exp(-s_i l_i)), shape [rays, bins].

    Exact for a density constant within bins (Max 1995, "Optical models for direct volume rendering").  The
    shares and the transmittance exp(-sum s l) add up to one.
    """
    return _weights(density * length)


def _weights(optical_depth: Float[Tensor, "rays bins"]) -> Float[Tensor, "rays bins"]:
    through = optical_depth.cumsum(1)
    # Shifted rather than cumsum minus itself, which is not a number once the depth overflows.
    before = torch.cat([torch.zeros_like(through[:, :1]), through[:, :-1]], 1)
    return (-before).exp() * -torch.expm1(-optical_depth)


def composite(
    samples: Samples, density: Tensor, color: Tensor, rays: int, far_plane: Float[Tensor, " rays"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Foreground [rays, channels], opacity, depth and z-variance [rays] of packed samples."""
    # Survivors of a ray are moved up to the front of a row as long as the longest ray: sums within rows,
    # unlike differences of one running sum over all rays, do not depend on what else is in the chunk.
    counts = torch.bincount(samples.ray, minlength=rays)
    longest = int(counts.max()) if rays else 0
    slot = torch.arange(len(samples.ray), device=counts.device) + (
        torch.arange(rays, device=counts.device) * longest - counts.cumsum(0) + counts
    ).index_select(0, samples.ray)
    blank = density.new_zeros(rays * longest)
    optical_depth = blank.index_copy(0, slot, density * samples.length).view(rays, longest)
    middle = blank.index_copy(0, slot, samples.middle).view(rays, longest)
    weights = _weights(optical_depth)
    opacity = -torch.expm1(-optical_depth.sum(1))
    of_sample = weights.view(-1).index_select(0, slot)
    foreground = color.new_zeros(rays, color.shape[1]).index_add(0, samples.ray, of_sample[:, None] * color)
    first_moment = (weights * middle).sum(1)
    safe = opacity.clamp(min=1e-6)
    spread = (weights * (middle - (first_moment / safe)[:, None]).square()).sum(1) / safe
    return foreground, opacity, first_moment + (1 - opacity) * far_plane, spread


def _kernels(
    backend: RenderBackend, device: torch.device
) -> tuple[type[March], Callable[..., tuple[Tensor, ...]]]:
    """What marches and what composites."""
    if backend is not RenderBackend.nerfacc:
        on_processor = device.type == "cpu"
        return (March, composite) if on_processor else (DeviceMarch, device_march.composite)
    from src.scene import nerfacc_march  # its march is one of ours, so it cannot come first

    return nerfacc_march.NerfaccMarch, nerfacc_march.composite


def render(
    field: Volume,
    background: Background,
    occupancy: OccupancyGrid,
    camera: Cameras,
    cfg: RenderConfig,
    draw: Streams | None,
    shader: Shader | None = None,
) -> Rendering:
    """Picture of the field in front of the background from each camera; `draw` None is evaluation.

    Training draws "jitter" (where in their bins a ray's samples are taken) and "background" (solid colours)
    before anything is chunked, so neither chunking nor recomputation changes a number.  Evaluation samples
    the middle of each bin and always shows the map.  Chunks are evaluated again during backward (Chen et al.
    2016, "Training deep nets with sublinear memory cost"); a single chunk is kept.  Nothing here may change
    until backward is through.
    """
    device = occupancy.bits.device
    batch, pixels = len(camera.azimuth), camera.height * camera.width
    camera = camera.to(device)
    origins, directions = camera.poses()[:, :, 3], camera.rays().directions.reshape(-1, 3)
    jitter = None if draw is None else draw("jitter").uniform(batch, pixels).view(-1).to(directions)
    solid = background.draw(batch, None if draw is None else draw("background"))
    march_of, add_up = _kernels(cfg.backend, device)
    march = march_of(origins, directions, jitter, pixels, field.radius, cfg.samples_per_ray, occupancy)
    far_plane = camera.distance + field.radius

    def shade(chunk: Chunk) -> tuple[Tensor, ...]:
        samples = chunk.samples()
        density, color = field(samples.points)
        view = march.view(chunk.rays)
        if shader is not None:
            of_sample = view.index_select(0, samples.ray), directions[chunk.rays].index_select(0, samples.ray)
            color, away_of_sample = shader(samples.points, density, color, *of_sample)
        far = far_plane.index_select(0, view)
        found = add_up(samples, density, color, len(view), far)
        if shader is None:
            return found
        # It is for the normals to turn, not for the density to go (Poole et al. 2022).
        away = add_up(samples, density.detach(), away_of_sample[:, None], len(view), far)[0][:, 0]
        return (*found, away)

    def show_behind(rays: slice) -> tuple[Tensor, ...]:
        behind = background(directions[rays])
        if solid is not None:
            view = march.view(rays)
            chosen, color = (numbers.index_select(0, view) for numbers in solid)
            behind = torch.where(chosen[:, None], color, behind)
        return (behind,)

    chunks = march.plan(field.density, cfg.early_stop, cfg.chunk_samples)
    foreground, opacity, depth, spread, *away = _joined(shade, chunks)
    pieces = [slice(start, start + BEHIND) for start in range(0, batch * pixels, BEHIND)]
    (behind,) = _joined(show_behind, [slice(p.start, min(p.stop, batch * pixels)) for p in pieces])
    image = foreground + behind * (1 - opacity[:, None])
    shape = (batch, camera.height, camera.width, -1)
    maps = (image, opacity, depth, spread, foreground, *(away or [torch.zeros_like(opacity)]))
    return Rendering(*(map_.view(shape).permute(0, 3, 1, 2) for map_ in maps))


def _joined(work: Callable[[Any], tuple[Tensor, ...]], pieces: Sequence[Any]) -> tuple[Tensor, ...]:
    """What `work` makes of all pieces, one after the other; several are computed again during backward."""
    if len(pieces) == 1:
        return work(pieces[0])
    if torch.is_grad_enabled():
        work = partial(checkpoint, work, use_reentrant=False, preserve_rng_state=False)
    maps = [list(map_) for map_ in zip(*(work(piece) for piece in pieces), strict=True)]
    joined = []
    while maps:  # each map's pieces are freed as soon as they are joined
        joined.append(torch.cat(maps.pop(0)))
    return tuple(joined)
