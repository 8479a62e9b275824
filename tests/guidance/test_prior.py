"""A latent diffusion model behind the Prior's conventions, against the bare libraries."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from src.bench import peak_live_bytes
from src.errors import UserError
from src.guidance import load as load_module
from src.guidance.gaussian import GaussianUNet, MeanEncoder, WordTokenizer, gaussian_prior, scaled_linear
from src.guidance.load import announce, load_prior
from src.guidance.loading import load_parts
from src.guidance.prior import Precision, Prior, PriorConfig
from src.streams import Streams
from tests import oracles

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts(tiny_folder: Path) -> Any:
    """The same model, bare."""
    return load_parts(tiny_folder, torch.float32, CPU)


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_shapes(tiny_prior: Any) -> None:
    """Oracle: the tiny model's configuration."""
    assert tiny_prior.latent_shape == (4, 16, 16)
    assert tiny_prior.image_size == 64
    assert tiny_prior.max_tokens == 77
    assert tiny_prior.alphas_cumprod.dtype == torch.float64
    assert "mushroom" in tiny_prior.known_words


def test_schedule(tiny_prior: Any) -> None:
    """Oracle: the closed form; diffusers multiplies 1000 float32 numbers, each rounded to 6e-8."""
    expected = oracles.alpha_bar(torch.arange(1000))
    torch.testing.assert_close(tiny_prior.alphas_cumprod, expected, rtol=1e-4, atol=0)


# --- autoencoder --------------------------------------------------------------------------------------------


def test_encode_is_mean_plus_std_times_our_normals(tiny_prior: Any, parts: Any) -> None:
    """Oracle: the bare autoencoder on [-1, 1], its moments, our stream, its scaling factor .7."""
    image = images(2, 3, 64, 64)
    latents = tiny_prior.encode(image, Streams(5, 3)("vae"))
    posterior = parts.vae.encode(2 * image - 1).latent_dist
    expected = 0.7 * (posterior.mean + posterior.std * Streams(5, 3)("vae").normal(2, 4, 16, 16))
    assert torch.equal(latents, expected)


