"""Every way in which a model's files can be missing, broken or out of reach; and what loads."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load, save_file

from src.errors import UserError
from src.guidance import loading
from src.guidance.prior import Precision, PriorConfig, load_prior

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


def test_a_relative_path_is_also_looked_for_in_the_checkout(
    copy: Path, tiny_prior: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the same model from either place; the current folder comes first."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(loading, "CHECKOUT", tmp_path)
    monkeypatch.chdir(elsewhere)
    assert same_model(load_from("model"), tiny_prior)
    (elsewhere / "model").mkdir()
    with pytest.raises(UserError, match=r"prior\.path=.*elsewhere.*lacks"):
        load_from("model")


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


def test_known_words_are_optional(copy: Path) -> None:
    """Oracle: None without the file."""
    (copy / "known_words.json").unlink()
    assert load_from(copy).known_words is None


# --- what does not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["no/such/folder", "/no/such/folder", "name\0with null"])
def test_no_folder(path: str) -> None:
    """Oracle: the message names the setting, the value and both ways out."""
    with pytest.raises(UserError, match=r"prior\.path=.* is no folder.*prior=toybox.*prior\.path=FOLDER"):
        load_from(path)


def test_a_file_is_no_folder(copy: Path) -> None:
    """Oracle: the same message."""
    with pytest.raises(UserError, match="is no folder"):
        load_from(copy / "known_words.json")


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


# --- hubs ---------------------------------------------------------------------------------------------------


def hub(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[tuple[str, bool]]:
    """Stand in for the hub; return the list that will hold what it was asked for: (id, half precision)."""
    asked = []

    def answer(repository: str, allow_patterns: list[str]) -> str:
        asked.append((repository, any("fp16" in pattern for pattern in allow_patterns)))
        if isinstance(answers[repository], Exception):
            raise answers[repository]
        return str(answers[repository])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", answer)
    return asked


def load_from_hub(*source: str) -> Any:
    return load_prior(PriorConfig(source=list(source), precision=Precision.float32), "cpu")


def test_hub_ids_are_tried_in_order(
    tiny_folder: Path, tiny_prior: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the first that answers wins, and nobody after it is asked."""
    asked = hub(monkeypatch, {"a/gone": OSError("404"), "b/here": tiny_folder, "c/too": tiny_folder})
    assert same_model(load_from_hub("a/gone", "b/here", "c/too"), tiny_prior)
    assert asked == [("a/gone", True), ("b/here", True)]


def test_full_precision_files_are_fetched_where_there_are_no_halves(
    tiny_folder: Path, tiny_prior: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: a hub that holds only full-precision files, asked twice."""
    configs = Path(
        shutil.copytree(tiny_folder, tmp_path / "hub", ignore=shutil.ignore_patterns("*.safetensors"))
    )
    asked = []

    def answer(repository: str, allow_patterns: list[str]) -> str:
        asked.append(repository)
        for part, name in loading.WEIGHTS.items():
            if f"{part}/{name}.safetensors" in allow_patterns:
                shutil.copy(tiny_folder / part / f"{name}.safetensors", configs / part)
        return str(configs)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", answer)
    assert same_model(load_from_hub("a/full"), tiny_prior)
    assert asked == ["a/full", "a/full"]


def test_an_unreachable_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the message names all that was tried, each reason in one line, and the ways out."""
    (tmp_path / "unet").mkdir()
    hub(monkeypatch, {"a/gone": OSError("no route\nto host"), "b/empty": tmp_path, "c/odd": RuntimeError()})
    with pytest.raises(UserError) as caught:
        load_from_hub("a/gone", "b/empty", "c/odd")
    message = str(caught.value)
    for said in (
        "prior.source",
        "a/gone (no route)",
        "b/empty (lacks",
        "c/odd (RuntimeError)",
        "prior=toybox",
    ):
        assert said in message
    assert "\n" not in message


def test_the_hubs_real_client_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the client itself, with an empty cache and no name resolution, ends in our message."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"nobody/nothing \(.*prior\.path=FOLDER"):
        load_from_hub("nobody/nothing", "no id at all//")


def test_neither_path_nor_source() -> None:
    """Oracle: the message names both settings."""
    with pytest.raises(UserError, match=r"prior\.path and prior\.source are both empty.*prior=toybox"):
        load_from_hub()


def test_the_tiny_models_words_are_a_plain_list(tiny_folder: Path) -> None:
    """Oracle: the format that the bundled prior ships: a JSON list of words."""
    assert load_from(tiny_folder).known_words == json.loads((tiny_folder / "known_words.json").read_text())
