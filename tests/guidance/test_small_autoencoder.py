"""A small autoencoder in a prior's place, against the bare one of diffusers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from src.errors import UserError
from src.guidance.load import load_prior
from src.guidance.prior import Precision, PriorConfig
from src.guidance.small_autoencoder import REMEDY
from src.streams import Streams

CHANNELS = (8, 8, 8)  # three stages halve the image twice, as the tiny prior's own autoencoder does


def build(folder: Path, channels: tuple[int, ...] = CHANNELS, latent_channels: int = 4) -> Any:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    blocks = (1,) * len(channels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = AutoencoderTiny(
            encoder_block_out_channels=channels,
            decoder_block_out_channels=channels,
            num_encoder_blocks=blocks,
            num_decoder_blocks=blocks,
            latent_channels=latent_channels,
        )
    small.save_pretrained(folder)
    return small


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def bare(folder: Path) -> Any:
    return build(folder)


def load_with(tiny_folder: Path, small: Path, precision: Precision = Precision.float32) -> Any:
    return load_prior(
        PriorConfig(path=str(tiny_folder), small_autoencoder=str(small), precision=precision), "cpu"
    )


@pytest.fixture(scope="module")
def small_prior(tiny_folder: Path, folder: Path, bare: Any) -> Any:
    return load_with(tiny_folder, folder)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_encode_is_the_small_encoder_without_noise(small_prior: Any, bare: Any) -> None:
    """Oracle: the bare encoder on [-1, 1]; its latents are the UNet's, whatever the stream draws."""
    image = images(2, 3, 64, 64)
    with torch.no_grad():
        expected = bare.encode(2 * image - 1).latents
    for seed in (0, 1):
        assert torch.equal(small_prior.encode(image, Streams(seed, 0)("vae")), expected)
    assert expected.shape == (2, *small_prior.latent_shape)
    assert small_prior.image_size == 64


def test_the_draws_are_those_of_the_priors_own_autoencoder(small_prior: Any, tiny_prior: Any) -> None:
    """Oracle: the digest of the step's draws, which must not depend on the autoencoder."""
    digests = []
    for prior in (small_prior, tiny_prior):
        draw = Streams(3, 1)
        prior.encode(images(2, 3, 64, 64), draw("vae"))
        digests.append(draw.digest())
    assert digests[0] == digests[1]


