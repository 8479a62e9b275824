"""The exported folder: what stock libraries and our own loader make of it. Real shapes, random weights."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from src.errors import UserError
from src.guidance.prior import Precision, Prior, PriorConfig, load_prior
from src.guidance.prompts import NEGATIVE_PROMPT
from src.streams import Streams
from src.toybox.prior import networks
from src.toybox.prior.denoising import taught_tokenizer
from src.toybox.prior.export import export, refuse_to_replace
from src.toybox.prior.fitting import Team
from src.toybox.prior.settings import Settings
from src.toybox.world.captions import VIEW_WORDS, vocabulary

PROMPTS = ["a red ceramic lion, front view", "", NEGATIVE_PROMPT]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, nn.Module]]:
    """A folder with a tokenizer, and untrained networks."""
    folder = tmp_path_factory.mktemp("toybox")
    tokens = taught_tokenizer(Settings(folder=str(folder), weights=str(folder / "weights")), Team(0, 1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = {
            "text": networks.text_encoder(tokens),
            "unet": networks.denoiser().to(memory_format=torch.channels_last),
            "vae": networks.autoencoder(),
        }
    return folder, {name: part.eval() for name, part in made.items()}


@pytest.fixture(scope="module")
def weights(parts: tuple[Path, dict[str, nn.Module]]) -> Path:
    """The exported folder, read-only for the tests."""
    folder, made = parts
    export(folder / "weights", made, folder, samples=12_345)
    return folder / "weights"


@pytest.fixture(scope="module")
def prior(weights: Path) -> Prior:
    return load_prior(PriorConfig(path=str(weights), precision=Precision.float32), "cpu")


@pytest.fixture(scope="module")
def pipeline(weights: Path):  # no annotation: diffusers is imported where it is used
    from diffusers import StableDiffusionPipeline

    loaded = StableDiffusionPipeline.from_pretrained(weights, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_the_stock_pipeline_samples(pipeline) -> None:
    """Oracle: diffusers itself; two steps make a 128x128 picture; the seed and the prompt decide which."""

    def draw(prompt: str) -> torch.Tensor:
        seed = torch.Generator().manual_seed(0)
        drawn = pipeline(prompt, num_inference_steps=2, output_type="np", generator=seed)
        return torch.from_numpy(drawn.images)

    assert draw("a red lion").shape == (1, 128, 128, 3)
    assert torch.equal(draw("a red lion"), draw("a red lion"))
    assert not torch.equal(draw("a red lion"), draw("a blue mushroom"))


def test_our_loader_predicts_what_the_modules_predicted(
    parts: tuple[Path, dict[str, nn.Module]], prior: Prior
) -> None:
    """Oracle: the modules that were exported. 1e-5: rounded to float16; 1%: float16's 2^-11, summed."""
    noised = Streams(0, 0)("noised").normal(3, 8, 16, 16)
    t = torch.tensor([20, 500, 980])
    found = prior.predict_noise(noised, t, prior.embed(PROMPTS))
    ids = prior._tokenizer(PROMPTS, padding="max_length", max_length=77, return_tensors="pt").input_ids
    for change, share in (
        (lambda part: networks.copied_as_half(part).float(), 1e-5),
        (lambda part: part, 0.01),
    ):
        text, unet = change(parts[1]["text"]), change(parts[1]["unet"])
        with torch.no_grad():
            expected = unet(noised, t, text(ids)[0]).sample
        assert (found - expected).abs().max() <= share * expected.abs().max()


def test_encode_and_decode_match_the_pipeline(prior: Prior, pipeline) -> None:
    """Oracle: the pipeline's autoencoder and image processor, with our own normals. 1e-5: float32."""
    image = Streams(0, 0)("image").uniform(2, 3, 128, 128)
    posterior = pipeline.vae.encode(pipeline.image_processor.preprocess(image)).latent_dist
    expected = posterior.mean + posterior.std * Streams(0, 0)("vae").normal(2, 8, 16, 16)
    latents = prior.encode(image, Streams(0, 0)("vae"))
    torch.testing.assert_close(latents, expected.detach(), rtol=0, atol=1e-5)
    with torch.no_grad():
        decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    expected = pipeline.image_processor.postprocess(decoded, output_type="pt")
    torch.testing.assert_close(prior.decode(latents), expected, rtol=0, atol=1e-5)


def test_every_word_of_the_world_is_one_token(prior: Prior) -> None:
    """Oracle: begin, one token, end; but for "3D", which CLIP's own rules cut after the digit."""
    words = {*vocabulary(), *VIEW_WORDS, *NEGATIVE_PROMPT.replace(",", "").replace("-", " ").split()} - {"3d"}
    assert len(words) > 70
    assert [word for word in sorted(words) if prior.count_tokens(word) != 3] == []
    assert prior.count_tokens("3d") == 4
    assert prior.count_tokens("A Red LION") == 5
    assert prior.known_words is not None
    assert {"lion", "ceramic", "front", "gloomy"} <= set(prior.known_words)


def test_nothing_in_the_folder_names_a_place_or_unpickles(weights: Path) -> None:
    """Oracle: every file's text and name."""
    files = sorted(path for path in weights.rglob("*") if path.is_file())
    assert {path.suffix for path in files} == {".json", ".txt", ".safetensors", ".md", ""}
    for path in files:
        if path.suffix != ".safetensors":
            text = path.read_text("utf-8")
            assert "_name_or_path" not in text, path
            assert str(weights.parent) not in text, path
            assert str(Path.cwd()) not in text, path


def test_the_card_says_what_the_model_is(weights: Path) -> None:
    """Oracle: the world it was taught: 47 kinds, 12 colours, 14 materials, 47 held-out pairs; the licence."""
    card = (weights / "README.md").read_text("utf-8")
    for said in (
        "47 kinds",
        "Colours (12)",
        "Materials (14)",
        "47 pairs",
        "black hedgehog",
        "metal lion",
        "12,345",
        "license: mit",
    ):
        assert said in card
    assert "{" not in card
    assert max(map(len, card.splitlines())) < 1000
    licence = (weights / "LICENSE").read_text("utf-8")
    assert licence.startswith("MIT License")
    assert "src/toybox/weights" in licence
    assert json.loads((weights / "trained.json").read_text())["denoiser_samples"] == 12_345
    assert sum(path.stat().st_size for path in weights.rglob("*") if path.is_file()) < 20e6


def test_an_export_replaces_its_own_kind_and_nothing_else(
    parts: tuple[Path, dict[str, nn.Module]], tmp_path: Path
) -> None:
    """Oracle: the files that are there before and after."""
    folder, made = parts
    for samples in (1, 2):
        export(tmp_path / "weights", made, folder, samples)
    assert json.loads((tmp_path / "weights/trained.json").read_text())["denoiser_samples"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    with pytest.raises(
        UserError, match=r"weights=.*mine is there and is no prior .* choose another weights="
    ):
        export(tmp_path / "mine", made, folder, 3)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years"
    (tmp_path / "mine/thesis.txt").unlink()
    refuse_to_replace(tmp_path / "mine")
    refuse_to_replace(tmp_path / "not there")
