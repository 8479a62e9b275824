"""The stages of training on a world of a few pictures: resumed, started from an export, in bfloat16."""

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from src.run.checkpoint import load_latest, parameters_sha256
from src.toybox import train
from src.toybox.prior.fitting import Fit
from src.toybox.prior.settings import Settings
from src.toybox.world.pictures import write_shard
from tests.pretend_cuda import pretend_cuda

TINY = ["shards=1", "processes=1", "batch_size=2", "autoencoder_batch_size=2", "checkpoint_seconds=1000"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of few pictures."""
    folder = tmp_path_factory.mktemp("world")
    write_shard(folder, 0, 0, 8)
    return folder


def fitted(folder: Path, world: Path, **settings: object) -> Path:
    """Run every stage after the first; returns the exported prior."""
    folder.mkdir(exist_ok=True)
    if not (folder / "world").exists():
        (folder / "world").symlink_to(world)
    given = {"folder": str(folder), "weights": str(folder / "weights")} | settings
    arguments = [*TINY, *(f"{name}={value}" for name, value in given.items())]
    train.fit_networks(0, train.parse(Settings, arguments))
    return folder / "weights"


def sha256(folder: Path) -> str:
    """Of the denoiser and its text encoder as trained, whole."""
    found = load_latest(folder / "denoiser")
    assert found is not None
    kept = {name: tensor for name, tensor in found.tensors.items() if name.startswith("module/")}
    return parameters_sha256(
        {"all": torch.nn.ParameterDict({n.replace(".", "-"): t for n, t in kept.items()})}
    )


def test_a_cut_training_ends_where_an_uncut_one_does(tmp_path: Path, world: Path) -> None:
    """Oracle: bits: 2 + 1 steps of the denoiser, and 3 at once; the learning rate still rises."""
    fitted(tmp_path / "cut", world, autoencoder_steps=1, denoiser_steps=2)
    fitted(tmp_path / "cut", world, autoencoder_steps=1, denoiser_steps=3)
    weights = fitted(tmp_path / "whole", world, autoencoder_steps=1, denoiser_steps=3)
    assert sha256(tmp_path / "cut") == sha256(tmp_path / "whole")
    pipe = StableDiffusionPipeline.from_pretrained(weights)
    assert pipe.unet.config.in_channels == 8
    assert json.loads((weights / "trained.json").read_text())["denoiser_samples"] == 6


def test_training_goes_on_from_an_export(tmp_path: Path, world: Path) -> None:
    """Oracle: the bundled autoencoder as it is, its denoiser a step away, its samples in the lineage."""
    start = "src/toybox/weights"
    weights = fitted(tmp_path / "on", world, start=start, autoencoder_steps=0, denoiser_steps=1)
    one, other = (StableDiffusionPipeline.from_pretrained(path) for path in (start, weights))
    assert parameters_sha256({"vae": one.vae}) == parameters_sha256({"vae": other.vae})
    moved = [
        (a - b).abs().max() / a.abs().max()
        for a, b in zip(one.unet.parameters(), other.unet.parameters(), strict=True)
        if a.abs().max() > 0
    ]
    assert 0 < max(moved) < 0.1  # the first step of a warm-up
    trained = json.loads((weights / "trained.json").read_text())
    before = json.loads((Path(start) / "trained.json").read_text())
    assert trained["denoiser_samples"] == 2
    assert trained["lineage"][-1]["denoiser_samples"] == before["denoiser_samples"]


def test_the_device_is_waited_for_only_to_log(
    tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: a pretend device, which refuses what is left on the processor and counts what waits.

    A step in the middle waits twice: for the ranges of t to come, and for the norm of the gradient.
    """
    monkeypatch.setattr(Settings, "precision", lambda self: nullcontext())  # it knows no autocast
    waits = []
    descend = Fit._descend
    with pretend_cuda() as counts:

        def counted(self: Fit, loss: torch.Tensor) -> None:
            descend(self, loss)
            waits.append(counts.totals()[0])

        monkeypatch.setattr(Fit, "_descend", counted)
        fitted(tmp_path / "on", world, device="cuda", autoencoder_steps=1, denoiser_steps=3)
    assert waits[3] - waits[2] <= 2


def test_too_few_minutes_are_a_sentence(
    tmp_path: Path, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: exit code 2 and the setting; no prior that learnt nothing is exported."""
    with pytest.raises(SystemExit, match="2"):
        fitted(tmp_path / "late", world, start="src/toybox/weights", autoencoder_steps=0, minutes=1e-4)
    assert "minutes=0.0001 were over before the denoiser began: choose more" in capsys.readouterr().err
    assert not (tmp_path / "late/weights").exists()


def test_bfloat16_loses_little(tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the same step in float32; what device=cuda does, on a processor. 3%: 8 bits, 40 layers."""

    def half(self: Settings) -> AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16)

    losses = {}
    for name in ("full", "half"):
        if name == "half":
            monkeypatch.setattr(Settings, "precision", half)
        monkeypatch.setattr("src.toybox.prior.fitting.LOG_EVERY", 1)
        fitted(tmp_path / name, world, start="src/toybox/weights", autoencoder_steps=0, denoiser_steps=1)
        row = (tmp_path / name / "denoiser" / "loss.jsonl").read_text()
        losses[name] = json.loads(row)["loss"]
    assert np.isfinite(losses["half"])
    assert losses["half"] == pytest.approx(losses["full"], rel=0.03)
