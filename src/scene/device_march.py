"""Marching and compositing on an accelerator in plain torch: few calls, hardly any of which one waits for.

All bins of a block of rays are looked up together: skipping the empty ones would make the host wait for their
number.  What a step keeps of its one march is a whole number per survivor; samples are made from it again.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from src.scene.march import WORTH_HIDING, Chunk, March, Samples, clip_to_sphere

# Bins looked at together, some 60 bytes each.
CANDIDATES = 2**24
OPAQUE = 200.0  # optical depth: exp(-200) is 0 in float32


class Lines(NamedTuple):
    """Every ray in numbers: where it enters and leaves the sphere, where in a bin samples are, and a line."""

    near: Float[Tensor, "rays 1"]
    far: Float[Tensor, "rays 1"]
    part: Float[Tensor, "rays 1"]
    origin: Float[Tensor, "rays 3"]
    direction: Float[Tensor, "rays 3"]

    def some(self, rays: slice) -> "Lines":
        """The lines of consecutive rays."""
        return Lines(*(numbers[rays] for numbers in self))

    def of(self, ray: Int[Tensor, " n"]) -> "Lines":
        """The lines of these rays, in one call."""
        return Lines(*torch.cat(self, 1).index_select(0, ray).split([1, 1, 1, 3, 3], 1))


class DeviceMarch(March):
    """Our march, with the same samples."""

    @torch.no_grad()
    def plan(self, density: Callable[[Tensor], Tensor], early_stop: float, chunk_samples: int) -> list[Chunk]:
        """Chunks of rays and their samples; where `early_stop` > 0, only samples in front of which that much
        light is left, if that spares more than it costs.
        """
        lines, rays = self._lines(), len(self.directions)
        most = max(1, CANDIDATES // self.bins)
        blocks = [slice(start, min(start + most, rays)) for start in range(0, rays, most)]
        found: dict[int, tuple[Tensor, Tensor]] = {}
        hiding = early_stop > 0
        for number in sorted(range(len(blocks)), key=lambda number: abs(number - len(blocks) // 2)):
            block = blocks[number]
            alive = self._alive(lines.some(block))
            flat, counts = alive.view(-1).nonzero()[:, 0], alive.sum(1)
            flat += block.start * self.bins
            if hiding and len(flat):
                kept = self._in_sight(lines, flat, counts, density, early_stop, chunk_samples)
                seen = flat[kept]
                # The middle of the pictures comes first, and tells whether enough is hidden in the others.
                hiding = len(flat) - len(seen) >= WORTH_HIDING * len(flat)
                flat = seen
                counts = torch.zeros_like(counts).index_add_(
                    0, flat // self.bins - block.start, torch.ones_like(flat)
                )
            found[number] = flat, counts
        flat, counts = (torch.cat([found[n][which] for n in range(len(blocks))]) for which in (0, 1))
        flat = flat.to(torch.int32) if rays * self.bins < 2**31 else flat
        return [
            Chunk(slice(*ray), partial(self._samples, lines, flat[slice(*sample)], ray[0]))
            for ray, sample in cut(counts.cpu().numpy(), chunk_samples)
        ]

    def _lines(self) -> Lines:
        origins = self.origins.repeat_interleave(self.pixels, 0, output_size=len(self.directions))
        near, far = clip_to_sphere(origins, self.directions, self.radius)
        part = torch.full_like(near, 0.5) if self.jitter is None else self.jitter
        return Lines(near[:, None], far[:, None], part[:, None], origins, self.directions)

    def _bins(self, lines: Lines, number: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Start and length of bins, and the points of their samples."""
        step = 2 * self.radius / self.bins
        start = lines.near + step * number
        length = (lines.far - start).clamp_(0, step)
        distance = torch.addcmul(start, length, lines.part)
        line = lines.origin.view(-1, 1, 3), distance[..., None], lines.direction.view(-1, 1, 3)
        return start, length, torch.addcmul(*line)

    def _alive(self, lines: Lines) -> Bool[Tensor, "rays bins"]:
        """Which bins survive."""
        number = torch.arange(self.bins, device=lines.near.device, dtype=lines.near.dtype)
        _, length, points = self._bins(lines, number)
        return self.occupancy.occupied_points(points).logical_and_(length > 0)

    def _samples(self, lines: Lines, flat: Int[Tensor, " n"], first_ray: int) -> Samples:
        """The samples of survivors, given as ray * bins + bin."""
        ray = flat // self.bins
        mine = lines.of(ray)
        number = (flat - ray * self.bins).to(mine.near.dtype)[:, None]
        start, length, points = self._bins(mine, number)
        return Samples(ray - first_ray, (start + 0.5 * length)[:, 0], length[:, 0], points[:, 0])

    def _in_sight(
        self,
        lines: Lines,
        flat: Int[Tensor, " n"],
        counts: Int[Tensor, " rays"],
        density: Callable[[Tensor], Tensor],
        transmittance: float,
        chunk_samples: int,
    ) -> Bool[Tensor, " n"]:
        """Whether at least that much light comes through to each sample of these whole rays."""
        optical_depth = []
        for piece in flat.split(chunk_samples):
            samples = self._samples(lines, piece, 0)
            optical_depth.append(density(samples.points) * samples.length)
        depth = torch.cat(optical_depth)
        return depth_before(depth, counts) < -math.log(transmittance)


