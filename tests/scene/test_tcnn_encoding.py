import sys
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from src.run import accelerators
from src.scene.hash_grid import HashGrid
from src.scene.levels import HashGridBackend, HashGridConfig
from src.streams import Streams
from tests.runs import settings
from tests.scene import kernels
from tests.scene.test_tcnn_layout import reach

SIZES = {"levels": 6, "features": 2, "log2_table": 12, "base_resolution": 4, "max_resolution": 90}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """tiny-cuda-nn's kernel, stated apart, under the name of its package."""
    monkeypatch.setitem(sys.modules, "tinycudann", SimpleNamespace(Encoding=kernels.Encoding))


def grid_of(backend: HashGridBackend, device: str = "cpu") -> HashGrid:
    """A grid with entries of order one."""
    grid = HashGrid(HashGridConfig(**SIZES, backend=backend), Streams(0, 0)).to(device)
    with torch.no_grad():
        grid.table *= 1e4
    return grid


def check_encoding(device: str) -> None:
    """Values and gradients through tiny-cuda-nn beside ours, where it has all the rows."""
    results: list[list[Tensor]] = []
    x = (Streams(0, 1)("points").uniform(1, 300, 3)[0] * reach(HashGridConfig(**SIZES))).to(device)
    upstream = Streams(0, 2)("upstream").normal(1, 300, 12)[0].to(device)
    for backend in (HashGridBackend.tcnn, HashGridBackend.torch):
        grid = grid_of(backend, device)
        encoded = torch.cat([grid(part) for part in x.split(120)])
        encoded.backward(upstream)
        assert grid.table.grad is not None
        results.append([encoded.detach(), grid.table.grad])
    for theirs, ours in zip(*results, strict=True):
        # Places in cells are known to 90 * 3e-7 in float32; a row's gradient sums up to 300 shares.
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=3e-4)
    assert results[1][1].abs().max() > 1


@pytest.mark.usefixtures("stand_in")
def test_values_and_gradients_agree() -> None:
    """Oracle: the torch backend with the same table."""
    check_encoding("cpu")


@pytest.mark.usefixtures("stand_in")
def test_a_run_can_move_between_backends() -> None:
    """Oracle: a checkpoint holds our table and nothing else, before and after tiny-cuda-nn was used."""
    accelerated, plain = grid_of(HashGridBackend.tcnn), grid_of(HashGridBackend.torch)
    accelerated(torch.rand(3, 3, generator=torch.Generator().manual_seed(0)))
    assert list(accelerated.state_dict()) == ["table"] == [name for name, _ in accelerated.named_parameters()]
    plain.load_state_dict(accelerated.state_dict())
    assert torch.equal(plain.table, accelerated.table)


@pytest.mark.usefixtures("stand_in")
def test_no_points_have_no_gradient() -> None:
    """Oracle: a gradient of zeros, without the kernel, which the stand-in refuses to be asked."""
    grid = grid_of(HashGridBackend.tcnn)
    encoded = grid(torch.zeros(0, 3))
    assert encoded.shape == (0, 12)
    encoded.sum().backward()
    assert torch.equal(grid.table.grad, torch.zeros_like(grid.table))


@pytest.mark.gpu
def test_the_real_kernel_agrees() -> None:
    """Oracle: the torch backend on the same device; where tiny-cuda-nn is missing, the error says how it is
    installed.
    """
    sizes = [f"field.hash_grid.{name}={value}" for name, value in SIZES.items()]
    named = settings("prompt=x", "preset=smoke", "device=cuda", "field.hash_grid.backend=tcnn", *sizes)
    accelerators.settle(named, torch.device("cuda"), {})
    check_encoding("cuda")
