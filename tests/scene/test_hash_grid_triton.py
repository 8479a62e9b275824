"""The Triton kernels, run by Triton's interpreter (tests/conftest.py): tenths of a second a launch."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from src.scene import hash_grid_triton
from src.scene.hash_grid import HashGrid
from src.scene.hash_grid_triton import InTriton
from src.scene.levels import HashGridBackend, HashGridConfig, encode_reference
from src.streams import Streams

CONFIGS = st.builds(
    HashGridConfig,
    levels=st.integers(1, 3),
    features=st.integers(1, 5),
    log2_table=st.integers(4, 11),
    base_resolution=st.integers(2, 8),
    max_resolution=st.integers(8, 300),
)


def compared(cfg: HashGridConfig, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Encoding and the table's gradient by Triton in float32, and by the readable form in float64."""
    grid = HashGrid(cfg, Streams(0, 0))
    table = (grid.table.detach() * 1e4).requires_grad_()  # entries of order one
    points = Streams(0, 1)("points").uniform(1, count, 3)[0]
    upstream = Streams(0, 2)("upstream").normal(1, count, grid.output_size)[0]
    expected = encode_reference(points, table, grid.levels)
    expected.backward(upstream)
    kernels, gradient = InTriton(grid.levels), torch.zeros_like(table)
    encoded = kernels.encode(points, table.detach())
    kernels.accumulate(points, upstream, gradient)
    assert table.grad is not None
    return encoded, expected.detach(), gradient, table.grad


@given(CONFIGS, st.integers(0, 40))
@settings(max_examples=12)  # a call takes half a second in the interpreter
@example(HashGridConfig(levels=2, features=2, log2_table=4, base_resolution=2, max_resolution=8), 0)
@example(HashGridConfig(levels=1, features=3, log2_table=12, base_resolution=9, max_resolution=9), 33)
def test_triton_equals_the_readable_form(cfg: HashGridConfig, count: int) -> None:
    """Oracle: encode_reference and autograd's gradient of it: values to 1e-6, gradients 1e-5."""
    encoded, expected, gradient, expected_gradient = compared(cfg, count)
    torch.testing.assert_close(encoded, expected, rtol=0, atol=1e-6)
    largest = float(expected_gradient.abs().max()) if count else 1.0
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("count", [31, 32, 33, 65])
def test_blocks_end_anywhere(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Oracle: as above; counts around whole blocks of 32 points; a laptop's levels and the paper's."""
    monkeypatch.setattr(hash_grid_triton, "BLOCK", 32)
    for cfg in (
        HashGridConfig(levels=2, features=4, log2_table=10, base_resolution=8, max_resolution=16),
        HashGridConfig(levels=2, features=2, log2_table=12, base_resolution=16, max_resolution=4096),
    ):
        encoded, expected, gradient, expected_gradient = compared(cfg, count)
        torch.testing.assert_close(encoded, expected, rtol=0, atol=1e-6)
        largest = float(expected_gradient.abs().max())
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-5 * largest)


def test_a_grid_trains_through_triton() -> None:
    """Oracle: the torch grid's gradient of the same sum over two calls, which share one gradient, to 1e-5."""
    cfg = HashGridConfig(levels=2, features=2, log2_table=6, base_resolution=2, max_resolution=12)
    plain = HashGrid(cfg, Streams(0, 0))
    kernels = HashGrid(HashGridConfig(**{**vars(cfg), "backend": HashGridBackend.triton}), Streams(0, 0))
    parts = Streams(0, 1)("points").uniform(1, 40, 3)[0].split(20)
    for grid in (plain, kernels):
        sum(grid(part).square().sum() for part in parts).backward()
    largest = float(plain.table.grad.abs().max())
    torch.testing.assert_close(kernels.table.grad, plain.table.grad, rtol=0, atol=1e-5 * largest)