def depth_before(depth: Float[Tensor, " n"], counts: Int[Tensor, " rays"]) -> Float[Tensor, " n"]:
    """The sum of what stands before each number of its row, for rows of `counts` numbers each.

    They are differences of one running sum over all rows, in float64, which a single huge number would
    swallow: so each counts as OPAQUE at most.
    """
    if not len(depth):
        return depth
    bounded = depth.double().clamp(max=OPAQUE)
    before = bounded.cumsum(0) - bounded
    first = counts.cumsum(0) - counts
    # Empty rows at the end would look beyond it.
    base = before.index_select(0, first.clamp_(max=len(depth) - 1))
    return (before - base.repeat_interleave(counts, output_size=len(depth))).to(depth.dtype)


def cut(
    counts: Int[np.ndarray, " rays"], chunk_samples: int
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Consecutive ranges of rays, and of their samples, with at most `chunk_samples` samples (or one ray)."""
    total, ranges, start, done = counts.cumsum(), [], 0, 0
    while start < len(counts):
        stop = int(np.searchsorted(total, done + chunk_samples, side="right"))
        stop = max(stop, start + 1)
        ranges.append(((start, stop), (done, int(total[stop - 1]))))
        start, done = stop, int(total[stop - 1])
    return ranges


def composite(
    samples: Samples, density: Tensor, color: Tensor, rays: int, far_plane: Float[Tensor, " rays"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Foreground [rays, 3], opacity, depth and z-variance [rays] of packed samples."""
    depth = density * samples.length
    counts = torch.zeros(rays, dtype=torch.int64, device=depth.device)
    counts.index_add_(0, samples.ray, torch.ones_like(samples.ray, dtype=torch.int64))
    weights = (-depth_before(depth, counts)).exp() * -torch.expm1(-depth)
    values = torch.cat([color, samples.middle[:, None]], 1)
    seen = color.new_zeros(rays, 4).index_add(0, samples.ray, weights[:, None] * values)
    foreground, first_moment = seen.split([3, 1], 1)
    opacity = -torch.expm1(-depth.new_zeros(rays).index_add(0, samples.ray, depth))
    safe, first = opacity.clamp(min=1e-6), first_moment[:, 0]
    apart = samples.middle - (first / safe).index_select(0, samples.ray)
    spread = depth.new_zeros(rays).index_add(0, samples.ray, weights * apart.square()) / safe
    return foreground, opacity, first + (1 - opacity) * far_plane, spread
