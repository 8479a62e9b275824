"""Every way in which a model's files can be missing, broken or out of reach; and what loads."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save_file

from src.errors import UserError
from src.guidance import loading
from src.guidance.load import announce, load_prior
from src.guidance.prior import Precision, PriorConfig
from tests import oracles
from tests.pretend_hub import build_base

T, TEXT_WIDTH = torch.tensor([500]), 32


def load_from(folder: Path | str) -> Any:
    return load_prior(PriorConfig(path=str(folder), precision=Precision.float32), "cpu")


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that may be broken."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def same_model(one: Any, other: Any) -> bool:
    noised = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    text = one.embed(["a red lion"])
    return torch.equal(text, other.embed(["a red lion"])) and torch.equal(
        one.predict_noise(noised, T, text), other.predict_noise(noised, T, text)
    )


def rewrite(file: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Change a safetensors file by way of memory: the file itself may still be mapped by a loaded model."""
    weights = change(load(file.read_bytes()))
    file.unlink()
    save_file(weights, file, {"format": "pt"})


# --- what loads ---------------------------------------------------------------------------------------------


def test_a_local_folder_never_touches_the_network(
    tiny_folder: Path, tiny_prior: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: sockets that refuse to be opened; the model is the one we know."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a local folder was loaded over the network")

    for opening in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, opening, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert same_model(load_from(tiny_folder), tiny_prior)


def test_loading_says_nothing(tiny_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Oracle: empty stdout and stderr, and the libraries' own settings as they were."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    before = (diffusers_logging.get_verbosity(), transformers_logging.get_verbosity())
    load_from(tiny_folder)
    assert capfd.readouterr() == ("", "")
    assert (diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()) == before
    assert transformers_logging.is_progress_bar_enabled()


def test_half_precision_files_load_by_their_hub_names(copy: Path, tiny_prior: Any) -> None:
    """Oracle: the same weights rounded to float16 by hand, computed with in float32."""
    for part, name in loading.WEIGHTS.items():
        file = copy / part / f"{name}.safetensors"
        rewrite(file, lambda weights: {key: value.half() for key, value in weights.items()})
        file.rename(copy / part / f"{name}.fp16.safetensors")
    config = copy / "text_encoder/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float16"}))
    half = load_from(copy)
    assert half.embed(["a lion"]).dtype == torch.float32
    for rounded, exact in zip(half._unet.parameters(), tiny_prior._unet.parameters(), strict=True):
        assert torch.equal(rounded, exact.half().float())
    for rounded, exact in zip(
        half._text_encoder.parameters(), tiny_prior._text_encoder.parameters(), strict=True
    ):
        assert torch.equal(rounded, exact.half().float())


def test_the_hubs_older_text_encoder_layout_loads(copy: Path, tiny_prior: Any) -> None:
    """Oracle: the same weights under text_model.*, with the position_ids that old files carry."""
    rewrite(
        copy / "text_encoder/model.safetensors",
        lambda weights: {
            **{f"text_model.{key.removeprefix('text_model.')}": value for key, value in weights.items()},
            "text_model.embeddings.position_ids": torch.arange(77)[None],
        },
    )
    assert same_model(load_from(copy), tiny_prior)


# What sets the relatives apart from 2.1-base, in the keys of their published settings.
FAMILY: dict[str, dict[str, Any]] = {
    "1.5": {
        "unet__attention_head_dim": 2,
        "unet__cross_attention_dim": 768,
        "unet__use_linear_projection": False,
        "text_encoder__hidden_size": 768,
        "text_encoder__num_attention_heads": 12,
        "text_encoder__hidden_act": "quick_gelu",
    },
    "2.1": {"unet__sample_size": 96, "scheduler__prediction_type": "v_prediction"},
}


