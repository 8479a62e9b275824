"""Folder, cache, hub: what is used, what is fetched, and why something is not, by the real hub client."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants, file_download

from src.errors import UserError
from src.guidance import source
from src.guidance.loading import weights_among
from src.guidance.source import Source, differences, hub_source, local_source
from tests.pretend_hub import COMMIT, PretendHub, closed_port, point_client_at, weights, write_settings

HALVES = [f"{part}.fp16.safetensors" for part in
          ("text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")]  # fmt: skip
FULLS = [name.replace(".fp16", "") for name in HALVES]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The settings of SD 2.1-base, with weights in both precisions and as pickles."""
    return write_settings(tmp_path / "base")


# --- a folder -----------------------------------------------------------------------------------------------


def test_a_relative_path_is_also_looked_for_in_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: found in either place; the current folder comes first; the name stays as it was given."""
    (tmp_path / "model").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(source, "CHECKOUT", tmp_path)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert local_source("model") == Source("model", tmp_path / "model")
    (tmp_path / "elsewhere/model").mkdir()
    assert local_source("model") == Source("model", tmp_path / "elsewhere/model")


@pytest.mark.parametrize("path", ["no/such/folder", "/no/such/folder", "name\0with null", __file__])
def test_no_folder(path: str) -> None:
    """Oracle: the message names the setting, the value and both ways out."""
    with pytest.raises(UserError, match=r"prior\.path=.* is no folder.*prior=toybox.*prior\.path=FOLDER"):
        local_source(path)


def test_provenance_is_what_sha256_says(base: Path) -> None:
    """Oracle: hashlib on the files that are read, full precision before halves; a lone autoencoder's file."""
    digests = {name: hashlib.sha256(weights(name.removesuffix(".safetensors"))).hexdigest() for name in FULLS}
    told = Source("here", base).provenance()
    assert told == {"source": "here", "revision": None, "sha256": digests}
    (base / "diffusion_pytorch_model.safetensors").write_bytes(b"small")
    told = Source("here", base).provenance()
    small = hashlib.sha256(b"small").hexdigest()
    assert told["sha256"] == {"diffusion_pytorch_model.safetensors": small}


# --- the order ----------------------------------------------------------------------------------------------


def test_the_first_id_that_can_be_had_is_fetched(hub: PretendHub, base: Path) -> None:
    """Oracle: nobody after it is asked; the ones before it are told, with the reason; the commit is known."""
    hub.models = {"b/here": base, "c/too": base}
    found = hub_source(["a/gone", "b/here", "c/too"], base_only=True)
    assert found.name == "b/here"
    assert found.revision == COMMIT
    assert found.passed_over == ("a/gone (the hub has no such model, or hides it)",)
    assert not any("c/too" in request for request in hub.asked)


def test_only_settings_tokenizer_and_half_precision_safetensors_are_fetched(
    hub: PretendHub, base: Path
) -> None:
    """Oracle: the list of files the loader reads; pickles and full-precision twins stay where they are."""
    hub.models = {"a/here": base}
    folder = hub_source(["a/here"], base_only=True).folder
    settings = ["scheduler/scheduler_config.json", "tokenizer/merges.txt", "tokenizer/vocab.json"]
    settings += [f"{part}/config.json" for part in ("text_encoder", "unet", "vae")]
    assert hub.fetched() == sorted([*settings, *HALVES])
    assert (folder / "unet/config.json").read_text() == (base / "unet/config.json").read_text()


def test_full_precision_is_fetched_where_a_half_is_missing(hub: PretendHub, base: Path) -> None:
    """Oracle: a hub without the UNet's half: all three in full, and no half for nothing."""
    (base / HALVES[1]).unlink()
    hub.models = {"a/here": base}
    hub_source(["a/here"], base_only=True)
    assert [name for name in hub.fetched() if name.endswith("safetensors")] == FULLS


