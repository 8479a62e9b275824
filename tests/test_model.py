"""The model: made by the seed alone, optimised by one rate per part, and read back from a run's folder."""

from pathlib import Path

import pytest
import torch

from src.config import as_dict
from src.errors import UserError
from src.model import CHECKPOINTS, build, load_run, look, make_optimizer, parameter_groups
from src.run import checkpoint
from src.run.checkpoint import Checkpoint
from src.scene.cameras import orbit
from tests.runs import tiny

CPU = torch.device("cpu")


def test_the_seed_alone_decides_the_first_model(tmp_path: Path) -> None:
    """Oracle: digests of the parameters."""
    cfg, other = tiny(tmp_path), tiny(tmp_path, "seed=1")
    digest = checkpoint.parameters_sha256(build(cfg, CPU).modules())
    torch.manual_seed(99)
    assert checkpoint.parameters_sha256(build(cfg, CPU).modules()) == digest
    assert checkpoint.parameters_sha256(build(other, CPU).modules()) != digest


def test_every_parameter_has_its_own_rate_once(tmp_path: Path) -> None:
    """Oracle: the settings' four rates and eps; the groups together are all parameters, none twice."""
    rates = [0.1, 0.2, 0.3, 0.4]
    names = ("lr_encoding", "lr_density", "lr_color", "lr_background")
    changes = [f"optimizer.{name}={rate}" for name, rate in zip(names, rates, strict=True)]
    cfg = tiny(tmp_path, *changes, "optimizer.eps=1e-9")
    model = build(cfg, CPU)
    groups = make_optimizer(cfg, parameter_groups(cfg, model)).param_groups
    assert [group["lr"] for group in groups] == rates
    ours = sorted(id(p) for group in groups for p in group["params"])
    assert ours == sorted(id(p) for module in model for p in module.parameters())
    assert {(group["betas"], group["eps"], group["weight_decay"]) for group in groups} == {
        ((0.9, 0.99), 1e-9, 0.01)
    }


def test_a_run_is_read_back(tmp_path: Path) -> None:
    """Oracle: the saved model's picture, bit for bit; what accelerated the run need not be here."""
    cfg = tiny(tmp_path, "render.backend=torch", "field.hash_grid.backend=torch")
    model = build(cfg, CPU)
    elsewhere = tiny(tmp_path, "render.backend=nerfacc", "field.hash_grid.backend=tcnn")
    facts = {"step": 5, "config": as_dict(elsewhere)}
    tensors = checkpoint.gather(model.modules(), {})
    checkpoint.save(tmp_path / CHECKPOINTS, Checkpoint(tensors, facts))
    read_cfg, read_model, step = load_run(tmp_path, CPU)
    assert (read_cfg, step) == (cfg, 5)
    camera = orbit(2, 15.0, 1.5, 60.0, 8)
    assert torch.equal(look(cfg, model, camera).image, look(read_cfg, read_model, camera).image)


def test_a_step_is_read_back(tmp_path: Path) -> None:
    """Oracle: each step's own parameters; the sentence for one that there is not."""
    cfg = tiny(tmp_path)
    for step in (5, 6):
        model = build(cfg, CPU)
        torch.nn.init.constant_(model.field.density_out, step)
        tensors = checkpoint.gather(model.modules(), {})
        checkpoint.save(tmp_path / CHECKPOINTS, Checkpoint(tensors, {"step": step, "config": as_dict(cfg)}))
    assert checkpoint.steps(tmp_path / CHECKPOINTS) == [5, 6]
    for wanted, expected in ((5, 5), (6, 6), (None, 6)):
        _, found, step = load_run(tmp_path, CPU, wanted)
        assert (step, float(found.field.density_out.detach()[0, 0])) == (expected, expected)
    with pytest.raises(UserError, match=r"no whole checkpoint of step 7.*choose another step"):
        load_run(tmp_path, CPU, 7)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    """Oracle: the sentence names run= and what it should be."""
    with pytest.raises(UserError, match=r"^run=.* holds no checkpoint"):
        load_run(tmp_path, CPU)