def test_decode_is_the_small_decoder(small_prior: Any, bare: Any) -> None:
    """Oracle: the bare decoder, from [-1, 1] to [0, 1], clipped."""
    latents = torch.randn((2, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = (bare.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    assert torch.equal(small_prior.decode(latents), expected)


@pytest.mark.parametrize("side", [16, 64, 128])
def test_every_pixel_hears_the_gradient(small_prior: Any, bare: Any, side: int) -> None:
    """Oracle: no pixel's gradient is 0 but where a ReLU says so in the bare encoder; weights get none."""
    image = images(1, 3, side, side).requires_grad_()
    small_prior.encode(image, Streams(0, 0)("vae")).square().sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert (image.grad != 0).float().mean() > 0.99
    assert all(weight.grad is None for weight in small_prior._vae.parameters())
    if side == 64:
        twin = images(1, 3, 64, 64).requires_grad_()
        bare.encode(2 * twin - 1).latents.square().sum().backward()
        assert torch.equal(image.grad, twin.grad)


def test_everything_else_is_the_priors_own(small_prior: Any, tiny_prior: Any) -> None:
    """Oracle: text, noise prediction and schedule of the prior without it."""
    noised = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    text = tiny_prior.embed(["a red lion"])
    assert torch.equal(small_prior.embed(["a red lion"]), text)
    t = torch.tensor([500])
    assert torch.equal(small_prior.predict_noise(noised, t, text), tiny_prior.predict_noise(noised, t, text))
    assert torch.equal(small_prior.alphas_cumprod, tiny_prior.alphas_cumprod)


def test_half_precision_stays_inside(tiny_folder: Path, folder: Path, small_prior: Any) -> None:
    """Oracle: float32; a dozen layers with 8 bits err by a few times 2^-8."""
    half = load_with(tiny_folder, folder, Precision.bfloat16)
    image = images(1, 3, 64, 64)
    got, expected = (prior.encode(image, Streams(0, 0)("vae")) for prior in (half, small_prior))
    assert got.dtype == torch.float32
    assert 0 < (got - expected).norm() < 0.03 * expected.norm()


def test_its_file_is_in_the_manifest(small_prior: Any, folder: Path, tiny_folder: Path) -> None:
    """Oracle: both folders, each with its own files."""
    told = small_prior.provenance()
    assert told["model"]["source"] == str(tiny_folder)
    assert told["small_autoencoder"]["source"] == str(folder)
    assert list(told["small_autoencoder"]["sha256"]) == ["diffusion_pytorch_model.safetensors"]
    assert len(told["model"]["sha256"]) == 3


# --- folders that will not do -------------------------------------------------------------------------------


def test_no_folder(tiny_folder: Path) -> None:
    """Oracle: the message names the setting, the value and the way out, which is not another prior."""
    with pytest.raises(
        UserError, match=r"prior\.small_autoencoder=no/such is no folder: name a folder .*TAESD"
    ):
        load_with(tiny_folder, Path("no/such"))


def test_it_is_looked_for_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: nobody asks the hub."""
    monkeypatch.setattr("src.guidance.load.hub_source", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(UserError, match=r"prior\.small_autoencoder=no/such is no folder"):
        load_prior(PriorConfig(name="sd21", small_autoencoder="no/such"), "cpu")


@pytest.mark.parametrize("damage", ["no config", "no weights", "pickle", "cut", "another model"])
def test_a_bad_folder_is_one_sentence(
    tiny_folder: Path, folder: Path, bare: Any, tmp_path: Path, damage: str
) -> None:
    """Oracle: setting, folder and way out in one line, whatever the library stumbled over."""
    copy = Path(shutil.copytree(folder, tmp_path / "small"))
    weights = copy / "diffusion_pytorch_model.safetensors"
    if damage == "no config":
        (copy / "config.json").unlink()
    elif damage == "no weights":
        weights.unlink()
    elif damage == "pickle":
        weights.rename(weights.with_suffix(".bin"))
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        copy = tiny_folder / "vae"
    with pytest.raises(UserError) as caught:
        load_with(tiny_folder, copy)
    message = str(caught.value)
    assert message.startswith(f"prior.small_autoencoder={copy} cannot be used (")
    assert message.endswith(f": {REMEDY}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("channels", "latent_channels", "said"),
    [
        (CHANNELS, 16, "makes 16 latent channels at 1/4 .* own makes 4 at 1/4"),
        ((8, 8, 8, 8), 4, "makes 4 latent channels at 1/8 .* own makes 4 at 1/4"),
    ],
)
def test_one_made_for_another_prior_is_refused(
    tiny_folder: Path, tmp_path: Path, channels: tuple[int, ...], latent_channels: int, said: str
) -> None:
    """Oracle: both shapes are named."""
    build(tmp_path, channels, latent_channels)
    with pytest.raises(UserError, match=said):
        load_with(tiny_folder, tmp_path)


def test_the_published_formats_defaults_fit_stable_diffusion() -> None:
    """Oracle: TAESD's published settings are the library's defaults: 4 channels at 1/8, scaling factor 1."""
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    from src.guidance.small_autoencoder import SmallAutoencoder, _latents

    with torch.device("meta"):
        small = SmallAutoencoder(AutoencoderTiny())
    assert _latents(small.config) == (4, 8)
    assert small.config.scaling_factor == 1
    assert small.encode(torch.empty(1, 3, 512, 512, device="meta")).latent_dist.mean.shape == (1, 4, 64, 64)
    assert json.loads(small.inner.to_json_string())["_class_name"] == "AutoencoderTiny"
