"""Going on from an exported prior: what the old one knew, the grown one still says."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from src.errors import UserError
from src.toybox.prior import networks
from src.toybox.prior.export import export
from src.toybox.prior.fitting import Networks
from src.toybox.prior.heritage import lineage, started, started_autoencoder

OLD, NEW = 8, 16  # latent channels
OLD_WORDS, NEW_WORDS = ["lion", "red"], ["animal", "lion", "blue", "red"]


def shaken(module: nn.Module, seed: int) -> nn.Module:
    """Every parameter moved a little: what starts at zero says something, too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported prior of 8 latent channels that knows two words."""
    folder = tmp_path_factory.mktemp("old")
    networks.write_tokenizer(OLD_WORDS, folder / "tokenizer")
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(networks, "LATENT_CHANNELS", OLD)
        parts: Networks = {
            "text": networks.text_encoder(CLIPTokenizer.from_pretrained(folder / "tokenizer")),
            "unet": networks.denoiser(),
            "vae": networks.autoencoder(),
        }
    for seed, part in enumerate(parts.values()):
        shaken(part, seed)
    export(folder / "weights", parts, folder, 64, [{"denoiser_samples": 7}])
    return folder / "weights"


def test_an_autoencoder_of_more_channels_starts_as_the_old_one(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the old one's posterior in the first OLD channels, and its picture whatever the rest is.

    1e-4: float32, 20 layers."""
    monkeypatch.setattr(networks, "LATENT_CHANNELS", NEW)
    grown, before = networks.autoencoder().eval(), AutoencoderKL.from_pretrained(old / "vae").float().eval()
    started_autoencoder(str(old), grown)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        one, other = grown.encode(image).latent_dist, before.encode(image).latent_dist
        torch.testing.assert_close(one.mean[:, :OLD], other.mean, rtol=0, atol=1e-4)
        torch.testing.assert_close(one.std[:, :OLD], other.std, rtol=0, atol=1e-4)
        decoded = before.decode(other.mean).sample
        torch.testing.assert_close(grown.decode(one.mean).sample, decoded, rtol=0, atol=1e-4)
        assert one.mean[:, OLD:].std() > 0.01  # new channels see the picture from the start


def test_a_denoiser_of_more_channels_starts_as_the_old_one(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the old one's answer to words that both know in the first OLD channels, none in the rest."""
    monkeypatch.setattr(networks, "LATENT_CHANNELS", NEW)
    networks.write_tokenizer(NEW_WORDS, tmp_path)
    tokens, old_tokens = (CLIPTokenizer.from_pretrained(f) for f in (tmp_path, old / "tokenizer"))
    parts: Networks = {"text": networks.text_encoder(tokens), "unet": networks.denoiser()}
    started(str(old), parts, tokens)
    z, t = torch.randn(1, NEW, 8, 8, generator=torch.Generator().manual_seed(2)), torch.tensor([500])
    text, unet = (
        CLIPTextModel.from_pretrained(old / "text_encoder").float(),
        UNet2DConditionModel.from_pretrained(old / "unet").float(),
    )
    said = "red lion"
    with torch.no_grad():
        mine = parts["text"].eval()(tokens(said, padding="max_length", return_tensors="pt").input_ids)[0]
        theirs = text(old_tokens(said, padding="max_length", return_tensors="pt").input_ids)[0]
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)
        one, other = parts["unet"].eval()(z, t, mine).sample, unet(z[:, :OLD], t, theirs).sample
    torch.testing.assert_close(one[:, :OLD], other, rtol=0, atol=1e-4)
    assert not one[:, OLD:].any()
    assert other.std() > 0.01


def test_the_same_channels_are_all_taken(tmp_path: Path, old: Path) -> None:
    """Oracle: equality of every tensor where nothing has grown, to float16, in which it was exported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "LATENT_CHANNELS", OLD)
        again = networks.autoencoder()
    started_autoencoder(str(old), again)
    for name, value in AutoencoderKL.from_pretrained(old / "vae").float().state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_lineage_grows_by_one_a_start(old: Path) -> None:
    """Oracle: what the exports were told; without a start there is none."""
    assert [row["denoiser_samples"] for row in lineage(str(old))] == [7, 64]
    assert "lineage" not in lineage(str(old))[-1]
    assert lineage("") == []
    assert json.loads((old / "trained.json").read_text())["lineage"] == [{"denoiser_samples": 7}]


def test_another_network_is_refused(old: Path) -> None:
    """Oracle: UserError: of fewer latent channels there is no telling which to keep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "LATENT_CHANNELS", 4)
        narrow = networks.autoencoder()
    with pytest.raises(UserError, match="is of another shape there"):
        started_autoencoder(str(old), narrow)
