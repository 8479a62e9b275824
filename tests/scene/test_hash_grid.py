import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from src.errors import UserError
from src.scene import hash_grid, hash_grid_by_blocks
from src.scene.hash_grid import HashGrid
from src.scene.hash_grid_at_once import AtOnce
from src.scene.hash_grid_by_blocks import ByBlocks
from src.scene.levels import HashGridConfig, encode_reference, plan_levels
from src.streams import Streams

DENSE = HashGridConfig(levels=1, features=3, log2_table=12, base_resolution=9, max_resolution=9)
CONFIGS = st.builds(
    HashGridConfig,
    levels=st.integers(1, 4),
    features=st.integers(1, 5),
    log2_table=st.integers(4, 11),
    base_resolution=st.integers(2, 8),
    max_resolution=st.integers(8, 300),
)


def grid_of(cfg: HashGridConfig, seed: int = 0) -> HashGrid:
    """A grid in float64 with entries of order one."""
    grid = HashGrid(cfg, Streams(seed, 0)).double()
    with torch.no_grad():
        grid.table *= 1e4
    return grid


def points(count: int, seed: int = 0) -> Tensor:
    return Streams(seed, 1)("points").uniform(1, count, 3)[0].double()


@given(CONFIGS, st.integers(0, 200))
@example(HashGridConfig(levels=1, features=2, log2_table=4, base_resolution=2, max_resolution=8), 0)
def test_fast_form_equals_the_readable_one(cfg: HashGridConfig, count: int) -> None:
    """Oracle: encode_reference and autograd's own gradient of it, to float64 rounding."""
    grid, x = grid_of(cfg), points(count)
    upstream = Streams(0, 2)("upstream").normal(1, count, grid.output_size)[0].double()
    table = grid.table.detach().clone().requires_grad_()
    expected = encode_reference(x, table, grid.levels)
    expected.backward(upstream)
    encoded = grid(x)
    encoded.backward(upstream)
    torch.testing.assert_close(encoded, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grid.table.grad, table.grad, rtol=1e-12, atol=1e-12)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the same call in one block; values are bitwise equal, sums equal to float64 rounding."""
    grid, x = grid_of(HashGridConfig(levels=3, log2_table=8)), points(101)
    whole = grid(x)
    whole.sum().backward()
    gradient = grid.table.grad.clone()
    grid.table.grad = None
    monkeypatch.setattr(hash_grid_by_blocks, "BLOCK", 13)
    pieces = grid(x)
    pieces.sum().backward()
    assert torch.equal(whole, pieces)
    torch.testing.assert_close(grid.table.grad, gradient, rtol=1e-12, atol=1e-12)


def test_gradcheck() -> None:
    """Oracle: central differences in float64."""
    grid, x = grid_of(HashGridConfig(levels=2, log2_table=4, base_resolution=2, max_resolution=5)), points(6)

    def encode(table: Tensor) -> Tensor:
        return hash_grid._Encode.apply(
            hash_grid._Ticket.apply(table, grid._sink), x, table.detach(), grid.kernels(x.device), grid._sink
        )

    assert torch.autograd.gradcheck(encode, grid.table)


def test_all_calls_of_a_step_fill_one_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the sum of separate gradients, plain and recomputed; the table's size is allocated once."""
    grid, parts = grid_of(HashGridConfig(levels=2, log2_table=6)), points(60).split(20)
    expected = torch.zeros_like(grid.table)
    for part in parts:
        expected += torch.autograd.grad(grid(part).square().sum(), grid.table)[0]
    opened: list[torch.Size] = []

    def zeros_like(table: Tensor) -> Tensor:
        opened.append(table.shape)
        return table.new_zeros(table.shape)

    monkeypatch.setattr(hash_grid.torch, "zeros_like", zeros_like)
    for recompute in (False, True):
        grid.table.grad = None
        opened.clear()
        encoded = [checkpoint(grid, p, use_reentrant=False) if recompute else grid(p) for p in parts]
        sum(e.square().sum() for e in encoded).backward()
        assert opened == [grid.table.shape]
        torch.testing.assert_close(grid.table.grad, expected, rtol=1e-12, atol=1e-12)


