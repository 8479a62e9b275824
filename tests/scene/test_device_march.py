"""Marching and compositing with few calls, held against the processor's own; both run here."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from src.scene import device_march, rendering
from src.scene.device_march import DeviceMarch, cut, depth_before
from src.scene.march import March, Samples, reach
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.scene.rendering import RenderConfig
from src.streams import Streams
from tests.scene.test_rendering import gradients

RADIUS, PIXELS = 0.8, 20


def marches(seed: int, bins: int, share: float, jittered: bool) -> tuple[March, DeviceMarch]:
    """Both marches over two views of 20 rays, in float64."""
    draw = Streams(seed, 0)
    occupancy = OccupancyGrid(OccupancyConfig(resolution=8), RADIUS, 0.01)
    occupancy.bits = draw("bits").uniform(1, 512)[0] < share**3
    origins = draw("origins").normal(1, 2, 3)[0].double()
    directions = torch.nn.functional.normalize(
        draw("directions").normal(1, 2 * PIXELS, 3)[0].double(), dim=-1
    )
    jitter = draw("jitter").uniform(1, 2 * PIXELS)[0].double() if jittered else None
    arguments = (origins, directions, jitter, PIXELS, RADIUS, bins, occupancy)
    return March(*arguments), DeviceMarch(*arguments)


def together(march: March, early_stop: float, chunk_samples: int) -> tuple[Tensor, ...]:
    """Ray, middle, length and points of all samples of a plan."""
    chunks = march.plan(lambda points: points.norm(dim=-1) * 20, early_stop, chunk_samples)
    assert [chunk.rays.start for chunk in chunks[1:]] == [chunk.rays.stop for chunk in chunks[:-1]]
    samples = [chunk.samples() for chunk in chunks]
    assert all(
        len(s.ray) <= chunk_samples or c.rays.stop == c.rays.start + 1
        for c, s in zip(chunks, samples, strict=True)
    )
    rays = torch.cat([s.ray + c.rays.start for c, s in zip(chunks, samples, strict=True)])
    return rays, *(torch.cat([s[field] for s in samples]) for field in (1, 2, 3))


@given(st.integers(0, 1000), st.integers(1, 100), st.floats(0, 1), st.booleans(), st.integers(1, 500))
def test_the_samples_are_the_same(seed: int, bins: int, share: float, jittered: bool, chunk: int) -> None:
    """Oracle: March, which skips what is empty: the same samples, their numbers to float64 rounding."""
    plain, device = (together(march, 0.0, chunk) for march in marches(seed, bins, share, jittered))
    assert torch.equal(device[0], plain[0])
    for found, expected in zip(device[1:], plain[1:], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-14)


@given(st.integers(0, 1000), st.integers(20, 100), st.integers(1, 500))
def test_blocks_of_rays_make_no_difference(seed: int, bins: int, chunk: int) -> None:
    """Oracle: one block, bit for bit; here a block has three rays."""
    _, march = marches(seed, bins, 0.8, True)
    whole = together(march, 0.0, chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_march, "CANDIDATES", 3 * bins)
        assert all(torch.equal(a, b) for a, b in zip(together(march, 0.0, chunk), whole, strict=True))


@given(st.integers(0, 1000), st.integers(20, 100), st.floats(0.001, 0.9))
def test_rays_end_where_too_little_light_is_left(seed: int, bins: int, transmittance: float) -> None:
    """Oracle: `reach`, from front to back: what starts behind it is gone, nothing else."""
    plain, march = marches(seed, bins, 1.0, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_march, "WORTH_HIDING", 0.0)
        ray, *_ = together(march, transmittance, 50)
    everything = plain.survivors(slice(0, 2 * PIXELS))
    ends = reach(lambda points: points.norm(dim=-1) * 20, everything, 2 * PIXELS, transmittance)
    start = everything.middle - everything.length / 2
    expected = everything.ray[start < ends[everything.ray]]
    assert ray.tolist() == expected.tolist()


def test_hiding_that_does_not_pay_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: by hand: after the middle block, no other is asked for densities."""
    _, march = marches(0, 30, 1.0, False)
    monkeypatch.setattr(device_march, "CANDIDATES", 30 * 10)  # four blocks of ten rays
    asked: list[int] = []

    def thin(points: Tensor) -> Tensor:
        asked.append(len(points))
        return torch.zeros_like(points[:, 0])

    chunks = march.plan(thin, 1e-4, 10**6)
    assert len(asked) == 1
    assert sum(len(chunk.samples().ray) for chunk in chunks) == len(march.survivors(slice(0, 40)).ray)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 100))