def test_shards_are_fetched_with_their_index(hub: PretendHub, base: Path) -> None:
    """Oracle: by name: the halves' two shards and index, and not the full precision's."""
    for variant in ("", ".fp16"):
        (base / f"unet/diffusion_pytorch_model{variant}.safetensors").unlink()
        shards = [f"diffusion_pytorch_model{variant}-0000{i}-of-00002.safetensors" for i in (1, 2)]
        for name in shards:
            (base / "unet" / name).write_bytes(weights(name))
        index = {"weight_map": dict(zip("ab", shards, strict=True))}
        name = f"diffusion_pytorch_model.safetensors.index{variant}.json"
        (base / "unet" / name).write_text(json.dumps(index))
    hub.models = {"a/here": base}
    hub_source(["a/here"], base_only=True)
    assert [name for name in hub.fetched() if name.startswith("unet/diffusion")] == [
        "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
    ]
    (base / "unet/diffusion_pytorch_model.safetensors.index.fp16.json").unlink()
    assert weights_among({f.relative_to(base).as_posix() for f in base.rglob("*.*")}, ".fp16") is None


def test_the_cache_comes_before_the_hub(hub: PretendHub, base: Path) -> None:
    """Oracle: after a first fetch of the second id not one request, though the first id is there by now."""
    hub.models = {"b/here": base}
    fetched = hub_source(["b/here"], base_only=True)
    hub.models["a/new"] = base
    hub.asked.clear()
    cached = hub_source(["a/new", "b/here"], base_only=True)
    assert hub.asked == []
    assert (cached.folder, cached.revision) == (fetched.folder, COMMIT)
    assert cached.passed_over == ("a/new (not in the cache)",)


def test_an_interrupted_fetch_is_taken_up_again(
    hub: PretendHub, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: settings without weights are no model; the second time only the weights are fetched."""
    hub.models, hub.fault = {"a/here": base}, "short"
    with pytest.raises(UserError, match=r"a/here \(.*size 1000.*"):
        hub_source(["a/here"], base_only=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="a/here"):
        hub_source(["a/here"], base_only=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.fault = None
    hub.asked.clear()
    assert hub_source(["a/here"], base_only=True).revision == COMMIT
    assert hub.fetched() == HALVES


def test_offline_means_not_one_request(hub: PretendHub, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the hub's own log; the message names the flag; what is in the cache is used all the same."""
    hub.models = {"a/here": base}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as caught:
        hub_source(["a/here"], base_only=True)
    assert hub.asked == []
    fetch = "where there is a network, python -m src.prefetch prior=sd21 prior.source=a/here fetches it once"
    for said in (
        "a/here (not in the cache)",
        "unset HF_HUB_OFFLINE",
        fetch,
        "prior=toybox",
        "prior.path=FOLDER",
    ):
        assert said in str(caught.value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub_source(["a/here"], base_only=True)
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_source(["a/here"], base_only=True).name == "a/here"
    assert hub.asked == []


def test_neither_path_nor_source() -> None:
    """Oracle: the message names both settings."""
    with pytest.raises(UserError, match=r"prior\.path and prior\.source are both empty.*prior=toybox"):
        hub_source([], base_only=False)


# --- what goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("404", "the hub has no such model, or hides it"),
        ("broken", "the hub answers with status 500"),
        ("hidden", "the hub has no such model, or hides it"),
        ("gated", "the hub shows it only to accounts that were granted access"),
        ("short", "file should be of size 1000 but has size 500"),
    ],
)
def test_each_source_is_listed_with_its_reason(
    hub: PretendHub, base: Path, tmp_path: Path, fault: str, reason: str
) -> None:
    """Oracle: one sentence that names the cache, the hub, both ids, both reasons and the ways out."""
    hub.models, hub.fault = {"a/one": base, "b/two": base}, fault
    with pytest.raises(UserError) as caught:
        hub_source(["a/one", "b/two"], base_only=True)
    message = str(caught.value)
    assert message.count(reason) == 2
    for said in ("a/one (", "b/two (", str(tmp_path / "cache"), hub.url, "prior=toybox", "prior.path=FOLDER"):
        assert said in message
    assert "\n" not in message


def test_an_unreachable_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the address and the system's reason; an id that is none is told apart from it."""
    address = closed_port()
    point_client_at(address, tmp_path, monkeypatch)
    with pytest.raises(UserError) as caught:
        hub_source(["a/one", "no id at all//"], base_only=True)
    message = str(caught.value)
    assert f"the hub at {address}" in message
    assert "a/one (the hub cannot be reached: [Errno 111] Connection refused)" in message
    assert "no id at all// (Repo id must" in message


