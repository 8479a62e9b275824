"""A sketch: what is inside a file's triangles, how far its surface is, and what that asks of a scene."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from src.errors import UserError
from src.model import load_scene
from src.scene.lattice import Lattice
from src.scene.sketch import CLAMP, Sketch, SketchConfig, enclosed
from src.train import train
from tests.runs import tiny

CPU = torch.device("cpu")


def triangles_of(mesh: trimesh.Trimesh) -> torch.Tensor:
    return torch.from_numpy(np.array(mesh.triangles))


def test_inside_is_inside_whatever_stands_in_each_other() -> None:
    """Oracle: closed form for a box that stands straight on the lattice's own planes, for a ball, and for
    both together, though their surfaces cross.
    """
    lattice = Lattice(16, 1.0)
    points = lattice.vertices
    box = trimesh.creation.box((1.0, 0.5, 0.75))  # its faces lie in planes of the lattice
    ball = trimesh.creation.icosphere(3, 0.4).apply_translation((0.33, 0.21, 0.1))
    half = points.new_tensor([0.5, 0.25, 0.375])
    in_box, on_box = (points.abs() < half - 1e-6).all(1), (points.abs() < half + 1e-6).all(1)
    away = (points - points.new_tensor([0.33, 0.21, 0.1])).norm(dim=1)
    sure = ~(on_box & ~in_box) & ((away - 0.4).abs() > 0.01)  # an icosphere lies a little inside its sphere
    assert torch.equal(enclosed(lattice, triangles_of(box))[sure], in_box[sure])
    assert torch.equal(enclosed(lattice, triangles_of(ball))[sure], (away < 0.4)[sure])
    both = torch.cat([triangles_of(box), triangles_of(ball)])
    assert torch.equal(enclosed(lattice, both)[sure], (in_box | (away < 0.4))[sure])


def test_a_hole_does_not_let_the_outside_in() -> None:
    """Oracle: the closed ball; a twentieth of its triangles is missing."""
    lattice = Lattice(16, 1.0)
    triangles = triangles_of(trimesh.creation.icosphere(3, 0.7))
    whole = enclosed(lattice, triangles)
    holed = enclosed(lattice, triangles[triangles.mean(1)[:, 2] < 0.9 * 0.7])
    assert 0.9 < len(triangles[triangles.mean(1)[:, 2] < 0.9 * 0.7]) / len(triangles) < 0.97
    assert (whole == holed).float().mean() > 0.995


@pytest.mark.parametrize("ending", [".obj", ".glb", ".ply", ".stl"])
def test_distances_are_those_of_the_shape_as_it_stands(tmp_path: Path, ending: str) -> None:
    """Oracle: a standing rod's closed form, to 2% of its length; y is up in some files, z in others; put in
    the middle, its farthest point at the radius.
    """
    rod = trimesh.creation.box((0.4, 0.4, 2.0)).apply_translation((5, 5, 5))
    if ending in (".obj", ".glb"):
        rod.vertices = rod.vertices[:, [1, 2, 0]]
    rod.export(tmp_path / f"rod{ending}")
    sketch = Sketch(SketchConfig(str(tmp_path / f"rod{ending}"), radius=0.8), 1.0, CPU)
    unit = 0.8 / math.sqrt(1 + 2 * 0.2**2)
    points = torch.tensor([[0, 0, 0], [0, 0, 1.0], [0.9, 0, 0], [0, -0.9, 0.3]])
    wanted = torch.tensor([-0.2 * unit, 1 - unit, 0.9 - 0.2 * unit, 0.9 - 0.2 * unit])
    torch.testing.assert_close(sketch.signed_distance(points), wanted, rtol=0, atol=0.02)


def test_what_it_asks_for_is_the_papers_cross_entropy(tmp_path: Path) -> None:
    """Oracle: u CE(o, inside) written out, in float64, with the distances that it holds."""
    trimesh.creation.icosphere(3, 0.5).export(tmp_path / "ball.ply")
    sketch = Sketch(SketchConfig(str(tmp_path / "ball.ply"), 7.0, 0.3, 0.5), 1.0, CPU)
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(500, 3, generator=generator) - 1
    density = 30 * torch.rand(500, generator=generator) ** 4
    distance = sketch.signed_distance(points).double()
    opacity = 1 - torch.exp(-0.2 * density.double())
    u = 1 - torch.exp(-(distance**2) / (2 * 0.3**2))
    error = torch.where(distance < 0, -opacity.clamp(min=CLAMP).log(), -(1 - opacity).log())
    assert (distance < 0).sum() > 20
    found = sketch.penalty(density, points, 64 * 64 * 4)
    torch.testing.assert_close(found.double(), 7 * (u * error).mean(), rtol=1e-5, atol=0)


def test_what_cannot_be_a_sketch_is_said(tmp_path: Path) -> None:
    """Oracle: one sentence each that names the file and what to do."""
    (tmp_path / "broken.ply").write_bytes(b"ply\nnothing")
    trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]).export(tmp_path / "flat.stl")
    with pytest.raises(UserError, match=r"lion\.blend has no ending that we know: choose .*\.glb"):
        SketchConfig("lion.blend")
    with pytest.raises(UserError, match=r"broken\.ply cannot be read"):
        Sketch(SketchConfig(str(tmp_path / "broken.ply")), 1.0, CPU)
    with pytest.raises(UserError, match=r"flat\.stl encloses nothing"):
        Sketch(SketchConfig(str(tmp_path / "flat.stl")), 1.0, CPU)
    with pytest.raises(UserError, match=r"sketch\.slack=0"):
        SketchConfig(slack=0.0)


@pytest.mark.parametrize(("field", "size"), [(1.0, 0.7), (0.6, 0.525)])
def test_a_sketch_fits_its_field(tmp_path: Path, field: float, size: float) -> None:
    """Oracle: 0.7, or seven eighths of a smaller field: inside just short of it, and outside beyond."""
    trimesh.creation.box((0.1, 0.1, 1.2)).export(tmp_path / "rod.ply")
    sketch = Sketch(SketchConfig(str(tmp_path / "rod.ply")), field, CPU)
    ends = torch.tensor([[0, 0, z * size] for z in (0.9, 1.1)])
    assert (sketch.signed_distance(ends) < 0).tolist() == [True, False]


def test_runs_keep_to_a_sketch_or_begin_as_one(tmp_path: Path) -> None:
    """Oracle: bitwise the same with and without a cut; a NeRF with the sketch is denser inside it and thinner
    outside than one without; a mesh at step 0 has the sketch's volume; another file under the same name
    is refused, and so are a file that is gone and latents.
    """
    rod = tmp_path / "rod.ply"
    trimesh.creation.box((0.3, 0.3, 1.2)).export(rod)
    kept = [f"sketch.mesh={rod}", "field.radius=0.8", "optimizer.lr_encoding=0.1", "optimizer.lr_density=0.1"]
    for name, steps in (("whole", 12), ("cut", 5), ("cut", 12)):
        train(tiny(tmp_path / name, *kept, f"steps={steps}"))
    assert sha256(tmp_path / "whole") == sha256(tmp_path / "cut")
    train(tiny(tmp_path / "free", *kept[1:], "steps=12"))
    sketch = Sketch(SketchConfig(str(rod)), 0.8, CPU)
    points = 1.6 * torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) - 0.8
    inside = sketch.signed_distance(points) < 0
    contrast = {}
    for name in ("whole", "free"):
        _, model, _ = load_scene(tmp_path / name, CPU)
        density = model.field.density(points).detach()  # type: ignore[union-attr]
        contrast[name] = float(density[inside].mean() / density[~inside].mean())
    assert contrast["whole"] > 1.5 * contrast["free"]

    mesh = [*kept, "generator=mesh", "mesh.cells=24", "mesh.normal_consistency=1", "optimizer.lr_surface=0"]
    train(tiny(tmp_path / "mesh", *mesh, "steps=1"))
    _, made, _ = load_scene(tmp_path / "mesh", CPU)
    surface = made.surface.mesh()  # type: ignore[union-attr]
    a, b, c = surface.vertices.detach()[surface.faces].unbind(1)
    volume = float((a * torch.linalg.cross(b, c)).sum()) / 6
    scale = 0.7 / math.sqrt(0.15**2 * 2 + 0.6**2)
    assert volume == pytest.approx(0.3 * 0.3 * 1.2 * scale**3, rel=0.15)  # cells of 0.07 blunt its edges

    trimesh.creation.box((0.4, 0.3, 1.2)).export(rod)
    with pytest.raises(UserError, match=r"began from sketch\.mesh=.*as it no longer is"):
        train(tiny(tmp_path / "cut", *kept, "steps=14"))
    rod.unlink()
    with pytest.raises(UserError, match=r"sketch\.mesh=.*does not exist"):
        train(tiny(tmp_path / "new", *kept))
    with pytest.raises(UserError, match=r"sketch\.mesh=.*is what a NeRF keeps to"):
        tiny(tmp_path / "flat", *kept, "generator=latents")


def sha256(folder: Path) -> str:
    return str(json.loads((folder / "manifest.json").read_text())["parameters_sha256"])
