"""A mesh run as a whole: begun from a NeRF's, resumed, exported, and refused where it cannot begin."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.config import RunConfig
from src.errors import UserError
from src.evaluation.views import of_run
from src.model import MeshModel, load_run, load_scene
from src.train import train
from tests.runs import tiny

SOLID = ["field.blob_density=30", "field.radius=0.8", "mesh.cells=12", "logging.preview_size=16"]


@pytest.fixture(scope="module")
def nerf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a NeRF, a blob still."""
    folder = tmp_path_factory.mktemp("begun") / "nerf"
    train(tiny(folder, *SOLID, "steps=2"))
    return folder


def mesh_of(nerf: Path, out: Path, *arguments: str) -> RunConfig:
    return tiny(out, "generator=mesh", f"source={nerf}", *SOLID, "mesh.normal_consistency=1", *arguments)


def digest(folder: Path) -> str:
    return json.loads((folder / "manifest.json").read_text())["parameters_sha256"]


def test_a_mesh_begins_as_the_nerf_and_ends_the_same_if_cut(nerf: Path, tmp_path: Path) -> None:
    """Oracle: outlines of the NeRF and of its mesh at step 0 agree; bitwise the same run with and without a
    cut, and without its source, which its checkpoint has no need of; distances and colours both change.
    """
    whole, cut, gone = tmp_path / "whole", tmp_path / "cut", tmp_path / "gone"
    train(mesh_of(nerf, whole, "steps=4"))
    shutil.copytree(nerf, gone)
    train(mesh_of(gone, cut, "steps=2"))
    _, mesh, _ = load_scene(cut, torch.device("cpu"))
    shutil.rmtree(gone / "checkpoints")
    train(mesh_of(gone, cut, "steps=4"))
    assert digest(whole) == digest(cut)
    _, late, _ = load_scene(whole, torch.device("cpu"))
    assert isinstance(mesh, MeshModel)
    assert isinstance(late, MeshModel)
    assert not torch.equal(mesh.surface.distance, late.surface.distance)
    assert not torch.equal(mesh.texture.color_out, late.texture.color_out)
    for name in ("handover.png", "turntable.mp4", "sheet.png", "previews.png"):
        assert (whole / name).exists()
    before, after = np.asarray(Image.open(whole / "handover.png")).reshape(2, 16, 64, 3).astype(float)
    assert np.abs(before - after).mean() < 20  # of 255: the blob is a cloud, its mesh is not
    settings, model, _ = load_run(nerf, torch.device("cpu"))
    cloud, solid = of_run(settings, model, 32).opacity > 0.5, of_run(settings, mesh, 32).opacity > 0.5
    assert (
        float((cloud & solid).sum() / (cloud | solid).sum()) > 0.75
    )  # half a cell of 0.13 is 21% of a disc of 0.6


def test_a_networks_surface_goes_on_and_is_handed_over(nerf: Path, tmp_path: Path) -> None:
    """Oracle: bitwise the same run with and without a cut; a mesh begun from it, of numbers of its own, has
    the very same vertices.
    """
    grown = ["mesh.network=true", "optimizer.lr_surface=0.1"]
    whole, cut, after = tmp_path / "whole", tmp_path / "cut", tmp_path / "after"
    train(mesh_of(nerf, whole, *grown, "steps=3"))
    train(mesh_of(nerf, cut, *grown, "steps=1"))
    train(mesh_of(nerf, cut, *grown, "steps=3"))
    assert digest(whole) == digest(cut)
    train(mesh_of(whole, after, "optimizer.lr_surface=0", "steps=1"))
    (_, before, _), (_, now, _) = (load_scene(each, torch.device("cpu")) for each in (whole, after))
    assert isinstance(before, MeshModel)
    assert isinstance(now, MeshModel)
    assert before.surface.network is not None
    assert now.surface.network is None
    for one, other in zip(before.surface.mesh(), now.surface.mesh(), strict=True):
        assert torch.equal(one, other)


def test_a_mesh_needs_something_to_begin_from(nerf: Path, tmp_path: Path) -> None:
    """Oracle: one sentence each that names the setting."""
    with pytest.raises(UserError, match=r"generator=mesh begins from a finished run.*source="):
        tiny(tmp_path / "a", "generator=mesh")
    with pytest.raises(UserError, match=r"source=.*does not exist"):
        train(mesh_of(tmp_path / "nowhere", tmp_path / "c"))
    empty = tmp_path / "empty"
    train(tiny(empty, *SOLID, "field.density_bias=-60", "steps=1"))
    with pytest.raises(UserError, match="no surface to take"):
        train(mesh_of(empty, tmp_path / "d"))