def test_a_dropped_connection(hub: PretendHub, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: after the client's own attempts, which wait no second here, what it ran into."""
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _seconds: None))
    hub.models, hub.fault = {"a/one": base}, "drops"
    with pytest.raises(UserError, match=r"a/one \(peer closed connection without sending complete .*prior="):
        hub_source(["a/one"], base_only=True)


def test_what_a_hub_lacks_is_said_before_anything_is_fetched(hub: PretendHub, base: Path) -> None:
    """Oracle: pickles alone are no weights: the missing safetensors are named, no file was asked for."""
    for name in (HALVES[1], FULLS[1], "vae/config.json"):
        (base / name).unlink()
    hub.models = {"a/one": base}
    with pytest.raises(UserError, match=rf"a/one \(it lacks vae/config\.json, {FULLS[1]}\)"):
        hub_source(["a/one"], base_only=True)
    assert hub.fetched() == []


def test_a_full_disk_is_foreseen(hub: PretendHub, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: 3 kB of weights, 2 kB left: the message says so and how to choose another place."""
    hub.models = {"a/one": base}
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(10_000, 8_000, 2_000))
    with pytest.raises(UserError, match=r"a/one \(its weights take 0\.0 GB, but .*cache.*HF_HOME=FOLDER"):
        hub_source(["a/one"], base_only=True)
    assert not [name for name in hub.fetched() if name.endswith("safetensors")]


# --- the base model and no other ----------------------------------------------------------------------------

OTHERS = [
    ({"unet__cross_attention_dim": 768}, "cross_attention_dim is 768, not 1024"),
    ({"scheduler__prediction_type": "v_prediction"}, "prediction_type is v_prediction, not epsilon"),
    ({"unet__sample_size": 96}, "sample_size is 96, not 64"),
    ({"unet__in_channels": 9}, "in_channels is 9, not 4"),
    ({"vae__latent_channels": 16}, "latent_channels is 16, not 4"),
    ({"vae__scaling_factor": 0.13025}, "scaling_factor is 0.13025, not 0.18215"),
]  # fmt: skip


def test_the_base_model_is_known_by_its_published_settings(tmp_path: Path) -> None:
    """Oracle: the settings of 2022, which leave out what was the default, and with it written out."""
    assert differences(write_settings(tmp_path / "old")) == []
    assert differences(write_settings(tmp_path / "new", vae__scaling_factor=0.18215)) == []
    scheduler = tmp_path / "old/scheduler/scheduler_config.json"
    settings = json.loads(scheduler.read_text())
    del settings["prediction_type"]
    scheduler.write_text(json.dumps(settings))
    assert differences(tmp_path / "old") == []


@pytest.mark.parametrize(("changes", "said"), OTHERS)
def test_other_models_are_told_apart(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    """Oracle: one setting changed, as in 1.5, 2.1, inpainting, newer families: just that is named."""
    (found,) = differences(write_settings(tmp_path, **changes))
    assert said in found


def test_another_model_is_refused_before_its_weights_are_fetched(
    hub: PretendHub, tmp_path: Path, base: Path
) -> None:
    """Oracle: refused by name and setting, no weight file asked for; and the next id has its turn."""
    hub.models = {"a/other": write_settings(tmp_path / "other", unet__sample_size=96), "b/base": base}
    found = hub_source(["a/other", "b/base"], base_only=True)
    assert found.name == "b/base"
    assert found.passed_over == (
        "a/other (it is not Stable Diffusion 2.1-base: its unet's sample_size is 96, not 64)",
    )
    assert not [path for path in hub.asked if "a/other" in path and path.endswith("safetensors")]


def test_another_model_in_the_cache_is_refused_too(
    hub: PretendHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: had when any model would do, refused when only the base will; offline, so the cache alone."""
    hub.models = {"a/other": write_settings(tmp_path / "other", unet__sample_size=96)}
    assert hub_source(["a/other"], base_only=False).name == "a/other"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="sample_size is 96, not 64"):
        hub_source(["a/other"], base_only=True)