def test_what_stands_before_a_sample(counts: list[int], seed: int) -> None:
    """Oracle: the running sum of each row by itself, to float32 rounding; rows may be empty."""
    depth = Streams(seed, 0)("depth").uniform(1, sum(counts))[0] * 3
    expected = [row.cumsum(0) - row for row in depth.split(counts)]
    found = depth_before(depth, torch.tensor(counts))
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-5, atol=1e-5)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 100))
def test_compositing_is_the_same(counts: list[int], seed: int) -> None:
    """Oracle: src/scene/rendering.py's composite, maps and gradients, to float64 rounding."""
    ray, draw = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)), Streams(seed, 0)
    n = len(ray)
    middle, length = (draw(name).uniform(1, n)[0].double() for name in ("middle", "length"))
    samples = Samples(ray, middle, length, torch.zeros(n, 3).double())
    density = (draw("density").uniform(1, n)[0].double() * 4).requires_grad_()
    color = draw("color").uniform(1, n, 3)[0].double().requires_grad_()
    far = torch.full((len(counts),), 2.0).double()
    upstream = [draw(f"up{i}").normal(1, len(counts), 3)[0].double() for i in range(4)]
    results = []
    for add_up in (rendering.composite, device_march.composite):
        maps = add_up(samples, density, color, len(counts), far)
        total = sum(
            (up.view(-1)[: m.numel()].view(m.shape) * m).sum() for up, m in zip(upstream, maps, strict=True)
        )
        results.append([*maps, *torch.autograd.grad(total, (density, color))])
    for found, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 20))
def test_chunks_hold_what_they_may(counts: list[int], chunk: int) -> None:
    """Oracle: the definition: consecutive, complete, at most `chunk` samples or one ray, not too short."""
    ranges = cut(torch.tensor(counts).numpy(), chunk)
    assert [rays[0] for rays, _ in ranges] == [0, *(rays[1] for rays, _ in ranges[:-1])]
    assert ranges[-1][0][1] == len(counts)
    for (start, stop), (first, last) in ranges:
        assert (first, last) == (sum(counts[:start]), sum(counts[:stop]))
        assert last - first <= chunk or stop == start + 1
        assert stop == len(counts) or sum(counts[start : stop + 1]) > chunk


def test_an_opaque_ray_leaves_the_others_alone() -> None:
    """Oracle: rays one by one; a depth of 1e30 would swallow every other number of a running sum."""
    depth = torch.tensor([1e30, 1.0, 0.5, 0.25])
    found = depth_before(depth, torch.tensor([2, 2]))
    assert found[2:].tolist() == [0, 0.5]
    assert (-found[1]).exp() == 0


@given(st.integers(20, 300), st.integers(1, 5), st.integers(1, 20), st.integers(60, 400))
@settings(max_examples=10)
def test_a_picture_and_its_gradient_are_the_same(
    chunk_samples: int, resolution: int, bins: int, candidates: int
) -> None:
    """Oracle: the processor's picture and gradient in one piece, to float64 rounding."""
    direct = gradients(RenderConfig(bins, 10**6), resolution)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "_kernels", lambda *_: (DeviceMarch, device_march.composite))
        patch.setattr(rendering, "BEHIND", 7)
        patch.setattr(device_march, "CANDIDATES", candidates)
        chunked = gradients(RenderConfig(bins, chunk_samples), resolution)
    for found, expected in zip(chunked, direct, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
