"""Settings: presets say what the paper says, names are safe, and nothing impossible gets through."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config import LOSSES, NOT_IDENTITY, RunConfig, as_dict, identity, run_name
from src.errors import UserError
from src.guidance.losses import NFSD
from src.guidance.schedule import Stage
from src.model import config_from_dict
from src.scene.field import FieldConfig
from src.scene.levels import HashGridBackend, HashGridConfig
from src.scene.rendering import RenderBackend, RenderConfig
from src.toybox.world.pictures import FRONT_DEGREES, TOY_CAMERA
from src.toybox.world.solid import BOUNDING_RADIUS
from tests.runs import settings

CONF = Path(__file__).parent.parent / "conf"
PRESETS = sorted(path.stem for path in (CONF / "preset").glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


def with_prompt(prompt: str) -> RunConfig:
    return RunConfig(prompt=prompt, preset="smoke", loss=LOSSES["nfsd"]())


def test_the_paper_preset_is_the_papers() -> None:
    """Oracle: the paper's section 6, and threestudio's prolificdreamer.yaml where the paper is silent."""
    cfg = settings("prompt=a", "preset=paper")
    assert (cfg.steps, cfg.prior.name, cfg.loss_name, cfg.loss.guidance_scale) == (
        25_000,
        "sd21",
        "nfsd",
        7.5,
    )
    assert cfg.schedule.at(4999) == Stage(64, 20, 980)
    assert cfg.schedule.at(5000) == Stage(512, 20, 500)
    assert (cfg.optimizer.lr_encoding, cfg.optimizer.weight_decay) == (0.01, 0.01)
    assert (cfg.field.hash_grid.levels, cfg.field.hash_grid.log2_table) == (16, 19)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_preset_composes_with_every_loss(preset: str, loss: str) -> None:
    """Oracle: the types; the preset's name is recorded."""
    edits = ["source=a/run"] if loss == "dds" else []
    cfg = settings("prompt=a", f"preset={preset}", f"loss={loss}", *edits)
    assert (cfg.preset, cfg.loss_name) == (preset, loss)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes(experiment: str) -> None:
    """Oracle: the types."""
    settings("prompt=a", f"experiment={experiment}")


@pytest.mark.parametrize("preset", ["laptop", "bench", "smoke"])
def test_presets_of_the_bundled_prior_see_its_world_as_it_was_photographed(preset: str) -> None:
    """Oracle: the toy world's own cameras and view words; its objects fit the sphere that is rendered."""
    cfg = settings("prompt=a", f"preset={preset}")
    assert cfg.prior.name == "toybox"
    assert cfg.camera == TOY_CAMERA
    assert cfg.prompts.front_threshold_degrees == FRONT_DEGREES
    assert cfg.field.radius > BOUNDING_RADIUS
    assert TOY_CAMERA.distance_min <= cfg.video.distance <= TOY_CAMERA.distance_max


def test_nfsd_on_the_bundled_prior_overshoots_little() -> None:
    """Oracle: R = 2.3, as conf/tuned says, summed over the schedule; w = sigma^2 would make it 10.8."""
    cfg = settings("prompt=a", "preset=laptop")
    assert isinstance(cfg.loss, NFSD)
    bar = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)[20:981]
    pull = np.sqrt(bar * (1 - bar)) / (bar * 0.25 + 1 - bar) * (1 - bar) ** (cfg.loss.sigma_power / 2)
    below = np.arange(20, 981) < cfg.loss.cut
    assert round(pull[~below].sum() / pull[below].sum(), 1) == 2.3


@pytest.mark.parametrize("loss", ["sds", "sjc", "csd", "nfsd", "vsd"])
def test_losses_on_the_bundled_prior_differ_in_direction_alone(loss: str) -> None:
    """Oracle: w = 1 for all, as docs/findings.md says; DDS edits and is compared with none of them."""
    weight = settings("prompt=a", "preset=bench", f"loss={loss}").loss
    assert (weight.alpha_power, weight.sigma_power) == (0.0, 0.0)


def test_nfsd_at_scale_7_5_is_the_default() -> None:
    """Oracle: the paper's section 4."""
    cfg = settings("prompt=a")
    assert (cfg.loss_name, cfg.loss.guidance_scale) == ("nfsd", 7.5)


