"""A run of latents as a whole: resumed across its change to colours, shown, and continued by others."""

import json
from pathlib import Path

import torch

from src.generators.nerf import color_map
from src.guidance.load import load_prior
from src.model import load_run, look
from src.scene.cameras import orbit
from src.scene.latent_field import ColoredField
from src.streams import Streams
from src.train import train
from tests.runs import tiny


def digest(folder: Path) -> str:
    return json.loads((folder / "manifest.json").read_text())["parameters_sha256"]


def test_a_run_ends_the_same_however_often_it_is_cut(tmp_path: Path) -> None:
    """Oracle: bitwise, cut before and after the stage in colours begins."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    settings = ["generator=latent_nerf", "rgb_start_step=3"]
    train(tiny(whole, *settings, "steps=5"))
    for steps in (2, 4, 5):
        train(tiny(cut, *settings, f"steps={steps}"))
    assert digest(whole) == digest(cut)
    assert (whole / "turntable.mp4").exists()


def test_latents_are_shown_in_colours_and_the_map_learns_only_in_colours(tmp_path: Path) -> None:
    """Oracle: three channels from a finished run; the matrix as fitted until the stage in colours."""
    plain, colored = tmp_path / "plain", tmp_path / "colored"
    train(tiny(plain, "generator=latent_nerf", "steps=2"))
    train(tiny(colored, "generator=latent_nerf", "steps=2", "rgb_start_step=0"))
    cfg, model, _ = load_run(plain, torch.device("cpu"))
    assert look(cfg, model, orbit(1, 0.0, 1.5, 40.0, 8)).image.shape == (1, 3, 8, 8)
    matrices = []
    for folder in (plain, colored):
        field = load_run(folder, torch.device("cpu"))[1].field
        assert isinstance(field, ColoredField)
        matrices.append(field.latent.colors.matrix)
    fitted = color_map(load_prior(cfg.prior, torch.device("cpu")), Streams(cfg.seed, 0))
    torch.testing.assert_close(matrices[0], fitted)
    assert not torch.equal(matrices[1], matrices[0])