def test_encode_draws_from_the_stream_alone(tiny_prior: Any) -> None:
    """Oracle: the global generator is where it was, and another step gives other latents."""
    before = torch.get_rng_state()
    image = images(1, 3, 64, 64)
    one, other = (tiny_prior.encode(image, Streams(5, step)("vae")) for step in (3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("side", [16, 48, 64, 100, 128])
def test_images_of_any_size_are_resized(tiny_prior: Any, side: int) -> None:
    """Oracle: a plain colour is the same picture at every size."""
    colour = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)
    expected = tiny_prior.encode(colour.expand(1, 3, 64, 64), Streams(0, 0)("vae"))
    latents = tiny_prior.encode(colour.expand(1, 3, side, side), Streams(0, 0)("vae"))
    torch.testing.assert_close(
        latents, expected, rtol=1e-4, atol=1e-5
    )  # weights of the resampling sum to 1 + 1e-7


@pytest.mark.parametrize("side", [16, 64, 128, 256])
def test_every_pixel_hears_the_gradient(tiny_prior: Any, side: int) -> None:
    """Oracle: no pixel's gradient is exactly 0, however much the image is shrunk; weights get none."""
    image = images(1, 3, side, side).requires_grad_()
    tiny_prior.encode(image, Streams(0, 0)("vae")).square().sum().backward()
    assert image.grad is not None
    assert (image.grad != 0).all()
    assert all(weight.grad is None for weight in tiny_prior._vae.parameters())


def test_decode_undoes_the_scaling(tiny_prior: Any, parts: Any) -> None:
    """Oracle: the bare decoder on latents / .7, from [-1, 1] to [0, 1], clipped."""
    latents = 5 * normals(2, 4, 16, 16)
    with torch.no_grad():
        expected = (parts.vae.decode(latents / 0.7).sample / 2 + 0.5).clamp(0, 1)
    assert torch.equal(tiny_prior.decode(latents), expected)


def around(vae: Any, latent_size: int, **options: bool) -> Prior:
    """A prior of which only the autoencoder is more than a stand-in."""
    unet = GaussianUNet(latent_size, 0.5)
    unet.config.in_channels = vae.config.latent_channels
    config = SimpleNamespace(prediction_type="epsilon")
    scheduler = SimpleNamespace(alphas_cumprod=scaled_linear(), config=config)
    return Prior(WordTokenizer(), MeanEncoder(latent_size, {}), vae, unet, scheduler, **options)


def test_checkpointing_the_encoder_changes_nothing(tiny_folder: Path) -> None:
    """Oracle: latents and the image's gradient without it, in float64: the same sums in the same order."""
    found = []
    for checkpointed in (False, True):
        vae = load_parts(tiny_folder, torch.float64, CPU).vae
        passes = []
        vae.encoder.down_blocks[0].register_forward_pre_hook(lambda *_, passes=passes: passes.append(1))
        image = images(2, 3, 100, 100).double().requires_grad_()
        prior = around(vae, 16, checkpoint_encoder=checkpointed)
        latents = prior.encode(image, Streams(0, 0)("vae"))
        latents.backward(normals(2, 4, 16, 16).double())
        assert len(passes) == 1 + checkpointed  # forward, and again on the way back
        found.append((latents, image.grad))
    for plain, checkpointed in zip(*found, strict=True):
        torch.testing.assert_close(checkpointed, plain, rtol=1e-12, atol=1e-12)


def test_checkpointing_the_encoder_saves_memory() -> None:
    """Oracle: bytes of tensors alive in encode and backward at Stable Diffusion's size, in half precision:
    the largest of its five blocks is what remains.  On the meta device, where nothing is computed.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    def peak(checkpointed: bool) -> int:
        with torch.device("meta"):
            vae = AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=(128, 256, 512, 512),
                layers_per_block=2,
                latent_channels=4,
            ).half()
            image = torch.zeros(1, 3, 512, 512, requires_grad=True)
        prior = around(vae, 64, checkpoint_encoder=checkpointed)
        return peak_live_bytes(lambda: prior.encode(image, Streams(0, 0)("vae")).sum().backward())

    assert peak(True) < 0.6 * peak(False)


def test_checkpointing_is_a_setting(tiny_folder: Path) -> None:
    """Oracle: the loaded model's own flags: off by default."""
    for settings, expected in (({}, False), ({"checkpoint_encoder": True}, True)):
        prior = load_prior(PriorConfig(path=str(tiny_folder), **settings), "cpu")
        assert prior._vae.encoder.gradient_checkpointing is expected


# --- noise prediction ---------------------------------------------------------------------------------------


def test_predict_noise_is_the_unet(tiny_prior: Any, parts: Any) -> None:
    """Oracle: the bare UNet; no graph, though the input asks for one."""
    noised, t, text = normals(3, 4, 16, 16).requires_grad_(), torch.tensor([3, 200, 999]), normals(3, 77, 32)
    predicted = tiny_prior.predict_noise(noised, t, text)
    with torch.no_grad():
        assert torch.equal(predicted, parts.unet(noised, t, encoder_hidden_states=text).sample)
    assert not predicted.requires_grad


class VelocityUNet(torch.nn.Module):
    """The closed-form UNet, saying v = alpha eps - sigma z_0 instead of eps."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet, self.config = unet, unet.config

    def forward(self, noised: torch.Tensor, t: torch.Tensor, encoder_hidden_states: torch.Tensor) -> Any:
        eps = self.unet(noised, t, encoder_hidden_states).sample
        squared = oracles.alpha_bar(t).view(-1, 1, 1, 1)
        clean = (noised - (1 - squared).sqrt() * eps) / squared.sqrt()
        return SimpleNamespace(sample=squared.sqrt() * eps - (1 - squared).sqrt() * clean)


def test_velocity_is_converted() -> None:
    """Oracle: the same model predicting eps."""
    plain = gaussian_prior(size=4, dtype=torch.float64)
    velocity = Prior(
        plain._tokenizer,
        plain._text_encoder,
        plain._vae,
        VelocityUNet(plain._unet),
        SimpleNamespace(
            alphas_cumprod=plain.alphas_cumprod, config=SimpleNamespace(prediction_type="v_prediction")
        ),
    )
    noised, t = normals(3, 3, 4, 4).double(), torch.tensor([0, 200, 999])
    text = plain.embed(["a", "b", "c"])
    expected = plain.predict_noise(noised, t, text)
    torch.testing.assert_close(velocity.predict_noise(noised, t, text), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("precision", "error"), [(Precision.bfloat16, 0.03), (Precision.float16, 0.004)])
def test_half_precision_stays_inside(
    tiny_folder: Path, tiny_prior: Any, precision: Precision, error: float
) -> None:
    """Oracle: float32; a handful of layers with 8 (11) bits err by a few times 2^-8 (2^-11)."""
    half = load_prior(PriorConfig(path=str(tiny_folder), precision=precision), "cpu")
    noised, t, text = normals(3, 4, 16, 16), torch.tensor([3, 200, 999]), tiny_prior.embed(["a", "b", ""])
    assert torch.equal(half.embed(["a", "b", ""]), text)  # the text encoder is float32 always
    image = images(2, 3, 64, 64)
    for of in (
        lambda prior: prior.predict_noise(noised, t, text),
        lambda prior: prior.encode(image, Streams(0, 0)("vae")),
        lambda prior: prior.decode(noised),
    ):
        got, expected = of(half), of(tiny_prior)
        assert got.dtype == torch.float32
        assert (got - expected).norm() < error * expected.norm()


def test_auto_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: bfloat16 where the processor is faster with it, float32 elsewhere; float16 on CUDA."""
    for capabilities, expected in (
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, torch.bfloat16),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, torch.float32),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon", "amx_bf16": True}, torch.bfloat16),
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert load_module._dtype(Precision.auto, CPU) == expected
    assert load_module._dtype(Precision.auto, torch.device("cuda")) == torch.float16
    assert load_module._dtype(Precision.float32, torch.device("cuda")) == torch.float32


