"""What the denoiser is taught by: captions read, pictures drawn, shards taken up as they are finished."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from src.toybox.prior import networks, shards
from src.toybox.prior.denoising import taught_tokenizer
from src.toybox.prior.fitting import Team
from src.toybox.prior.lessons import CAPTIONS, Lessons
from src.toybox.prior.settings import Settings
from src.toybox.prior.shards import Shards, nobody_renders
from src.toybox.world.captions import Subject

LATENTS = 2 * networks.LATENT_CHANNELS, networks.LATENT_SIZE, networks.LATENT_SIZE


def finish(folder: Path, index: int, kinds: list[str], mark: float) -> None:
    """A whole shard of pictures of these kinds, whose latents all hold `mark`."""
    (folder / "world").mkdir(exist_ok=True)
    (folder / "latents").mkdir(exist_ok=True)
    np.save(folder / "latents" / f"{index:04d}.npy", np.full((len(kinds), *LATENTS), mark, np.float16))
    facts = [
        {
            "subject": asdict(Subject(kind, "red")),
            "views": [", front view", ", front left view"],
            "bad_words": [],
        }
        for kind in kinds
    ]
    (folder / "world" / f"{index:04d}.json").write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("tokens")
    return taught_tokenizer(Settings(folder=str(folder), weights=str(folder / "weights")), Team(0, 1))


def busy() -> None:
    """Renderers that are still at it."""


def lessons(folder: Path, tokens: CLIPTokenizer, count: int) -> Lessons:
    cfg = Settings(folder=str(folder), weights=str(folder / "weights"), shards=count)
    return Lessons(cfg, tokens, networks.autoencoder(), busy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red lion, front view",
        "Ugly, low-resolution, out of focus",
        "a zygote",
        "a " + "red " * 90 + "lion",
    ],
)
def test_captions_are_read_as_the_tokenizer_reads_them(
    tmp_path: Path, tokens: CLIPTokenizer, text: str
) -> None:
    """Oracle: the tokenizer's own numbers, padded and cut off, of known, unknown and of too many words."""
    whole = tokens([text], padding="max_length", truncation=True, max_length=networks.TOKENS)
    read = lessons(tmp_path, tokens, 1)._read([[text]])
    assert read[0, 0].tolist() == whole.input_ids[0]


def test_fronts_are_drawn_twice_as_often_and_some_captions_are_empty(
    tmp_path: Path, tokens: CLIPTokenizer
) -> None:
    """Oracle: two tickets of three for the lion, a quarter without words; 4 sigma of 4,000 draws."""
    finish(tmp_path, 0, ["lion"], 1.0)
    finish(tmp_path, 1, ["apple"], 0.0)
    taught = lessons(tmp_path, tokens, 2)
    taught.take_up()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        posteriors, words = taught.draw(4000, 0.25)
    assert posteriors.shape == (4000, *LATENTS)
    assert abs(posteriors[:, 0, 0, 0].float().mean() - 2 / 3) < 4 * (2 / 9 / 4000) ** 0.5
    empty = (words[:, 1] == tokens.eos_token_id).float().mean()
    assert abs(empty - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5
    said = {tokens.decode(row, skip_special_tokens=True) for row in words[posteriors[:, 0, 0, 0] == 1]}
    assert 2 <= len(said) <= CAPTIONS + 1
    assert all("apple" not in text for text in said)


def test_what_is_finished_later_is_drawn_from_then_on(tmp_path: Path, tokens: CLIPTokenizer) -> None:
    """Oracle: the marks of the shards that are whole; nothing is taken up twice."""
    finish(tmp_path, 1, ["apple"], 1.0)
    taught = lessons(tmp_path, tokens, 3)
    for more, marks in ((None, {1.0}), (0, {1.0, 5.0}), (None, {1.0, 5.0})):
        if more is not None:
            finish(tmp_path, more, ["apple"], 5.0)
        taught.take_up()
        assert set(taught.draw(64, 0.0)[0][:, 0, 0, 0].tolist()) == marks
    assert len(taught._tickets) == 2


def test_the_first_shard_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the shard that a renderer finishes meanwhile; an error where the renderer has died."""
    monkeypatch.setattr(shards, "POLL_SECONDS", 0.0)
    asked = []

    def renderer() -> None:
        asked.append(1)
        if len(asked) == 3:
            (tmp_path / "0002.json").write_text("[]")

    world = Shards(tmp_path, 4, renderer)
    assert (world.fresh(), len(asked)) == ([2], 3)
    assert (world.fresh(), len(asked)) == ([], 4)
    with pytest.raises(FileNotFoundError, match="shards of the world are missing"):
        Shards(tmp_path / "elsewhere", 4, nobody_renders).fresh()


def test_a_renderer_that_dies_later_is_no_secret(tmp_path: Path) -> None:
    """Oracle: its error at the next look, while shards are missing; none when all are there."""
    (tmp_path / "0000.json").write_text("[]")
    world = Shards(tmp_path, 2, nobody_renders)
    assert world.fresh() == [0]
    with pytest.raises(FileNotFoundError):
        world.fresh()
    (tmp_path / "0001.json").write_text("[]")
    assert (world.fresh(), world.fresh()) == ([1], [])
