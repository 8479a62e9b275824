"""Runs of every generator and of losses that ask somebody else: made, resumed, edited, refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from src.config import RunConfig, identity, run_name
from src.door import settings
from src.errors import UserError
from src.guidance import replica
from src.model import CHECKPOINTS, load_run
from src.run import checkpoint
from src.train import train
from tests.runs import tiny
from tests.test_train import killed_at, manifest, metrics

FEW = ("batch_size=1", "steps=5")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings of a small latent diffusion model of random weights, with attention for a LoRA."""
    folder = tmp_path_factory.mktemp("networks") / "tiny"
    replica.write(folder, "tiny")
    return ["prior=sd21", f"prior.path={folder}"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    cfg = tiny(tmp_path_factory.mktemp("finished"), prompt="a wooden cube")
    train(cfg)
    return cfg


def tensors(cfg: RunConfig) -> dict[str, torch.Tensor]:
    found = checkpoint.load_latest(Path(str(cfg.out)) / CHECKPOINTS)
    assert found is not None
    return found.tensors


# --- VSD ----------------------------------------------------------------------------------------------------


def test_a_killed_run_with_a_critic_ends_as_if_it_had_not_been(
    tmp_path: Path, networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the undisturbed run: every tensor of scene, critic and optimisers, and every logged number."""
    whole = tiny(tmp_path / "whole", *networks, "loss=vsd", *FEW)
    train(whole)
    cut = tiny(tmp_path / "cut", *networks, "loss=vsd", *FEW)
    killed_at(monkeypatch, 3, cut)
    train(cut)
    ours, theirs = tensors(cut), tensors(whole)
    assert ours.keys() == theirs.keys()
    assert {name.split("/")[0] for name in ours} == {"module", "optimizer", "critic-optimizer"}
    assert any(name.startswith("module/critic/lora") for name in ours)
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name
    assert metrics(cut) == metrics(whole)
    assert all(row["critic"] > 0 for row in metrics(whole))
    # Prompt, null and critic, and the row that the critic learns from.
    assert manifest(whole)["unet_passes_per_sample"] == 4


def test_a_prior_without_attention_has_no_critic(tmp_path: Path) -> None:
    """Oracle: the sentence names setting, value and remedy."""
    with pytest.raises(UserError, match=r"loss=vsd .*prior=gaussian.*: choose another prior or loss"):
        train(tiny(tmp_path, "loss=vsd"))


# --- latents ------------------------------------------------------------------------------------------------


def test_latents_alone_become_pictures(tmp_path: Path) -> None:
    """Oracle: SDS's fixed point on Gaussians, the guided mean: from a Gaussian start to a plain colour."""
    cfg = tiny(
        *(tmp_path, "generator=latents", "loss=sds", "loss.guidance_scale=1", "steps=300", "batch_size=3"),
        *("optimizer.lr_latents=0.03", "logging.preview_every=100", "logging.checkpoint_every=100"),
    )
    train(cfg)
    latents = tensors(cfg)["module/latents/latents"]
    assert latents.shape == (3, 3, 8, 8)
    assert float(latents.std((2, 3)).max()) < 0.35  # of a start's 1; the draws leave their mark
    assert {path.name for path in tmp_path.iterdir()} >= {"picture.png", "previews.png", "manifest.json"}
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (3 * 8, 8)
    with pytest.raises(UserError, match=r"^run=.* holds latents and no scene"):
        load_run(tmp_path, torch.device("cpu"))


def test_a_killed_run_of_latents_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the digest of the undisturbed run's parameters."""
    whole, cut = (tiny(tmp_path / name, "generator=latents", *FEW) for name in ("whole", "cut"))
    train(whole)
    killed_at(monkeypatch, 3, cut)
    train(cut)
    assert manifest(cut)["parameters_sha256"] == manifest(whole)["parameters_sha256"]


# --- DDS ----------------------------------------------------------------------------------------------------


def test_an_edit_of_a_thing_into_itself_changes_nothing(tmp_path: Path, finished: RunConfig) -> None:
    """Oracle: DDS of a scene with itself is exactly 0, so that no step moves a parameter but by its decay."""
    cfg = tiny(
        *(tmp_path, "loss=dds", f"source={finished.out}", "optimizer.weight_decay=0"),
        *("regularizer.sparsity=0", "regularizer.opaque=0"),
        prompt="a wooden cube",
    )
    train(cfg)
    assert all(row["gradient"] == 0 for row in metrics(cfg))
    before, after = tensors(finished), tensors(cfg)
    for name, value in before.items():
        if name.startswith(("module/field", "module/background")):
            assert torch.equal(after[name], value), name


def test_a_killed_edit_ends_as_if_it_had_not_been(
    tmp_path: Path, finished: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the undisturbed edit, bit for bit; it differs from what it began as."""
    whole, cut = (tiny(tmp_path / name, "loss=dds", f"source={finished.out}") for name in ("whole", "cut"))
    train(whole)
    killed_at(monkeypatch, 5, cut)
    train(cut)
    assert manifest(cut)["parameters_sha256"] == manifest(whole)["parameters_sha256"]
    assert manifest(whole)["parameters_sha256"] != manifest(finished)["parameters_sha256"]
    assert any(row["gradient"] > 0 for row in metrics(whole))


def test_a_picture_is_edited_as_latents(tmp_path: Path) -> None:
    """Oracle: before the first step there is the picture; both prompts alike leave it as it is."""
    Image.new("RGB", (20, 12), (255, 0, 0)).save(tmp_path / "red.png")
    source = ["generator=latents", "loss=dds", f"source={tmp_path / 'red.png'}"]
    cfg = tiny(tmp_path / "run", *source, "source_prompt=a red cube", "optimizer.weight_decay=0")
    train(cfg)
    latents = tensors(cfg)["module/latents/latents"]
    expected = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(2, 3, 8, 8)  # the identity encoder's
    torch.testing.assert_close(latents, expected, rtol=0, atol=1e-6)  # float32 of 2 x - 1, resized


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["loss=dds"], "loss=dds edits what is there: name a finished run"),
        (["source=nosuch"], "source=nosuch does not exist: name the folder of a finished run"),
        (["source_prompt=a cat"], "says what source shows: give both or neither"),
        (["loss=dds", "source=nosuch"], "source=nosuch does not exist: name the folder of a finished run"),
        (["loss=dds", "source=EMPTY"], "is no run: name the folder of a finished run"),
        (["loss=dds", "source=HALF"], r"is unfinished \(step 3\)"),
        (["loss=dds", "source=TEXT"], "only latents begin from a picture"),
        (["loss=dds", "generator=latents", "source=TEXT"], "say what it shows, as in source_prompt"),
        (
            ["loss=dds", "generator=latents", "source=TEXT", "source_prompt=a"],
            "is no picture that can be read",
        ),
        (["loss=dds", "generator=latents", "source=RUN"], "holds no latents: choose generator=nerf"),
        (["loss=dds", "source=RUN", "field.hidden=9"], "has field.hidden=8, and this run 9"),
        (["generator=latents", "prompts.perp_neg=1"], "prompts.perp_neg=1.0 tells views apart"),
        (["loss=dds", "source=x", "prompts.perp_neg=1"], "prompts.perp_neg=1.0 would turn what is edited"),
    ],
)
def test_what_cannot_be_edited_is_named(
    tmp_path: Path, finished: RunConfig, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    """Oracle: by hand: one sentence for each, before anything is written to the run's folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half/manifest.json").write_text('{"parameters_sha256": "0", "finished": false, "step": 3}')
    (tmp_path / "notes.txt").write_text("no picture")
    places = {"EMPTY": "empty", "HALF": "half", "TEXT": "notes.txt", "RUN": str(finished.out)}
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
    with pytest.raises(UserError, match=said):
        train(tiny(tmp_path / "run", *arguments))
    assert not (tmp_path / "run/config.yaml").exists()


def test_latents_of_another_shape_are_no_source(tmp_path: Path) -> None:
    """Oracle: both shapes are named."""
    first = tiny(tmp_path / "first", "generator=latents", "batch_size=2", "steps=1")
    train(first)
    edit = ["generator=latents", "loss=dds", f"source={first.out}", "batch_size=3"]
    with pytest.raises(UserError, match=r"holds latents 2x3x8x8, and this run's are 3x3x8x8"):
        train(tiny(tmp_path / "second", *edit))


# --- names --------------------------------------------------------------------------------------------------


def test_settings_that_came_later_rename_no_run(tmp_path: Path) -> None:
    """Oracle: names given before these settings came (of laptop, since it has the paper's cut)."""
    names = {
        ("prompt=a ceramic lion", "preset=laptop"): "a-ceramic-lion-nfsd-s7.5-seed0-febe8b",
        ("prompt=a red car", "preset=bench", "loss=sds", "seed=3"): "a-red-car-sds-s100-seed3-b6321d",
        ("prompt=a", "preset=paper"): "a-nfsd-s7.5-seed0-c1490b",
    }
    for arguments, name in names.items():
        cfg = settings(*arguments)
        assert run_name(cfg) == name
        assert not {"generator", "source", "critic"} & set(identity(cfg))
    vsd: dict[str, Any] = identity(settings("prompt=a", "preset=bench", "loss=vsd", "critic.rank=8"))
    assert vsd["critic"] == {"rank": 8, "learning_rate": 1e-3, "pose_dropout": 0.1}
