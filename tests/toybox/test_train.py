"""Training the prior: its command line, its tokenizer and the steps between its stages."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException

from src.errors import UserError
from src.toybox import train
from src.toybox.prior import networks
from src.toybox.prior.denoising import RANGES, draw_times, taught_tokenizer
from src.toybox.prior.fitting import Team
from src.toybox.prior.latents import decibel, fit_autoencoder, importance, standardize, to_unit
from src.toybox.prior.settings import Settings
from src.toybox.train import main


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("denoiser_steps=-5", "denoiser_steps=-5 is out of range: choose 1 to"),
        ("autoencoder_steps=0", "autoencoder_steps=0 is out of range: choose 1 to"),
        ("processes=0", "processes=0 is out of range: choose 1 to"),
        ("shards=half", "shards=half is no number: give shards= a whole number"),
        ("learning_rate=nan", "learning_rate=nan is out of range: choose 0 to 1"),
        ("batch_size=7", "batch_size=7 cannot be shared equally by processes=2: choose a multiple"),
        ("steps=10", "steps=10: no such setting; write name=value with one of folder, weights, "),
        ("seed=-1", "seed=-1 is out of range: choose 0 to"),
        ("minutes=5", "minutes=5 processes=2: processes would end at different steps: choose processes=1"),
        ("device=tpu", "device=tpu: choose cpu or cuda"),
        ("start=docs", "start=docs: no exported prior is there; name a folder that holds one"),
        ("weights=src", "weights=src is there and is no prior that was exported"),
    ],
)
def test_a_slip_is_one_sentence_and_exit_code_2(
    argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the sentence alone on stderr, before anything is rendered."""
    assert main([argument]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


def settings(folder: Path) -> Settings:
    return Settings(folder=str(folder), weights=str(folder / "weights"), shards=1, processes=1)


def test_the_tokenizer_is_the_same_each_time_and_stays(tmp_path: Path) -> None:
    """Oracle: equal files; with other numbers for its tokens a text encoder would read other words."""
    for name in ("one", "other"):
        taught_tokenizer(settings(tmp_path / name), Team(0, 1))
    for file in ("vocab.json", "merges.txt"):
        one, other = (tmp_path / name / "tokenizer" / file for name in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()
    merges = tmp_path / "one/tokenizer/merges.txt"
    merges.write_text("#version: 0.2\nl i\n")
    assert taught_tokenizer(settings(tmp_path / "one"), Team(0, 1)).tokenize("lion") == ["li", "o", "n</w>"]


def test_latents_become_standard_and_pictures_stay() -> None:
    """Oracle: mean 0 and deviation 1 a channel, and the same pictures back. 1e-3: float32, 20 layers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = networks.autoencoder().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    images = to_unit(torch.from_numpy(pixels).repeat_interleave(8, 1).repeat_interleave(8, 2))
    with torch.no_grad():
        before = vae.decode(vae.encode(images).latent_dist.mean).sample
        spread = (
            vae.encode(images).latent_dist.std
            / vae.encode(images).latent_dist.mean.std((0, 2, 3))[:, None, None]
        )
        standardize(vae, images)
        posterior = vae.encode(images).latent_dist
        after = vae.decode(posterior.mean).sample
    torch.testing.assert_close(
        posterior.mean.mean((0, 2, 3)), torch.zeros(networks.LATENT_CHANNELS), rtol=0, atol=1e-3
    )
    torch.testing.assert_close(
        posterior.mean.std((0, 2, 3)), torch.ones(networks.LATENT_CHANNELS), rtol=0, atol=1e-3
    )
    torch.testing.assert_close(posterior.std, spread, rtol=1e-3, atol=0)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-3)


def test_decibel_of_an_untrained_autoencoder() -> None:
    """Oracle: -10 log10 of the mean squared error of pictures in [0, 1]; of all, of the upper half."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = networks.autoencoder().eval()
    images, opacity = torch.zeros(2, 3, 128, 128), torch.zeros(2, 1, 128, 128)
    opacity[:, :, :64] = 1
    with torch.no_grad():
        error = (vae.decode(vae.encode(images).latent_dist.mean).sample / 2).square()
    whole, subjects = decibel(vae, images, opacity)
    assert whole == pytest.approx((-10 * error.mean((1, 2, 3)).log10()).mean().item(), abs=1e-4)
    assert subjects == pytest.approx((-10 * error[:, :, :64].mean().log10()).item(), abs=1e-4)


def test_errors_weigh_most_at_a_subjects_edges() -> None:
    """Oracle: the weights, by hand, of one eye on a plain subject before a plain background."""
    image, opacity = torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    opacity[..., 8:24, 8:24] = 1
    image[..., 14:18, 14:18] = -1
    weight = importance(image, opacity)
    assert weight.mean().item() == pytest.approx(1, abs=1e-5)
    background, subject, edge = weight[0, 0, 2, 2], weight[0, 0, 9, 9], weight[0, 0, 14, 14]
    assert subject.item() == pytest.approx(background.item() / 0.3, rel=1e-5)
    assert edge.item() == pytest.approx(subject.item() * (1 + 6 / 4), rel=1e-5)  # a step of 1 of 4


def test_every_range_of_t_has_its_share() -> None:
    """Oracle: a third from each of RANGES, of 30,000 draws (4 sigma), and nothing outside [0, 1000)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = draw_times(30_000).numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1000
    for low, high in ((0, 300), *RANGES[1:]):
        share = np.mean([max(0, min(high, b) - max(low, a)) / (b - a) for a, b in RANGES])
        spread = 4 * (share * (1 - share) / len(drawn)) ** 0.5
        assert abs(((drawn >= low) & (drawn < high)).mean() - share) < spread


@pytest.mark.parametrize("broken", [None, 5])
def test_a_gpu_learns_while_the_cores_render(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int | None
) -> None:
    """Oracle: who is started, and the exit code of a renderer that died, which nothing waits for."""
    calls = []

    class Renderers:
        def join(self, timeout: float) -> None:
            calls.append(f"look, {timeout:g} s")
            if broken is not None:
                raise ProcessExitedException("", 0, 0, exit_code=broken)

    def start(work: object, given: tuple[Settings], nprocs: int, join: bool, daemon: bool) -> Renderers:
        assert (work, join, daemon) == (train.render_world, False, True)
        calls.append(f"{nprocs - given[0].renderers()} too many")
        return Renderers()

    def learn(rank: int, cfg: Settings, check: Callable[[], object]) -> None:
        calls.append("learn")
        check()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(train, "spawn", start)
    monkeypatch.setattr(train, "fit_networks", learn)
    given = ["device=cuda", "processes=1", f"folder={tmp_path}", f"weights={tmp_path / 'weights'}"]
    assert main(given) == (broken or 0)
    assert calls == ["0 too many", "learn", "look, 0 s"]


def test_latents_of_a_shorter_autoencoder_are_not_mixed_in(tmp_path: Path) -> None:
    """Oracle: UserError before the first step; such latents would teach the denoiser another code."""
    for name in ("world", "latents"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0000.npy", np.zeros((1, 128, 128, 4), np.uint8))
    (tmp_path / "world/0000.json").write_text("[]")
    with pytest.raises(UserError, match=r"latents was encoded after fewer; remove it and .*denoiser"):
        fit_autoencoder(settings(tmp_path), Team(0, 1))
