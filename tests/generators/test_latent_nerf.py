"""A run of latents as a whole: resumed across its change to colours, shown, and continued by others."""

import json
from pathlib import Path

import pytest
import torch

from src.errors import UserError
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


def test_latents_are_shown_in_colours_and_a_cut_changes_nothing(tmp_path: Path) -> None:
    """Oracle: bitwise, cut before and after the stage in colours begins; three channels from a finished run;
    the matrix as fitted until the stage in colours, in which it learns.
    """
    whole, cut, cpu = tmp_path / "whole", tmp_path / "cut", torch.device("cpu")
    settings = ["generator=latent_nerf", "rgb_start_step=3"]
    train(tiny(whole, *settings, "steps=5"))
    matrices = []
    for steps in (2, 4, 5):
        train(tiny(cut, *settings, f"steps={steps}"))
        cfg, model, _ = load_run(cut, cpu)
        assert isinstance(model.field, ColoredField)
        matrices.append(model.field.latent.colors.matrix)
    assert digest(whole) == digest(cut)
    assert (whole / "turntable.mp4").exists()
    assert look(cfg, model, orbit(1, 0.0, 1.5, 40.0, 8)).image.shape == (1, 3, 8, 8)
    fitted = color_map(load_prior(cfg.prior, cpu), Streams(cfg.seed, 0))
    torch.testing.assert_close(matrices[0], fitted.matrix)
    torch.testing.assert_close(model.field.latent.colors.offset, fitted.offset)
    assert fitted.offset.abs().sum() > 0
    assert not torch.equal(matrices[1], matrices[0])


def test_a_field_goes_on_with_its_own_prior_alone(tmp_path: Path) -> None:
    """Oracle: begun from a field of latents: as it is, through its colour map; another kind is named."""
    first, second = tmp_path / "first", tmp_path / "second"
    train(tiny(first, "generator=latent_nerf", "steps=1"))
    begun = ["generator=latent_nerf", f"source={first}", "rgb_start_step=0", "steps=1"]
    train(tiny(second, *begun, *(f"optimizer.lr_{each}=0" for each in ("encoding", "density", "color"))))
    before, after = (load_run(folder, torch.device("cpu"))[1].field for folder in (first, second))
    assert isinstance(before, ColoredField)
    assert isinstance(after, ColoredField)
    torch.testing.assert_close(before.latent.color_out, after.latent.color_out)
    with pytest.raises(UserError, match=r"source=.* has generator=latent_nerf, and this run nerf"):
        train(tiny(tmp_path / "third", f"source={first}"))