@given(prompt=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_run_names_are_safe_for_any_prompt(prompt: str) -> None:
    """Oracle: one path component that no shell or file system chokes on, of at most 255 bytes."""
    if not prompt.strip():
        with pytest.raises(UserError, match="prompt is empty"):
            with_prompt(prompt)
        return
    name = run_name(with_prompt(prompt))
    assert re.fullmatch(r"[\w]+(-[\w.]+)*-nfsd-s7\.5-seed0-[0-9a-f]{6}", name)
    assert "/" not in name
    assert len(name.encode()) <= 255


def test_run_names_tell_what_they_should() -> None:
    """Oracle: by hand."""
    assert run_name(with_prompt("A ceramic LION!")).startswith("a-ceramic-lion-nfsd-s7.5-seed0-")
    assert run_name(with_prompt("../../etc")).startswith("etc-nfsd-")
    assert run_name(with_prompt("***")).startswith("prompt-nfsd-")
    assert run_name(with_prompt("獅子")).startswith("獅子-nfsd-")


@pytest.mark.parametrize(
    ("change", "another_run"),
    [
        ({"seed": 1}, True),
        ({"prompt": "a cat?"}, True),
        ({"loss": LOSSES["nfsd"](sigma_power=0.0)}, True),
        ({"batch_size": 2}, True),
        ({"steps": 9}, False),
        ({"threads": 1}, False),
        ({"device": "cpu"}, False),
        ({"out": "elsewhere"}, False),
        ({"fresh": True}, False),
        ({"render": RenderConfig(backend=RenderBackend.nerfacc)}, False),
        ({"render": RenderConfig(samples_per_ray=9)}, True),
        ({"field": FieldConfig(hash_grid=HashGridConfig(backend=HashGridBackend.tcnn))}, False),
        ({"field": FieldConfig(hash_grid=HashGridConfig(levels=9))}, True),
    ],
)
def test_what_makes_another_run(change: dict[str, object], another_run: bool) -> None:
    """Oracle: steps, threads, out, fresh and what computes stay out of the name's hash."""
    before = with_prompt("a cat")
    after = dataclasses.replace(before, **change)
    assert (run_name(before) != run_name(after)) == another_run
    assert (identity(before) != identity(after)) == another_run


def test_not_identity_names_settings_that_exist() -> None:
    """Oracle: RunConfig's own fields."""
    assert set(NOT_IDENTITY) <= {f.name for f in dataclasses.fields(RunConfig)}


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    seed=st.integers(0, 2**62),
    loss=st.sampled_from(sorted(LOSSES)),
    scale=st.floats(0, 1000),
    threads=st.none() | st.integers(1, 64),
)
def test_settings_survive_a_round_trip(
    prompt: str, seed: int, loss: str, scale: float, threads: int | None
) -> None:
    """Oracle: identity, through the plain values that checkpoints hold."""
    cfg = RunConfig(
        prompt=prompt, preset="smoke", seed=seed, threads=threads, loss=LOSSES[loss](guidance_scale=scale)
    )
    assert config_from_dict(as_dict(cfg)) == cfg


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"seed": -1},
        {"batch_size": 0},
        {"threads": 0},
        {"device": "tpu"},
        {"device": "cuda:99"},
        {"out": " "},
        {"prompt": "\udcff"},
    ],
)
def test_impossible_settings_are_named(bad: dict[str, object]) -> None:
    """Oracle: the sentence begins with the setting."""
    with pytest.raises(UserError, match=f"^{next(iter(bad))}"):
        dataclasses.replace(with_prompt("a"), **bad)


def test_numbers_that_are_not_finite_are_named_wherever_they_are() -> None:
    """Oracle: the sentence names the whole path of the setting."""
    for section in (
        "field",
        "camera",
        "occupancy",
        "regularizer",
        "optimizer",
        "video",
        "background",
        "loss",
    ):
        cfg = with_prompt("a")
        part = getattr(cfg, section)
        numbers = [f.name for f in dataclasses.fields(part) if isinstance(getattr(part, f.name), float)]
        assert numbers
        for name in numbers:
            broken = dataclasses.replace(cfg)
            setattr(getattr(broken, section), name, float("nan"))  # past the section's own check
            with pytest.raises(UserError, match=rf"^{section}\.{name}=nan"):
                dataclasses.replace(broken)
            setattr(part, name, 0.5)
