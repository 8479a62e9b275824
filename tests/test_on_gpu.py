"""A GPU beside the processor: kernels, pictures, a step, a resumed run (make test-gpu)."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from src.assemble import assemble, make_guide
from src.config import RunConfig
from src.guidance.load import load_prior
from src.run import checkpoint
from src.scene.cameras import sample_cameras
from src.scene.hash_grid import HashGrid
from src.scene.hash_grid_at_once import AtOnce
from src.scene.hash_grid_triton import InTriton
from src.scene.levels import HashGridConfig
from src.scene.rendering import RenderConfig, render
from src.step import Run, take_step
from src.streams import Streams
from src.train import train
from tests.runs import tiny

pytestmark = pytest.mark.gpu
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("kind", [AtOnce, InTriton])
@pytest.mark.parametrize(
    "cfg", [HashGridConfig(), HashGridConfig(5, 4, 18, 8, 64)], ids=["the paper's", "a laptop's"]
)
def test_encodings(kind: type[AtOnce | InTriton], cfg: HashGridConfig) -> None:
    """Oracle: the processor's values to 1e-3 of the largest (a cell may flip), gradients to 1e-2."""
    grid, draw = HashGrid(cfg, Streams(0, 0)), Streams(0, 1)
    points = draw("points").uniform(1, 100_000, 3)[0]
    upstream = draw("upstream").normal(1, 100_000, grid.output_size)[0]
    expected = grid(points)
    expected.backward(upstream)
    kernels, gradient = kind(grid.levels), torch.zeros_like(grid.table, device=CUDA)
    found = kernels.encode(points.to(CUDA), grid.table.detach().to(CUDA))
    kernels.accumulate(points.to(CUDA), upstream.to(CUDA), gradient)
    for ours, right, share in ((found, expected, 1e-3), (gradient, grid.table.grad, 1e-2)):
        torch.testing.assert_close(ours.cpu(), right.detach(), rtol=0, atol=share * float(right.abs().max()))


def run_on(cfg: RunConfig, device: torch.device) -> Run:
    return assemble(cfg, make_guide(cfg, load_prior(cfg.prior, device)), device)


@pytest.mark.parametrize("early_stop", [0.0, 1e-4])
def test_pictures(tmp_path: Path, early_stop: float) -> None:
    """Oracle: the processor's maps to 1e-3, in one chunk and in many."""
    cfg = tiny(tmp_path)
    for chunk_samples in (10**6, 50):
        maps = []
        for device in (CPU, CUDA):
            run, draw = run_on(cfg, device), Streams(0, 1, device=device)
            camera = sample_cameras(cfg.camera, 2, 16, draw.here("camera"))
            settings = RenderConfig(8, chunk_samples, early_stop=early_stop)
            maps.append(
                [map_.cpu() for map_ in render(*run.generator.model, camera, settings, draw).detach()]
            )
        for found, expected in zip(maps[1], maps[0], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_step(tmp_path: Path) -> None:
    """Oracle: the processor's latents, and its gradient with respect to them, to 1e-3."""
    cfg = tiny(tmp_path)
    done = []
    for device in (CPU, CUDA):
        done.append(take_step(run_on(cfg, device), 1, Streams(0, 1, device=device), lambda _: nullcontext()))
    for found, expected in ((done[1].seen.latents, done[0].seen.latents), (done[1].grad, done[0].grad)):
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)


def test_a_run_is_resumed_and_exported(tmp_path: Path) -> None:
    """Oracle: five steps and then two more leave what seven leave, to 1e-3, and a turntable."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(tiny(whole, "device=cuda"))
    train(tiny(parts, "device=cuda", "steps=5"))
    train(tiny(parts, "device=cuda"))
    assert json.loads((parts / "manifest.json").read_text())["resumed_from_steps"] == [5]
    assert (parts / "turntable.mp4").exists()
    found, expected = (checkpoint.load_latest(out / "checkpoints") for out in (parts, whole))
    assert found is not None
    assert expected is not None
    for name, value in expected.tensors.items():
        if name.startswith("module/"):
            torch.testing.assert_close(found.tensors[name], value, rtol=1e-3, atol=1e-3)