def test_two_graphs_alive_at_once_keep_their_gradients_apart() -> None:
    """Oracle: each graph's gradient on its own; and the two added up when neither is cleared."""
    grid, (a, b) = grid_of(HashGridConfig(levels=2, log2_table=6)), points(40).split(20)
    alone = [torch.autograd.grad(grid(p).sum(), grid.table)[0] for p in (a, b)]
    first, second = grid(a).sum(), grid(b).sum()
    second.backward()
    torch.testing.assert_close(grid.table.grad, alone[1], rtol=1e-12, atol=1e-12)
    first.backward()
    torch.testing.assert_close(grid.table.grad, alone[0] + alone[1], rtol=1e-12, atol=1e-12)


def test_evaluation_between_steps_leaves_training_its_gradient() -> None:
    """Oracle: the gradient without the evaluation in between, bitwise."""
    grid, x = grid_of(HashGridConfig(levels=2, log2_table=6)), points(20)
    expected = torch.autograd.grad(grid(x).sum(), grid.table)[0]
    loss = grid(x).sum()
    with torch.no_grad():
        assert not grid(x).requires_grad
    (loss + grid(x).sum()).backward()
    assert torch.equal(grid.table.grad, 2 * expected)


@pytest.mark.parametrize("kernels", [ByBlocks, AtOnce])
def test_outside_the_cube_is_its_nearest_point(kernels: type[ByBlocks] | type[AtOnce]) -> None:
    """Oracle: the points moved onto the cube's faces by hand; the last level is dense, so that any row beyond
    is one too many.
    """
    grid = grid_of(HashGridConfig(levels=2, log2_table=14, base_resolution=4, max_resolution=16))
    grid._by_blocks = kernels(grid.levels)
    outside = 1.5 * points(400) - 0.25
    assert torch.equal(grid(outside), grid(outside.clamp(0, 1)))


def test_a_constant_table_gives_a_constant() -> None:
    """Oracle: trilinear weights add up to one, on dense and on hashed levels, up to the cube's faces."""
    grid = grid_of(HashGridConfig(levels=5, log2_table=9))
    torch.nn.init.constant_(grid.table, 2.5)
    x = torch.cat([points(300), torch.eye(3).double(), torch.ones(1, 3).double(), torch.zeros(1, 3).double()])
    torch.testing.assert_close(grid(x), torch.full((305, 10), 2.5).double(), rtol=1e-14, atol=0)