@pytest.mark.parametrize("name", FAMILY)
def test_its_relatives_load_from_the_hubs_older_files(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the files' own numbers; eps is what the UNet says, or alpha v + sigma z_t; it is said which."""
    folder = build_base(tmp_path / "model", **FAMILY[name])
    cfg = PriorConfig(name="sd21", path=str(folder), precision=Precision.float32)
    prior = load_prior(cfg, "cpu")
    holds_what_its_files_say(prior, folder)
    announce(cfg, prior)
    said = capsys.readouterr().out
    assert ("velocity prediction, 4x96x96 latents" if name == "2.1" else "cross_attention_dim is 768") in said
    noised, t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([20, 999])
    text = prior.embed(["a", ""])
    found = prior.predict_noise(noised, t, text)
    with torch.no_grad():
        said_by_unet = prior.unet(noised, t, encoder_hidden_states=text).sample
    squared = oracles.alpha_bar(t).view(-1, 1, 1, 1).float()
    velocity = squared.sqrt() * said_by_unet + (1 - squared).sqrt() * noised
    torch.testing.assert_close(found, velocity if name == "2.1" else said_by_unet, rtol=1e-4, atol=1e-5)


def holds_what_its_files_say(prior: Any, folder: Path) -> None:
    """Weights under today's names, read by safetensors alone."""
    for part, model in (("unet", prior._unet), ("vae", prior._vae), ("text_encoder", prior._text_encoder)):
        (file,) = (folder / part).glob("*.safetensors")
        weights = load(file.read_bytes())
        weights.pop("text_model.embeddings.position_ids", None)
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
            weights = {name.replace(f".{old}.", f".{new}."): value for name, value in weights.items()}
        loaded = {name.removeprefix("text_model."): value for name, value in model.state_dict().items()}
        assert {name.removeprefix("text_model.") for name in weights} == set(loaded)
        for name, value in weights.items():
            assert torch.equal(loaded[name.removeprefix("text_model.")], value.float()), name


def test_stable_diffusions_own_files_load(base_folder: Path) -> None:
    """Oracle: the hub's files of 2022, read by safetensors alone, under the names that they have today.

    Their scheduler is PNDM's and says nothing of clip_sample: only its alphas matter, which no sampler clips.
    """
    prior = load_prior(PriorConfig(name="sd21", path=str(base_folder), precision=Precision.float32), "cpu")
    holds_what_its_files_say(prior, base_folder)
    assert prior.latent_shape == (4, 64, 64)
    assert prior.image_size == 512
    assert not prior.predicts_velocity
    assert prior._scaling_factor == 0.18215
    # diffusers multiplies 1000 float32 numbers, each rounded to 6e-8
    torch.testing.assert_close(prior.alphas_cumprod, oracles.alpha_bar(torch.arange(1000)), rtol=1e-4, atol=0)


def test_known_words_are_optional(copy: Path) -> None:
    """Oracle: None without the file."""
    (copy / "known_words.json").unlink()
    assert load_from(copy).known_words is None


def test_the_tiny_models_words_are_a_plain_list(tiny_folder: Path) -> None:
    """Oracle: the format that the bundled prior ships: a JSON list of words."""
    assert load_from(tiny_folder).known_words == json.loads((tiny_folder / "known_words.json").read_text())


# --- what does not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_missing_file_is_named(copy: Path, file: str) -> None:
    """Oracle: the message names the folder, the file and a way out."""
    (copy / file).unlink()
    with pytest.raises(UserError, match=rf"prior\.path={copy} lacks .*{Path(file).name}.*prior=toybox"):
        load_from(copy)


def test_pickled_weights_are_never_opened(copy: Path) -> None:
    """Oracle: a .bin that is not even a pickle is not read; the message says why."""
    file = copy / "unet/diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin")).write_text("not a pickle")
    with pytest.raises(
        UserError, match=r"lacks unet/diffusion_pytorch_model\.safetensors \(\.bin .*can run code"
    ):
        load_from(copy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("left", [0.0, 0.5])
def test_a_truncated_file_is_named(copy: Path, part: str, left: float) -> None:
    """Oracle: an interrupted download is reported as such a part being broken."""
    file = copy / part / f"{loading.WEIGHTS[part]}.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(left * len(content))])
    with pytest.raises(UserError, match=rf"prior\.path={copy}: {part} is broken.*prior=toybox"):
        load_from(copy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_missing_tensor_is_not_made_up(copy: Path, part: str) -> None:
    """Oracle: the message names the tensor; the libraries would go on with random numbers."""
    removed = []

    def remove(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        removed.append(sorted(weights)[0])
        return {key: value for key, value in weights.items() if key != removed[0]}

    rewrite(copy / part / f"{loading.WEIGHTS[part]}.safetensors", remove)
    with pytest.raises(UserError, match=rf"{part} is broken \(its file lacks .*{removed[0]}"):
        load_from(copy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_tensor_of_another_shape_is_refused(copy: Path, part: str) -> None:
    """Oracle: the part is named."""
    rewrite(
        copy / part / f"{loading.WEIGHTS[part]}.safetensors",
        lambda weights: {**weights, sorted(weights)[0]: torch.zeros(3, 3)},
    )
    with pytest.raises(UserError, match=f"{part} is broken"):
        load_from(copy)


@pytest.mark.parametrize(
    "file",
    [
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/vocab.json",
        "known_words.json",
    ],
)
@pytest.mark.parametrize("content", ["{ no json", "7", ""])
def test_broken_json_is_named(copy: Path, file: str, content: str) -> None:
    """Oracle: the part is named, whatever its reader stumbled over."""
    (copy / file).write_text(content)
    with pytest.raises(UserError, match=f"{file.split('/')[0]} is broken"):
        load_from(copy)


def test_a_device_that_is_too_small(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the message names the device, the part and a way out."""
    from transformers import CLIPTextModel

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError("5 GB wanted")

    monkeypatch.setattr(CLIPTextModel, "to", refuse)
    with pytest.raises(UserError, match=r"device=cpu has no memory left .*text_encoder.*prior=toybox"):
        load_from(tiny_folder)
