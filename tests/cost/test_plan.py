"""What a run would cost, said without weights, against what is known of the real network and of real runs."""

from pathlib import Path

import pytest
import torch

from src.config import identity, run_name
from src.cost.counters import Cost
from src.cost.plan import (
    Plan,
    Stretch,
    blind,
    describe_plan,
    drawn_rows,
    guidance_costs,
    plan,
    probe_resolution,
    scaled,
    scene_costs,
    weightless_prior,
)
from src.errors import UserError
from src.guidance import replica
from src.scene import march
from src.train import train
from tests.runs import settings, tiny
from tests.test_train import manifest


def test_stable_diffusions_flops() -> None:
    """Oracle: GFLOP of the libraries alone: 804.3 a UNet row, 1116.7 the encoder, 1151.0 its gradient and
    the scores of 4096 x 4096 pixels, which fused attention computes again for its gradient.
    """
    cfg = settings("prompt=a", "preset=paper")
    weightless = weightless_prior(cfg.prior)
    costs = guidance_costs(cfg, weightless, range(5000, 25_000), mean_rows=2.5)
    assert costs["unet"].flops / 2.5 == pytest.approx(804.3e9, rel=1e-4)
    assert costs["encode"].flops == pytest.approx(1116.7e9, rel=1e-4)
    assert costs["encode, backward"].flops == pytest.approx(1151.0e9 + 2 * 4096**2 * 512, rel=1e-4)
    assert weightless.bytes == 2 * (865_910_724 + 83_653_863)
    assert weightless.text_shape == (77, 1024)


def test_latents_alone_cost_their_unet_passes() -> None:
    """Oracle: 804.3 GFLOP a UNet row, and Adam's on the latents, a millionth of that."""
    said = ("generator=latents", "loss=sds", "batch_size=2", "steps=3")
    (stretch,) = plan(settings("prompt=a", "preset=paper", *said)).stretches
    assert stretch.unet_rows == 2 * 2 * 3
    assert sum(cost.flops for cost in stretch.costs.values()) == pytest.approx(4 * 804.3e9, rel=1e-4)


def test_rows_are_those_the_run_evaluates(tmp_path: Path) -> None:
    """Oracle: the manifest of the run itself."""
    cfg = tiny(tmp_path)
    train(cfg)
    rows = drawn_rows(cfg, range(0, cfg.steps))
    assert manifest(cfg)["unet_passes_per_sample"] == rows / (cfg.steps * cfg.batch_size)


@pytest.mark.parametrize(("first", "most"), [(0, 2.85), (5000, 2.65)])
def test_nfsd_spares_rows(first: int, most: float) -> None:
    """Oracle: 2 + 781/961 for t in [20, 980] and 2 + 301/481 for t in [20, 500]; 1,000 draws err by 0.015."""
    cfg = settings("prompt=a", "preset=paper")
    rows = drawn_rows(cfg, range(first, first + 1000)) / 1000
    assert rows == pytest.approx(2 + (781 / 961 if first == 0 else 301 / 481), abs=0.05)
    assert rows <= most


@pytest.mark.parametrize("step", [0, 10**6])
def test_a_small_rendering_prices_a_large_one(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the large one itself; other rays through the same scene differ by a few per cent."""
    monkeypatch.setattr(march, "CANDIDATES", 2**15)
    cfg = tiny(tmp_path, "render.samples_per_ray=32", "schedule.resolution_after=64", "batch_size=1")
    probe = probe_resolution(cfg, 64)
    assert probe == 33  # the first size with more than 2^15 bins
    prior = blind(weightless_prior(cfg.prior).prior)
    told = scaled(cfg, scene_costs(cfg, probe, step, prior), probe, 64)
    true = scene_costs(cfg, 64, step, prior)
    for part in true:
        assert told[part].flops == pytest.approx(true[part].flops, rel=0.05)
        assert told[part].bytes == pytest.approx(true[part].bytes, rel=0.05)


def test_a_cheaper_encoder_is_priced(tmp_path: Path) -> None:
    """Oracle: checkpointing encodes again in backward; TAESD's few convolutions have far fewer FLOPs."""
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    with torch.random.fork_rng():
        AutoencoderTiny().save_pretrained(tmp_path)  # TAESD's shapes
    again, small = (
        guidance_costs(cfg, weightless_prior(cfg.prior), range(5000, 5001), 3.0)
        for cfg in (
            settings("prompt=a", "preset=paper", change)
            for change in ("prior.checkpoint_encoder=true", f"prior.small_autoencoder={tmp_path}")
        )
    )
    encode, backward = 1117e9, 1168e9  # without either
    assert again["encode"].flops == pytest.approx(encode, rel=0.001)
    assert 0.9 * encode < again["encode, backward"].flops - backward <= 1.001 * encode
    assert small["encode"].flops < 0.15 * encode
    assert small["encode, backward"].flops < 0.15 * backward


def test_nothing_is_written_and_nothing_else_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: no folder; the settings of the whole run in what is said."""
    cfg = tiny(tmp_path / "run", "plan=true", "plan_tflops=0.25")
    assert train(cfg) == 0.0
    assert not (tmp_path / "run").exists()
    said = capsys.readouterr().out
    assert "3 steps at 8x8" in said
    assert "4 steps at 16x16" in said
    assert "at 0.25 TFLOP/s, which is assumed" in said


def test_a_plan_is_no_other_run() -> None:
    """Oracle: name and identity of the run that is planned."""
    plain = settings("prompt=a", "preset=laptop")
    planned = settings("prompt=a", "preset=laptop", "plan=true", "plan_tflops=7")
    assert run_name(plain) == run_name(planned)
    assert identity(plain) == identity(planned)


def test_hours_and_sums() -> None:
    """Oracle: by hand: 10 steps of 2 TFLOP and 20 of 5 are 120; 120 s at 1 TFLOP/s."""
    cheap, dear = ({"unet": Cost(flops * 10**12, 0, 0, 0)} for flops in (2, 5))
    found = Plan(1, [Stretch(8, 10, 25, cheap, 10**9), Stretch(16, 20, 60, dear, 10**9)], tflops=1.0)
    assert found.total().flops == 120 * 10**12
    assert found.hours() == pytest.approx(120 / 3600)
    assert "85 UNet passes; 120.0 TFLOP" in describe_plan(found)


def test_a_folder_needs_only_its_configuration(tmp_path: Path) -> None:
    """Oracle: the same folder after its weights are gone; a broken one is named."""
    replica.write(tmp_path / "model", "tiny")
    for file in (tmp_path / "model").rglob("*.safetensors"):
        file.unlink()
    cfg = tiny(tmp_path / "run", "prior.name=replica", f"prior.path={tmp_path / 'model'}", "steps=2")
    weightless = weightless_prior(cfg.prior)
    assert weightless.prior.latent_shape == (4, 8, 8)
    assert next(weightless.prior._unet.parameters()).device == torch.device("meta")
    assert all(stretch.memory_bytes > weightless.bytes for stretch in plan(cfg).stretches)
    (tmp_path / "model/unet/config.json").write_text("{ no json")
    with pytest.raises(UserError, match=r"^prior\.path=.*unet is broken"):
        plan(cfg)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_an_impossible_throughput_is_named(value: str) -> None:
    """Oracle: the sentence begins with the setting."""
    with pytest.raises(UserError, match=r"^plan_tflops="):
        settings("prompt=a", "preset=smoke", f"plan_tflops={value}")
