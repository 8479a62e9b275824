"""The CUDA path where there is no CUDA: no mixed devices from pre-flight to export, and a budget for a step.

The device pretends (tests/pretend_cuda.py); what a kernel computes is a processor's.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from src.door import settings
from src.scene import device_march
from src.train import train
from tests.pretend_cuda import Counts, pretend_cuda
from tests.pretend_step import counted
from tests.runs import tiny


@pytest.fixture
def counts() -> Iterator[Counts]:
    with pretend_cuda() as counting:
        yield counting


def manifest(folder: Path) -> dict[str, object]:
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize(
    "chosen",
    [
        ["render.early_stop=1e-3", "render.chunk_samples=1500"],
        ["prompts.perp_neg=1.0", "prompts.interpolate=true", "prior.precision=float16"],
        ["loss=sds", "batch_size=1", "regularizer.z_variance=1.0"],
        ["generator=latents"],
    ],
)
def test_a_whole_run_mixes_no_devices(
    tmp_path: Path, counts: Counts, capsys: pytest.CaptureFixture[str], chosen: list[str]
) -> None:
    """Oracle: pre-flight, steps, checkpoints, resume and export get through; mixtures are refused."""
    few = ["device=cuda", "schedule.switch_step=1", "video.views=1", *chosen]
    cfg = tiny(tmp_path, "steps=2", *few)
    train(cfg)
    assert "pre-flight" in capsys.readouterr().out
    assert manifest(tmp_path)["device"] == "cuda"
    if "render.early_stop=1e-3" in chosen or "generator=latents" in chosen:  # a minute for each more
        train(tiny(tmp_path, "steps=3", *few))
        assert manifest(tmp_path)["resumed_from_steps"] == [2]
    assert manifest(tmp_path)["finished"]


# What the paper's sizes come to at a sixteenth of their rays: as many chunks, blocks of rays and pieces.
SMALL = [
    *("prior=gaussian", "prior.latent_size=8", "field.hash_grid.levels=2", "field.hash_grid.log2_table=8"),
    *("field.hash_grid.max_resolution=32", "render.samples_per_ray=64"),
]


@pytest.mark.parametrize(
    ("step", "chunk_samples", "waits", "launches"), [(100, 10**6, 10, 1_200), (6_000, 900, 40, 9_000)]
)
def test_a_step_keeps_to_its_budget(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: Counts,
    step: int,
    chunk_samples: int,
    waits: int,
    launches: int,
) -> None:
    """Oracle: the budget: one chunk at 64x64; chunks in 8 blocks of rays at 512x512, with torch's kernels."""
    cfg = settings(
        "prompt=a", "preset=paper", "device=cpu", f"out={tmp_path}", *SMALL, "schedule.resolution=16",
        "schedule.resolution_after=32", f"render.chunk_samples={chunk_samples}",
    )  # fmt: skip
    if step > cfg.schedule.switch_step:
        monkeypatch.setattr(device_march, "CANDIDATES", 32 * 32 * 64 // 8)
    found = counted(cfg, step, counts, monkeypatch)
    assert found[0] <= waits, counts.waits.most_common(20)
    assert found[1] <= launches, counts.launches.most_common(20)


def test_mixtures_are_refused_and_waits_are_counted(counts: Counts) -> None:
    """Oracle: what CUDA does, one operation each."""
    there, here = torch.ones(3, device="cuda"), torch.ones(3)
    with pytest.raises(RuntimeError, match="mixes devices"):
        there + here
    with pytest.raises(TypeError, match="to numpy"):
        there.numpy()
    assert (there * 2).device.type == "cuda"
    assert there.cpu().device.type == "cpu"
    assert (there + torch.tensor(1.0)).is_cuda  # a number of no dimensions may come along
    for wait, times in (
        (lambda: there.sum().item(), 1),
        (lambda: there.nonzero(), 1),
        (lambda: there[there > 0], 1),
        (lambda: here.to("cuda"), 1),
        (lambda: here.pin_memory().to("cuda", non_blocking=True), 0),
        (lambda: there[torch.zeros(1, dtype=torch.int64, device="cuda")], 0),
        (lambda: there.tolist(), 1),
        (lambda: there.bincount() if there.dtype is torch.int64 else there.sum(), 0),
        (lambda: torch.cuda.synchronize(), 1),
    ):
        counts.clear()
        wait()
        assert counts.totals()[0] == times, counts.waits
    counts.clear()
    (there.view(3, 1).expand(3, 2) + 1).sum()
    assert counts.totals() == (0, 2)


def test_nothing_is_left_behind() -> None:
    """Oracle: tensors say again where they are."""
    with pretend_cuda():
        tensor = torch.ones(2, device="cuda")
        assert tensor.is_cuda
    assert tensor.device.type == "cpu"
    assert not torch.cuda.is_available()