def test_a_dense_level_reproduces_linear_functions() -> None:
    """Oracle: trilinear interpolation is exact for a + b x + c y + d z; vertices lie at (index - 1/2) /
    scale.
    """
    grid = grid_of(DENSE)
    (level,) = grid.levels
    assert level.dense
    number = torch.arange(level.resolution**3)
    axis = [number % level.resolution, number // level.resolution % level.resolution]
    vertex = (torch.stack([*axis, number // level.resolution**2], -1) - 0.5) / level.scale
    slopes = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 1.0, 4.0]]).double()
    offset = torch.tensor([0.3, -1.0, 2.0]).double()
    with torch.no_grad():
        grid.table[: level.resolution**3] = vertex.double() @ slopes + offset
    x = points(500) * 0.9  # the last half cell belongs to the next vertex
    torch.testing.assert_close(grid(x), x @ slopes + offset, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("log2_table", [4, 12])
def test_the_encoding_is_continuous_across_cell_faces(log2_table: int) -> None:
    """Oracle: both sides of a face, 1e-9 apart, differ by that times the slope at most."""
    grid = grid_of(HashGridConfig(1, 2, log2_table, 9, 9))
    faces = points(200)
    faces[:, 1] = (torch.arange(200) % 8 + 0.5) / grid.levels[0].scale
    step = torch.tensor([0, 1e-9, 0]).double()
    slope = 2 * grid.levels[0].scale * grid.table.abs().max()
    assert (grid(faces + step) - grid(faces - step)).abs().max() <= 2e-9 * slope


def test_a_vertex_gets_its_own_row() -> None:
    """Oracle: at a vertex the interpolation is the nearest neighbour: the row x + y n + z n^2."""
    grid = grid_of(DENSE)
    n, scale = grid.levels[0].resolution, grid.levels[0].scale
    vertex = torch.tensor([[1, 2, 3], [7, 5, 4]])
    expected = grid.table[vertex @ torch.tensor([1, n, n * n])]
    torch.testing.assert_close(grid((vertex - 0.5).double() / scale), expected, rtol=1e-12, atol=1e-12)


def test_the_default_grid_is_the_papers() -> None:
    """Oracle: tiny-cuda-nn's level sizes from the growth factor of the public configs, 2^19 rows."""
    levels = plan_levels(HashGridConfig())
    growth = 1.447269237440378
    assert [level.resolution for level in levels] == [
        math.ceil(round(16 * growth**number, 6)) for number in range(16)
    ]
    assert [level.dense for level in levels] == [True] * 5 + [False] * 11
    assert all(level.rows >= level.resolution**3 for level in levels if level.dense)
    assert all(level.rows == 2**19 for level in levels if not level.dense)


def test_initial_values_follow_the_seed_and_their_range() -> None:
    """Oracle: uniform in [-1e-4, 1e-4]: extremes near the ends, mean near 0; the seed decides."""
    table = HashGrid(HashGridConfig(levels=4), Streams(1, 0)).table.detach()
    assert 0.99e-4 < table.max() <= 1e-4
    assert -1e-4 <= table.min() < -0.99e-4
    assert abs(table.mean()) < 4 * 1e-4 / (3 * table.numel()) ** 0.5
    assert torch.equal(table, HashGrid(HashGridConfig(levels=4), Streams(1, 0)).table)
    assert not torch.equal(table, HashGrid(HashGridConfig(levels=4), Streams(2, 0)).table)


@pytest.mark.parametrize(("setting", "value"), [("levels", 0), ("log2_table", 40), ("max_resolution", 8)])
def test_impossible_sizes_are_named(setting: str, value: int) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=f"{setting}={value}"):
        HashGridConfig(**{setting: value})


@given(CONFIGS, st.integers(0, 200), st.booleans())
@example(HashGridConfig(levels=1, features=2, log2_table=4, base_resolution=2, max_resolution=8), 0, False)
@example(HashGridConfig(levels=1, features=3, log2_table=12, base_resolution=9, max_resolution=9), 5, False)
def test_all_levels_at_once_are_the_same_encoding(cfg: HashGridConfig, count: int, half: bool) -> None:
    """Oracle: the blocks' result: values bit for bit (the same operations), gradients to float64 rounding."""
    grid, x = grid_of(cfg), points(count)
    if half:  # a processor's float32, as on the device, and points as they come from there
        grid, x = grid.float(), x.float()
    upstream = Streams(0, 2)("upstream").normal(1, count, grid.output_size)[0].to(x)
    encoded = grid(x)
    encoded.backward(upstream)
    at_once, gradient = AtOnce(grid.levels), torch.zeros_like(grid.table)
    assert torch.equal(at_once.encode(x, grid.table.detach()), encoded.detach())
    if count:
        at_once.accumulate(x, upstream, gradient)
    tolerance = (
        1e-5 if half else 1e-12
    )  # relative to the largest: sums of up to 8 count shares in another order
    largest = float(grid.table.grad.abs().max())
    torch.testing.assert_close(gradient, grid.table.grad, rtol=0, atol=tolerance * (largest + 1e-30))


def test_a_processor_computes_in_blocks_and_a_device_at_once() -> None:
    """Oracle: the design: loops for caches, few calls for accelerators."""
    grid = grid_of(DENSE)
    assert isinstance(grid.kernels(torch.device("cpu")), hash_grid_by_blocks.ByBlocks)
    assert isinstance(grid.kernels(torch.device("meta")), AtOnce)
