"""The CUDA path where there is no CUDA: no mixed devices from pre-flight to export, and a budget for a step.

The device pretends (tests/pretend_cuda.py); what a kernel computes is a processor's.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from src import compare, paper
from src.door import settings
from src.evaluation import ambiguity, answers, looks, measurements, views
from src.export import video
from src.generators import hand_over
from src.model import load_scene
from src.scene import device_march
from src.train import train
from tests.evaluation.judges import write_tiny_clip
from tests.pretend_cuda import Counts, pretend_cuda
from tests.pretend_hub import build_base
from tests.pretend_step import counted

# preset=paper scaled down, with chunks of rays, early stops and both resolutions.
SCALED = [
    *("prompt=a zeppelin", "preset=paper", "device=cuda", "threads=1", "prior.precision=float16"),
    *("schedule.resolution=8", "schedule.resolution_after=16", "schedule.switch_step=1"),
    *("field.hash_grid.levels=2", "field.hash_grid.base_resolution=4", "field.hash_grid.max_resolution=8"),
    *("field.hash_grid.log2_table=8", "field.hidden=8", "field.hash_grid.backend=torch", "mesh.cells=6"),
    *("occupancy.resolution=4", "occupancy.every=2", "render.samples_per_ray=8", "render.chunk_samples=600"),
    *("logging.preview_size=8", "logging.preview_every=100", "video.views=1", "video.size=9"),
]
SHEET = partial(video.contact_sheet, columns=1)  # a third of a run's time would be views of its end


@pytest.fixture
def counts() -> Iterator[Counts]:
    with pretend_cuda() as counting:
        yield counting


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture(scope="module")
def sd(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Stable Diffusion 2.1-base in few and thin layers, for pictures of 16x16."""
    unet = {
        "sample_size": 8,
        "block_out_channels": [8, 16],
        "attention_head_dim": [1, 2],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    }
    vae = {
        "block_out_channels": [8, 8],
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
    }
    changes = {f"unet__{name}": value for name, value in unet.items()}
    changes |= {f"vae__{name}": value for name, value in vae.items()}
    return f"prior.path={build_base(tmp_path_factory.mktemp('sd'), **changes)}"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A judge that knows nothing."""
    return str(write_tiny_clip(tmp_path_factory.mktemp("judge"), 16))


@pytest.fixture(scope="module")
def fitted(sd: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VSD with half precision, perp-neg and blended views, resumed at the second resolution."""
    folder = tmp_path_factory.mktemp("path") / "vsd"
    chosen = [sd, f"out={folder}", "loss=vsd", "prompts.perp_neg=1.0", "prompts.interpolate=true"]
    with pretend_cuda(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "contact_sheet", SHEET)
        train(settings(*SCALED, *chosen, "steps=2"))
        patch.setattr("src.train.preflight", lambda *_: [])  # once is enough
        train(settings(*SCALED, *chosen, "steps=3"))
    return folder


def test_the_papers_path_mixes_no_devices(fitted: Path) -> None:
    """Oracle: mixtures are refused: pre-flight, steps at both resolutions, resume and export got through."""
    told = manifest(fitted)
    assert (told["device"], told["finished"], told["resumed_from_steps"]) == ("cuda", True, [2])
    assert (told["tf32"], told["cudnn_benchmark"]) == (False, False)
    assert (fitted / "turntable.mp4").stat().st_size > 0
    assert (fitted / "checkpoints/step-00000003.safetensors").is_file()


def test_a_run_is_evaluated_beside_its_prior(
    fitted: Path, judge: str, tmp_path: Path, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: looks, which decode half-precision samples with channels innermost, are measured and finite."""
    few = {"pictures": 2, "steps": 1}
    monkeypatch.setattr(looks, "CACHE", tmp_path / "samples")
    monkeypatch.setattr(looks, "PICTURES", few["pictures"])
    monkeypatch.setattr(looks, "SAMPLER", looks.SAMPLER | few)

    def in_one_chunk(*of: Any) -> Any:
        cfg, *rest = load_scene(*of)
        return replace(cfg, render=replace(cfg.render, chunk_samples=10**6)), *rest

    monkeypatch.setattr(measurements, "load_scene", in_one_chunk)  # training has seen several
    found = measurements.evaluate(fitted, judge)
    assert set(found["not_measured"]) == {"geometry"}
    assert {"judge", "consistency", "failures", "looks"} <= set(found["figures"])


@pytest.mark.parametrize(
    "chosen",
    [
        ["loss=dds", "prompt=a golden zeppelin", "source"],
        ["generator=mesh", "source"],
        ["generator=latent_nerf", "loss=sds", "regularizer.z_variance=1.0"],
        ["generator=latents"],
    ],
    ids=["an edit", "a mesh", "latents in space", "latents"],
)
def test_whatever_is_optimised_mixes_no_devices(
    sd: str, fitted: Path, tmp_path: Path, counts: Counts, monkeypatch: pytest.MonkeyPatch, chosen: list[str]
) -> None:
    """Oracle: as above; one step each, since the pre-flight and the export are the same."""
    monkeypatch.setattr("src.train.preflight", lambda *_: [])
    monkeypatch.setattr(video, "contact_sheet", SHEET)
    monkeypatch.setattr(views, "AZIMUTHS", 4)
    few = {"LOOK": 16, "RESOLUTION": 16, "POINTS": 256, "BATCH": 128, "STEPS": 2}  # of a mesh's beginning
    for name, number in few.items():
        monkeypatch.setattr(hand_over, name, number)
    given = [f"source={fitted}" if each == "source" else each for each in chosen]
    once = [f"out={tmp_path}", "steps=1", "schedule.switch_step=0"]
    train(settings(*SCALED, sd, *once, *given))
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


@pytest.mark.parametrize("number", [3, 4, 5])
def test_figures_of_stable_diffusion(sd: str, number: int, counts: Counts) -> None:
    """Oracle: the device refuses to meet the host; numbers that are no NaN."""
    path = sd.removeprefix("prior.path=")
    figure = paper.FIGURES[number](paper.Settings(number, "sd21", path, "cuda", pictures=2))
    json.dumps(figure.numbers, allow_nan=False)
    assert counts.totals()[1] > 0


def test_losses_of_stable_diffusion_compared(sd: str, counts: Counts) -> None:
    """Oracle: the device refuses to meet the host."""
    path = sd.removeprefix("prior.path=")
    compare.compare(
        compare.Settings("a lion", "[sds,nfsd,vsd]", "paper", path, "cuda", pictures=2, critic_steps=2)
    )
    assert counts.totals()[1] > 0


def test_questions_to_stable_diffusion(
    sd: str, judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: Counts
) -> None:
    """Oracle: the device refuses to meet the host; every loss left latents, and samples are themselves."""
    monkeypatch.setattr(ambiguity, "questions", lambda: {"an animal": "a class", "a lion": "a kind"})
    for room in (ambiguity, answers):
        monkeypatch.setattr(room, "GRADES", ("a class", "a kind"))
    asked = ambiguity.Settings(
        *("[nfsd,vsd]", "sd21", sd.removeprefix("prior.path="), "paper"),
        **{"steps": 2, "pictures": 2, "samples": 2, "device": "cuda", "judge": judge},
        cells=str(tmp_path / "cells"),
    )
    found = ambiguity.ambiguity(asked, tmp_path)
    assert [each.method for each in found] == ["NFSD 7.5", "VSD 7.5", answers.OWN] * 2
    assert {each.size for each in found if each.method == answers.OWN} == {1.0}
    assert counts.totals()[1] > 0
