"""The dearest step before the first: it sees every row and a formed object; no number of the run sees it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from src import train as training
from src.assemble import assemble, make_guide
from src.config import RunConfig
from src.cost import preflight as module
from src.cost.preflight import describe, preflight
from src.errors import UserError
from src.generators.source import Source
from src.guidance.guide import Guide
from src.guidance.load import load_prior
from src.guidance.prior import Prior
from src.model import as_priced
from src.step import Run, Step, take_step
from src.train import train
from tests.runs import tiny
from tests.test_train import manifest, metrics

CPU = torch.device("cpu")


def guide_of(cfg: RunConfig) -> Guide:
    return make_guide(cfg, load_prior(cfg.prior, CPU))


def with_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have train() take its pre-flight on the processor as it does on CUDA."""
    make = training.make_guide

    def make_and_preflight(cfg: RunConfig, prior: Prior, source: Source | None) -> Guide:
        guide = make(cfg, prior, source)
        preflight(cfg, guide, CPU, 0, source)
        return guide

    monkeypatch.setattr(training, "make_guide", make_and_preflight)


def test_no_number_of_the_run_depends_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: parameters, draws and every logged number of the run without a pre-flight."""
    plain, checked = tiny(tmp_path / "plain"), tiny(tmp_path / "checked")
    train(plain)
    with_preflight(monkeypatch)
    train(checked)
    assert manifest(checked)["parameters_sha256"] == manifest(plain)["parameters_sha256"]
    assert metrics(checked) == metrics(plain)


def test_each_resolution_is_tried_at_its_dearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: by hand: t on both sides of NFSD's cut, three rows a view, last steps."""
    seen: list[tuple[int, int, int]] = []

    def watch(run: Run, step: int, *rest: Any) -> Step:
        done = take_step(run, step, *rest)
        seen.append((step, int(done.t[0]), done.terms.unet_rows))
        return done

    monkeypatch.setattr(module, "take_step", watch)
    cfg = tiny(tmp_path)
    found = preflight(cfg, guide_of(cfg), CPU)
    assert seen == [(2, 20, 4), (2, 200, 6), (6, 20, 4), (6, 200, 6)]
    assert [(row.resolution, row.steps) for row in found] == [(8, 3), (16, 4)]
    assert all(row.seconds > 0 for row in found)
    assert found[1].peak_bytes > found[0].peak_bytes > 0


def test_a_formed_object_is_priced_and_no_full_cube(tmp_path: Path) -> None:
    """Oracle: the ball's volume; of 4096 cells some 400 are cut by its surface and asked at one place each,
    so 0.01 is four standard deviations.
    """
    cfg = tiny(tmp_path, "occupancy.resolution=16", "schedule.switch_step=0")
    (row,) = preflight(cfg, guide_of(cfg), CPU)
    ball = 4 / 3 * math.pi * cfg.field.blob_radius**3
    assert row.occupied == pytest.approx(ball / (2 * cfg.field.radius) ** 3, abs=0.01)
    assert f"16x16 with {row.occupied:.0%} of the cube filled" in describe([row])


def test_every_particle_is_priced_as_formed(tmp_path: Path) -> None:
    """Oracle: a grid that nobody refreshed has all of its cells filled."""
    cfg = as_priced(tiny(tmp_path, "particles=3", "occupancy.resolution=16", "schedule.switch_step=0"), 0)
    run = assemble(cfg, guide_of(cfg), CPU, None)
    share = module._refreshed(run)
    grids = [found for name, found in run.generator.modules().items() if name.startswith("occupancy")]
    assert [float(grid.bits.double().mean()) < 0.5 for grid in grids] == [True] * 3
    assert share == float(grids[0].bits.double().mean())


def test_a_resumed_run_tries_what_is_left(tmp_path: Path) -> None:
    """Oracle: by hand: from step 5 of 7 there are two steps, all at the second resolution."""
    cfg = tiny(tmp_path)
    found = preflight(cfg, guide_of(cfg), CPU, first_step=5)
    assert [(row.resolution, row.steps) for row in found] == [(16, 2)]


def test_what_is_said(tmp_path: Path) -> None:
    """Oracle: 3 steps of 600 s and 4 of 1200 s are 1.8 h."""
    rows = [module.WorstStep(64, 3, 600.0, 5 * 10**9, None), module.WorstStep(512, 4, 1200.0, 7 * 10**9, 0.1)]
    said = describe(rows)
    for part in ("64x64: 600.00 s, 5.00 GB", "512x512 with 10% of the cube filled: 1200.00 s, 7.00 GB"):
        assert part in said


def out_of_memory_above(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """A device whose memory is used up by chunk, views and pixels, 1 byte each."""

    def short(run: Run, step: int, *rest: Any) -> Step:
        cfg, resolution = run.cfg, run.cfg.schedule.at(step).resolution
        if cfg.render.chunk_samples + cfg.batch_size * resolution**2 > limit:
            raise torch.OutOfMemoryError("out of memory")
        return take_step(run, step, *rest)

    monkeypatch.setattr(module, "take_step", short)


@pytest.mark.parametrize(
    ("limit", "fits"),
    [
        (4096 + 512, "render.chunk_samples=4096 would fit"),
        (1024 + 512, "render.chunk_samples=1024 would fit"),
        (1024 + 256, "render.chunk_samples=1024 batch_size=1 would fit"),
        (1024 + 64, "render.chunk_samples=1024 batch_size=1 schedule.resolution_after=8 would fit"),
        (7, "whatever the settings of the scene"),
    ],
)
def test_too_little_memory_names_settings_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, fits: str
) -> None:
    """Oracle: a device whose limit is known: 16384 + 2 x 16 x 16 do not fit; the mildest change that does."""
    cfg = tiny(tmp_path, "render.chunk_samples=16384")
    out_of_memory_above(monkeypatch, limit)
    with pytest.raises(UserError, match=rf"^device=cpu has too little memory for .*{fits}.*preset=laptop$"):
        preflight(cfg, guide_of(cfg), CPU)


def test_too_little_memory_is_said_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: no row of metrics."""
    with_preflight(monkeypatch)
    out_of_memory_above(monkeypatch, 7)
    with pytest.raises(UserError, match="too little memory"):
        train(tiny(tmp_path))
    assert not (tmp_path / "metrics.jsonl").exists()
