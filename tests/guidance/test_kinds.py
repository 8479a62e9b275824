"""A model folder is judged by what it does: what diffusers loads, loads, or is refused for a true reason."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from src.errors import UserError
from src.guidance.load import load_prior
from src.guidance.loading import missing_files, weight_files
from src.guidance.prior import Precision, PriorConfig
from src.guidance.source import Source, local_source


def load_from(folder: Path, **settings: Any) -> Any:
    return load_prior(PriorConfig(path=str(folder), precision=Precision.float32, **settings), "cpu")


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model whose files may be changed."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def change(folder: Path, file: str, **settings: Any) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def rebuilt(folder: Path, **settings: Any) -> None:
    """The UNet anew, with random weights that fit other settings."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config = json.loads((folder / "unet/config.json").read_text()) | settings
    shutil.rmtree(folder / "unet")
    with torch.random.fork_rng():
        UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_are_loaded(copy: Path, tiny_prior: Any, variant: str | None) -> None:
    """Oracle: the same weights in one file; every shard is among the files whose digests a manifest keeps."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(copy / "unet", use_safetensors=True)
    shutil.rmtree(copy / "unet")
    unet.save_pretrained(copy / "unet", max_shard_size="20KB", variant=variant)
    assert missing_files(copy) == []
    shards = {path.name for path in (copy / "unet").glob("*.safetensors")}
    assert len(shards) > 1
    assert {path.name for path in weight_files(copy) if path.parent.name == "unet"} == shards
    assert {f"unet/{name}" for name in shards} <= set(Source("x", copy).provenance()["sha256"])
    for one, other in zip(load_from(copy)._unet.parameters(), tiny_prior._unet.parameters(), strict=True):
        assert torch.equal(one, other)
    (copy / "unet" / min(shards)).unlink()
    with pytest.raises(UserError, match=f"lacks unet/{min(shards)}"):
        load_from(copy)


def test_a_pair_of_equal_sides_is_a_size(copy: Path) -> None:
    """Oracle: the size that the pair names; null is asked for, and two sides are refused."""
    change(copy, "unet/config.json", sample_size=[16, 16])
    assert load_from(copy).latent_shape == (4, 16, 16)
    change(copy, "unet/config.json", sample_size=None)
    with pytest.raises(UserError, match=r"sample_size is null\): give prior.latent_size=N"):
        load_from(copy)
    assert load_from(copy, latent_size=8).latent_shape == (4, 8, 8)
    change(copy, "unet/config.json", sample_size=[16, 8])
    with pytest.raises(UserError, match=r"no square \(sample_size is \[16, 8\]\)"):
        load_from(copy)


@pytest.mark.parametrize(
    ("file", "settings", "sentence"),
    [
        ("text_encoder/config.json", {"model_type": "bert"}, "text_encoder is a bert, and we need CLIP's"),
        ("vae/config.json", {"_class_name": "VQModel"}, "vae is a VQModel, and we need an AutoencoderKL"),
        ("vae/config.json", {"shift_factor": 0.1}, "vae shifts its latents"),
        ("unet/config.json", {"_class_name": "UNet2DModel"}, "unet is a UNet2DModel"),
        (
            "scheduler/scheduler_config.json",
            {"_class_name": "FlowMatchEulerDiscreteScheduler"},
            "scheduler is a FlowMatchEuler",
        ),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 500}, "schedule has 500 steps"),
    ],
)
def test_another_kind_of_model_is_named(
    copy: Path, file: str, settings: dict[str, Any], sentence: str
) -> None:
    """Oracle: what the settings say it is; each would otherwise break late, or guide wrongly in silence."""
    change(copy, file, **settings)
    with pytest.raises(UserError, match=f"{sentence}.*choose prior=toybox"):
        load_from(copy)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"out_channels": 8}, "takes 4 channels and answers with 8"),
        (
            {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 8},
            "asked once for a noise, it fails .*class_labels",
        ),
        (
            {"addition_embed_type": "text_time", "addition_time_embed_dim": 4,
             "projection_class_embeddings_input_dim": 56},
            "asked once for a noise, it fails",
        ),
    ],
    ids=["variance", "unCLIP", "SDXL"],
)  # fmt: skip
def test_a_unet_that_wants_more_is_found_when_it_is_loaded(
    copy: Path, settings: dict[str, Any], sentence: str
) -> None:
    """Oracle: diffusers' own models with inputs that nobody gives, or outputs that nobody reads."""
    rebuilt(copy, **settings)
    with pytest.raises(UserError, match=f"{sentence}.*choose prior=toybox"):
        load_from(copy)


def test_weights_that_are_no_numbers_are_found_when_they_are_loaded(copy: Path) -> None:
    """Oracle: one NaN in the UNet's last layer."""
    from safetensors.torch import load, save_file

    file = copy / "unet/diffusion_pytorch_model.safetensors"
    weights = load(file.read_bytes())
    weights["conv_out.bias"][0] = torch.nan
    file.unlink()
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(UserError, match="UNet answers with numbers that are not finite"):
        load_from(copy)


def test_a_single_file_and_an_id_get_the_sentence_that_helps(tmp_path: Path) -> None:
    """Oracle: the command that makes a folder of it; the settings that fetch it."""
    file = tmp_path / "dreamlike.safetensors"
    file.write_bytes(b"x")
    with pytest.raises(UserError, match=r"no folder but a single file: .*from_single_file\('.*dreamlike"):
        local_source(str(file))
    save_file({"lora_unet_x.lora_up.weight": torch.ones(1)}, file)
    with pytest.raises(UserError, match=r"it is a LoRA and no model: write prior\.lora=.*dreamlike"):
        local_source(str(file))
    with pytest.raises(UserError, match=r"write prior=sd21 prior\.source=stabilityai/sd-turbo instead"):
        local_source("stabilityai/sd-turbo")