def test_the_text_encoder_can_be_let_go(tiny_folder: Path) -> None:
    """Oracle: predictions go on, embedding is over."""
    prior = load_prior(PriorConfig(path=str(tiny_folder), precision=Precision.float32), "cpu")
    text = prior.embed(["a lion"])
    prior.release_text_encoder()
    assert prior.predict_noise(normals(1, 4, 16, 16), torch.tensor([5]), text).isfinite().all()
    with pytest.raises(AttributeError):
        prior.embed(["a lion"])


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "error"), [(Precision.float32, 1e-4), (Precision.auto, 0.004)])
def test_cuda_agrees_with_the_processor(
    tiny_folder: Path, tiny_prior: Any, precision: Precision, error: float
) -> None:
    """Oracle: the processor in float32; on CUDA another order of sums, and float16 if nothing is said."""
    there = load_prior(PriorConfig(path=str(tiny_folder), precision=precision), "cuda")
    noised, t = normals(3, 4, 16, 16), torch.tensor([3, 200, 999])
    text, image = tiny_prior.embed(["a", "b", ""]), images(2, 3, 100, 100)
    pairs = (
        (there.embed(["a", "b", ""]), text),
        (
            there.predict_noise(noised.cuda(), t.cuda(), text.cuda()),
            tiny_prior.predict_noise(noised, t, text),
        ),
        (
            there.encode(image.cuda(), Streams(0, 0, device="cuda")("vae")),
            tiny_prior.encode(image, Streams(0, 0)("vae")),
        ),
        (there.decode(noised.cuda()), tiny_prior.decode(noised)),
    )
    for got, expected in pairs:
        assert got.is_cuda
        assert got.dtype == torch.float32
        assert (got.cpu() - expected).norm() < error * expected.norm()


