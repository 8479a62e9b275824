"""The replica has the real model's shapes, and both layouts of its files hold the same model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from src.errors import UserError
from src.guidance import replica
from src.guidance.load import load_prior
from src.guidance.prior import Precision, PriorConfig
from src.streams import Streams

PUBLISHED = {"text_encoder": 340_387_840, "vae": 83_653_863, "unet": 865_910_724}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny replica in both layouts."""
    root = tmp_path_factory.mktemp("replica")
    for layout in ("new", "old"):
        replica.main([f"out={root / layout}", "scale=tiny", f"layout={layout}"])
    return {layout: root / layout for layout in ("new", "old")}


def tensors(file: Path) -> dict[str, torch.Tensor]:
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)


@pytest.mark.parametrize("part", PUBLISHED)
def test_the_full_size_is_the_published_one(part: str) -> None:
    """Oracle: the parameter counts of Stable Diffusion 2.1-base's own files."""
    module = replica.network(replica.FULL, part)
    assert sum(parameter.numel() for parameter in module.parameters()) == PUBLISHED[part]


def test_tiny_has_the_same_configuration_keys(folders: dict[str, Path]) -> None:
    """Oracle: the settings of the full size, by name."""
    for part in PUBLISHED:
        full, tiny = getattr(replica.FULL, part), getattr(replica.TINY, part)
        assert set(full) == set(tiny)
        written = json.loads((folders["new"] / part / "config.json").read_text())
        assert {name: written[name] for name in tiny} == json.loads(json.dumps(tiny))


def test_both_layouts_are_the_same_prior(folders: dict[str, Path]) -> None:
    """Oracle: every output of one against the other's, bit for bit; and none is degenerate."""
    one, other = (
        load_prior(PriorConfig(path=str(folder), precision=Precision.float32, latent_size=8), "cpu")
        for folder in folders.values()
    )
    text = one.embed(["a ceramic lion", ""])
    assert text.shape == (2, 77, 32)
    assert not torch.equal(text[0], text[1])
    assert torch.equal(text, other.embed(["a ceramic lion", ""]))
    noised, t = Streams(0, 0)("noised").normal(2, 4, 8, 8), torch.tensor([3, 700])
    predicted = one.predict_noise(noised, t, text)
    assert torch.equal(predicted, other.predict_noise(noised, t, text))
    assert 0.05 < predicted.std() < 5
    image = Streams(0, 0)("image").uniform(2, 3, 64, 64)
    calls: tuple[Callable[[Any], torch.Tensor], ...] = (
        lambda prior: prior.encode(image, Streams(0, 0)("vae")),
        lambda prior: prior.decode(noised),
    )
    for call in calls:
        assert call(one).isfinite().all()
        assert torch.equal(call(one), call(other))


def test_the_old_layout_has_the_hubs_names(folders: dict[str, Path]) -> None:
    """Oracle: names in the hub's files; the same numbers, in float16, under the new ones."""
    vae, text = (
        {layout: tensors(folder / part / f"{name}.safetensors") for layout, folder in folders.items()}
        for part, name in (("vae", "diffusion_pytorch_model"), ("text_encoder", "model"))
    )
    attention = "encoder.mid_block.attentions.0"
    for old, new in (("query", "to_q"), ("proj_attn", "to_out.0")):
        assert torch.equal(vae["old"][f"{attention}.{old}.weight"], vae["new"][f"{attention}.{new}.weight"])
        assert f"{attention}.{new}.weight" not in vae["old"]
    assert text["old"].pop("text_model.embeddings.position_ids").tolist() == [list(range(77))]
    assert all(name.startswith("text_model.") for name in text["old"])
    assert {value.dtype for part in (vae, text) for layout in part.values() for value in layout.values()} == {
        torch.float16
    }
    assert {path.name for path in (folders["old"] / "tokenizer").iterdir()} >= {"vocab.json", "merges.txt"}
    assert {path.name for path in (folders["new"] / "tokenizer").iterdir()} >= {"tokenizer.json"}


def test_numbers_depend_on_their_names_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    """Oracle: the same files, byte for byte, from a second writing."""
    replica.write(tmp_path / "again", "tiny")
    file = Path("unet/diffusion_pytorch_model.safetensors")
    assert (tmp_path / "again" / file).read_bytes() == (folders["new"] / file).read_bytes()


def test_nothing_is_overwritten(folders: dict[str, Path], tmp_path: Path) -> None:
    """Oracle: the sentence names the folder and the remedy; what was there stays."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"^out=.* not empty: choose another out=FOLDER"):
        replica.write(tmp_path, "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_disk_too_small_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the sentence says how much is needed; no half folder."""

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replica, "save_file", full_disk)
    with pytest.raises(UserError, match=r"No space left.*2\.6 GB.*out=FOLDER"):
        replica.write(tmp_path / "model", "tiny")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argument", ["size=7", "scale=huge", "layout=odd", "scale"])
def test_unknown_arguments_are_named(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2, and the sentence begins with what was typed."""
    assert replica.main([argument]) == 2
    assert capsys.readouterr().err.startswith(argument)


def test_a_folder_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the sentence names the setting."""
    assert replica.main(["scale=tiny"]) == 2
    assert capsys.readouterr().err.startswith("out is missing")
