"""Rays cut into bins, and which of the bins are worth evaluating.

A ray is o + t d with unit d, cut where it enters and leaves the sphere that the object lives in.  Bins of
equal length line it from the entry on, the last one shortened by the exit; a sample stands for its bin and is
taken at one point of it, the same fraction of every bin of a ray.  Only samples in occupied cells, and where
wanted only those that can be seen, survive.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from src.scene.occupancy import OccupancyGrid

LOOK_AHEAD = 16  # survivors of a ray whose density is asked for before it is decided whether the ray goes on
WORTH_HIDING = 0.25  # share of samples that must be out of sight before looking for them pays
# Bins looked at together, occupied or not: some 50 bytes each, far less than a survivor costs
CANDIDATES = 2**22


class Samples(NamedTuple):
    """Surviving samples of a set of rays, ray by ray."""

    ray: Int[Tensor, " n"]
    middle: Float[Tensor, " n"]  # of the bin, as a distance from the camera
    length: Float[Tensor, " n"]  # of the bin
    points: Float[Tensor, "n 3"]


class Chunk(NamedTuple):
    """Rays that are rendered together, and what makes their samples, any number of times."""

    rays: slice
    samples: Callable[[], Samples]


def clip_to_sphere(
    origins: Float[Tensor, "rays 3"], directions: Float[Tensor, "rays 3"], radius: float
) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
    """Distances at which rays enter and leave the sphere around the origin; equal where they miss it.

    A camera inside the sphere enters at 0.
    """
    closest = -(origins * directions).sum(-1)
    half_chord = (radius**2 - (origins + closest[:, None] * directions).square().sum(-1)).clamp(min=0).sqrt()
    near = (closest - half_chord).clamp(min=0)
    return near, torch.maximum(closest + half_chord, near)


class March(NamedTuple):
    """Rays cut into bins: a few numbers per ray; what is made per bin is dropped after each call."""

    origins: Float[Tensor, "batch 3"]
    directions: Float[Tensor, "rays 3"]
    jitter: Float[Tensor, " rays"] | None  # where in its bin each sample is taken; None is the middle
    pixels: int  # rays per view
    radius: float
    bins: int
    occupancy: OccupancyGrid
    reach: Float[Tensor, " rays"] | None = None  # bins that start further from the camera are left out

    @property
    def short(self) -> bool:
        """Whether all bins may be looked at together."""
        return len(self.directions) * self.bins <= CANDIDATES

    def plan(self, density: Callable[[Tensor], Tensor], early_stop: float, chunk_samples: int) -> list[Chunk]:
        """All rays in chunks of at most `chunk_samples` survivors (or one ray).

        Where `early_stop` > 0, rays end where less light than that is left, if that pays.
        """
        march = in_sight(self, density, early_stop, chunk_samples) if early_stop > 0 else self
        # Few enough bins to march through once, instead of counting survivors first.
        if march.short:
            everything = slice(0, len(march.directions))
            samples = march.survivors(everything)
            if len(samples.ray) <= chunk_samples:
                return [Chunk(everything, lambda: samples)]
        return [Chunk(rays, partial(march.survivors, rays)) for rays in march.chunks(chunk_samples)]

    def view(self, rays: slice) -> Int[Tensor, " rays"]:
        """Which view each ray belongs to."""
        return torch.arange(rays.start, rays.stop, device=self.directions.device) // self.pixels

    def survivors(self, rays: slice) -> Samples:
        """The samples that survive on these rays."""
        origins, directions = self.origins[self.view(rays)], self.directions[rays]
        near, far = clip_to_sphere(origins, directions, self.radius)
        part = torch.full_like(near, 0.5) if self.jitter is None else self.jitter[rays]
        reach = torch.full_like(near, math.inf) if self.reach is None else self.reach[rays]
        of_ray = torch.stack([near, far, reach, part, *origins.unbind(-1), *directions.unbind(-1)])
        stride = self.bins // self.occupancy.cfg.resolution
        if stride < 2:  # bins are too long, beside cells, for skipping to pay
            number = torch.arange(self.bins, device=near.device)
            alive, of_bin = self._look_up(of_ray[..., None], number)
            flat = alive.view(-1).nonzero()[:, 0]
            ray = flat // self.bins
        else:
            ray, number = self._blocks(of_ray, stride)
            alive, of_bin = self._look_up(of_ray.index_select(1, ray), number)
            flat = alive.logical_and_(number < self.bins).nonzero()[:, 0]  # the last block may be too long
            ray = ray.index_select(0, flat)
        start, length, x, y, z = (numbers.view(-1).index_select(0, flat) for numbers in of_bin)
        return Samples(ray, start + 0.5 * length, length, torch.stack([x, y, z], -1))

    def _look_up(self, of_ray: Tensor, number: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Which bins survive; and of every bin its start, its length, and its sample's x, y and z."""
        near, far, reach, part, *line = of_ray.unbind(0)
        step = 2 * self.radius / self.bins
        start = near + step * number.to(near.dtype)
        length = (far - start).clamp_(0, step)
        distance = torch.addcmul(start, length, part)
        x, y, z = (torch.addcmul(line[axis], distance, line[axis + 3]) for axis in range(3))
        alive = self.occupancy.occupied_axes(x, y, z).logical_and_(length > 0).logical_and_(start < reach)
        return alive, [start, length, x, y, z]

    def _blocks(self, of_ray: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Ray and number of all bins in those blocks of `stride` bins that may hold a survivor.

        No bin of a block is further than a cell from the block's middle, along any axis: where neither the
        middle's cell nor a neighbour of it is occupied, nothing in the block is.
        """
        near, far, reach, _, *line = (numbers[:, None] for numbers in of_ray)
        step = 2 * self.radius / self.bins
        blocks = torch.arange(-(-self.bins // stride), device=near.device, dtype=near.dtype)
        start = near + step * stride * blocks
        x, y, z = (line[axis] + (start + 0.5 * step * stride) * line[axis + 3] for axis in range(3))
        met = self.occupancy.occupied_nearby(x, y, z) & (start < torch.minimum(far, reach))
        ray, block = met.nonzero().unbind(1)
        number = stride * block[:, None] + torch.arange(stride, device=near.device)
        return ray.repeat_interleave(stride), number.view(-1)

    def survivors_per_ray(self, rays: slice) -> Int[Tensor, " rays"]:
        """How many samples survive on each of these rays."""
        return self.survivors(rays).ray.bincount(minlength=rays.stop - rays.start)

    def chunks(self, chunk_samples: int) -> list[slice]:
        """Consecutive ranges of rays with at most `chunk_samples` survivors (or one ray) and `CANDIDATES`
        bins each.
        """
        rays, most_rays = len(self.directions), max(1, CANDIDATES // self.bins)
        blocks = [slice(start, min(start + most_rays, rays)) for start in range(0, rays, most_rays)]
        total = torch.cat([self.survivors_per_ray(block) for block in blocks]).cumsum(0).cpu()
        chunks, start, done = [], 0, 0
        while start < rays:
            stop = int(torch.searchsorted(total, done + chunk_samples, right=True))
            stop = min(max(stop, start + 1), start + most_rays, rays)
            chunks.append(slice(start, stop))
            start, done = stop, int(total[stop - 1])
        return chunks


@torch.no_grad()
def reach(
    density: Callable[[Tensor], Tensor], samples: Samples, rays: int, transmittance: float
) -> Float[Tensor, " rays"]:
    """Distance at which so little light comes through that the rest of a ray cannot be seen; inf: nowhere.

    It is the middle of the bin in which exp(-sum s l) falls below `transmittance`.  Densities are asked for
    from front to back, a few bins of every ray that still goes on at a time.
    """
    counts = samples.ray.bincount(minlength=rays)
    first = counts.cumsum(0) - counts
    ends = samples.middle.new_full((rays,), math.inf)
    depth = torch.zeros_like(ends)  # optical, so far
    going, done, ahead = counts.nonzero()[:, 0], 0, LOOK_AHEAD
    while len(going):
        ranks = done + torch.arange(ahead, device=going.device)
        mine = ranks < counts[going, None]  # the last bins of a ray may be fewer
        index = first[going, None] + ranks
        here = index[mine]
        bins = depth.new_zeros(index.shape)
        bins[mine] = density(samples.points[here]) * samples.length[here]
        through = depth[going, None] + bins.cumsum(1)
        ended = through >= -math.log(transmittance)
        stops = ended.any(1)
        last = ended[stops].int().argmax(1, keepdim=True)
        ends[going[stops]] = samples.middle[index[stops].gather(1, last)[:, 0]]
        depth[going] = through[:, -1]
        done += ahead
        going = going[~stops & (counts[going] > done)]
        ahead *= 2  # few rays go on for long
    return ends


def in_sight(
    march: March, density: Callable[[Tensor], Tensor], transmittance: float, chunk_samples: int
) -> March:
    """Let rays end where transmittance falls below a threshold, if that spares more than it costs.

    It costs a look at densities and spares a forward, a second forward and a backward pass; the rays in the
    middle of the pictures tell whether enough is hidden.  Colours change by no more than the threshold.
    """
    chunks = march.chunks(chunk_samples)
    middle = len(chunks) // 2

    def ends(rays: slice) -> tuple[Tensor, Samples]:
        samples = march.survivors(rays)
        return reach(density, samples, rays.stop - rays.start, transmittance), samples

    far, samples = ends(chunks[middle])
    hidden = samples.middle > far.index_select(0, samples.ray)
    if hidden.sum() < WORTH_HIDING * len(hidden):
        return march
    before, after = ([ends(rays)[0] for rays in part] for part in (chunks[:middle], chunks[middle + 1 :]))
    return march._replace(reach=torch.cat([*before, far, *after]))