# --- models that do not fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "setting", "value", "said"),
    [
        ("unet", "cross_attention_dim", 5, "reads text of width 5"),
        ("vae", "latent_channels", 9, "autoencoder makes 9"),
        ("scheduler", "prediction_type", "sample", "predicts 'sample'"),
    ],
)
def test_models_that_do_not_fit_are_refused(part: str, setting: str, value: object, said: str) -> None:
    """Oracle: the message says what does not fit, and names a way out."""
    prior = gaussian_prior(size=2)
    parts = {
        "text_encoder": prior._text_encoder,
        "vae": prior._vae,
        "unet": prior._unet,
        "scheduler": SimpleNamespace(config=SimpleNamespace(prediction_type="epsilon")),
    }
    setattr(parts[part].config, setting, value)
    with pytest.raises(UserError, match=rf"{said}.*prior=toybox"):
        Prior(prior._tokenizer, **parts)


def test_a_stated_latent_size_must_be_the_models(tiny_folder: Path) -> None:
    """Oracle: the message names both sizes and the setting."""
    with pytest.raises(UserError, match=r"prior\.latent_size=64.*16x16.*prior\.latent_size=16"):
        load_prior(PriorConfig(path=str(tiny_folder), latent_size=64), "cpu")


# --- what is said about a model -----------------------------------------------------------------------------


def announced(cfg: PriorConfig, capsys: pytest.CaptureFixture[str]) -> list[str]:
    announce(cfg, load_prior(cfg, "cpu"))
    return capsys.readouterr().out.splitlines()


def change(folder: Path, file: str, **settings: Any) -> None:
    config = folder / file
    config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))


def test_the_base_model_comes_with_its_licence_once(
    base_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: one line for what it is every time, and the licence's name the first time of a process."""
    load_module._print_licence.cache_clear()
    cfg = PriorConfig(name="sd21", path=str(base_folder))
    said, licence = announced(cfg, capsys)
    assert said == (
        f"prior {base_folder}: epsilon prediction, 4x64x64 latents of 512x512 images, "
        "as Stable Diffusion 2.1-base"
    )
    assert "CreativeML Open RAIL++-M" in licence
    assert announced(cfg, capsys) == [said]


def test_any_other_model_of_a_folder_is_accepted_and_announced(
    base_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: 2.1's velocities and 96x96 latents are named; the base model's licence is not claimed."""
    load_module._print_licence.cache_clear()
    folder = Path(shutil.copytree(base_folder, tmp_path / "sd21-v"))
    change(folder, "unet/config.json", sample_size=96)
    change(folder, "scheduler/scheduler_config.json", prediction_type="v_prediction")
    (said,) = announced(PriorConfig(name="sd21", path=str(folder)), capsys)
    assert said == (
        f"prior {folder}: velocity prediction, 4x96x96 latents of 768x768 images; "
        "not Stable Diffusion 2.1-base, because its scheduler's prediction_type is v_prediction, not epsilon"
        ", its unet's sample_size is 96, not 64; its own licence applies"
    )


def test_other_priors_are_what_they_are(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: no comparison with Stable Diffusion, and not a word of what is computed."""
    assert announced(PriorConfig(path=str(tiny_folder)), capsys) == [
        f"prior {tiny_folder}: epsilon prediction, 4x16x16 latents of 64x64 images"
    ]
    assert announced(PriorConfig(name="gaussian"), capsys) == []


def test_the_closed_form_prior_is_chosen_by_name() -> None:
    """Oracle: its size is the stated one."""
    assert load_prior(PriorConfig(name="gaussian", latent_size=8), "cpu").latent_shape == (3, 8, 8)
