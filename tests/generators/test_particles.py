"""Particles: several scenes under one critic, one of them at each step."""

import json
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.model import CHECKPOINTS, build, load_scene
from src.run.checkpoint import load_latest
from src.train import train
from tests.runs import tiny

PARTICLES = ["particles=3", "logging.checkpoint_every=1"]


def scenes_after(folder: Path, steps: int) -> list[torch.Tensor]:
    """The three hash grids."""
    train(tiny(folder, *PARTICLES, f"steps={steps}"))
    found = load_latest(folder / CHECKPOINTS)
    assert found is not None
    names = ("field", "field-1", "field-2")
    return [found.tensors[f"module/{name}/encoding.table"] for name in names]


def test_a_step_is_one_particles_and_the_others_stay(tmp_path: Path) -> None:
    """Oracle: the scenes of step 0, of which the first is a single run's; of the tables one differs after
    each step, and after seven steps each has had its turn (else by chance once in seventeen seeds).
    """
    cfg = tiny(tmp_path / "run", *PARTICLES)
    begun = [build(cfg, torch.device("cpu"), 4, i).field.encoding.table.detach() for i in range(3)]
    single = build(tiny(tmp_path / "single"), torch.device("cpu"), 4).field.encoding.table
    assert torch.equal(begun[0], single)
    before, turns = begun, []
    for steps in range(1, 8):
        after = scenes_after(tmp_path / "run", steps)
        turns.append([not torch.equal(*pair) for pair in zip(before, after, strict=True)])
        before = after
    assert all(sum(turn) == 1 for turn in turns)
    assert [any(turn[i] for turn in turns) for i in range(3)] == [True] * 3


def test_cut_runs_end_the_same_and_show_every_particle(tmp_path: Path) -> None:
    """Oracle: bitwise the same digest with and without a cut; a film of each; commands take the first."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    scenes_after(cut, 2)
    tables = scenes_after(cut, 4), scenes_after(whole, 4)
    digests = {json.loads((each / "manifest.json").read_text())["parameters_sha256"] for each in (whole, cut)}
    assert len(digests) == 1
    for name in ("turntable.webp", "particle-1.webp", "particle-2.webp"):
        assert (whole / name).is_file()
    _, model, _ = load_scene(whole, torch.device("cpu"))
    assert torch.equal(model.field.encoding.table, tables[1][0])


def test_particles_begin_anew(tmp_path: Path) -> None:
    """Oracle: the error names the setting and what to do."""
    with pytest.raises(UserError, match=r"particles=2 are NeRFs begun anew.*stage\.nerf\.particles"):
        tiny(tmp_path, "particles=2", "generator=latents")
    with pytest.raises(UserError, match=r"particles=9 is out of range: choose a whole number from 1 to 8"):
        tiny(tmp_path, "particles=9")
