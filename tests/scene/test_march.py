"""Rays, their bins, and which of them survive."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from src.scene.march import March, Samples, clip_to_sphere, reach
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.streams import Streams


@given(st.integers(0, 2**32), st.floats(0.1, 2))
def test_rays_are_cut_where_they_meet_the_sphere(seed: int, radius: float) -> None:
    """Oracle: both ends lie on the sphere, unless the ray misses it or starts inside."""
    draw = Streams(seed, 0)
    origins = draw("origins").normal(1, 40, 3)[0].double()
    directions = torch.nn.functional.normalize(draw("directions").normal(1, 40, 3)[0].double(), dim=-1)
    near, far = clip_to_sphere(origins, directions, radius)
    closest = (origins - (origins * directions).sum(-1, keepdim=True) * directions).norm(dim=-1)
    ahead = far > 0
    hits = ahead & (closest < radius)
    inside = origins.norm(dim=-1) < radius
    assert (near >= 0).all()
    assert torch.equal(near[~hits], far[~hits])
    at_far = (origins + far[:, None] * directions)[hits].norm(dim=-1)
    torch.testing.assert_close(at_far, torch.full_like(at_far, radius), rtol=0, atol=1e-9)
    at_near = (origins + near[:, None] * directions)[hits & ~inside].norm(dim=-1)
    torch.testing.assert_close(at_near, torch.full_like(at_near, radius), rtol=0, atol=1e-9)
    assert (near[inside] == 0).all()


@given(st.integers(0, 1000), st.integers(1, 200), st.floats(0, 1), st.booleans())
def test_blocks_of_bins_are_skipped_only_where_nothing_survives(
    seed: int, bins: int, share: float, jittered: bool
) -> None:
    """Oracle: every bin of every ray looked up, one expression each, in float64."""
    draw, radius, rays = Streams(seed, 0), 0.8, 40
    occupancy = OccupancyGrid(OccupancyConfig(resolution=8), radius, 0.01)
    occupancy.bits = draw("bits").uniform(1, 512)[0] < share**3
    origins = draw("origins").normal(1, 2, 3)[0].double()
    directions = torch.nn.functional.normalize(draw("directions").normal(1, rays, 3)[0].double(), dim=-1)
    jitter = draw("jitter").uniform(1, rays)[0].double() if jittered else None
    reach = draw("reach").uniform(1, rays)[0].double() * 4
    march = March(origins, directions, jitter, rays // 2, radius, bins, occupancy, reach)
    origin = origins.repeat_interleave(rays // 2, 0)
    near, far = clip_to_sphere(origin, directions, radius)
    start = near[:, None] + 2 * radius / bins * torch.arange(bins, dtype=torch.float64)
    length = (far[:, None] - start).clamp(0, 2 * radius / bins)
    part = 0.5 if jitter is None else jitter[:, None]
    points = origin[:, None] + (start + part * length)[..., None] * directions[:, None]
    alive = (length > 0) & (start < reach[:, None]) & occupancy.occupied(points)
    found = march.survivors(slice(0, rays))
    assert found.ray.tolist() == alive.nonzero()[:, 0].tolist()
    torch.testing.assert_close(found.middle, (start + 0.5 * length)[alive], rtol=1e-14, atol=0)
    torch.testing.assert_close(found.points, points[alive], rtol=1e-14, atol=1e-15)
    assert march.survivors_per_ray(slice(0, rays)).tolist() == alive.sum(1).tolist()


# Rays that end early


@given(st.lists(st.integers(0, 70), min_size=1, max_size=6), st.integers(0, 100), st.floats(1e-4, 0.9))
def test_reach_is_where_transmittance_falls_below_the_threshold(
    counts: list[int], seed: int, transmittance: float
) -> None:
    """Oracle: exp(-sum s l) ray by ray, one running sum each."""
    ray, draw = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)), Streams(seed, 0)
    optical = draw("depth").uniform(1, len(ray))[0].double() * 0.5
    middle = draw("middle").uniform(1, len(ray))[0].double()
    samples = Samples(ray, middle, torch.ones_like(middle), torch.stack([optical] * 3, -1))
    found = reach(lambda points: points[:, 0], samples, len(counts), transmittance)
    for which in range(len(counts)):
        below = (-optical[ray == which].cumsum(0)).exp() <= transmittance
        expected = middle[ray == which][below][0] if below.any() else math.inf
        assert found[which] == expected
