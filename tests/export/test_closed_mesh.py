"""Meshes for printers: no edge without exactly two triangles, whatever decimation did; and STL."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from src.errors import UserError
from src.evaluation.views import Views, of_run
from src.export import isosurface, mesh
from src.model import Model
from tests.export.scenes import ball_run, mug
from tests.runs import tiny


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Views]:
    """A mug, whose handle and walls are thin."""
    cfg = tiny(tmp_path_factory.mktemp("mug"), "field.radius=0.6", "render.samples_per_ray=48")
    model = mug()
    return model, of_run(cfg, model, 48)


def test_edges_are_counted() -> None:
    """Oracle: by hand: a tetrahedron has none open, without a side three, with a fin on an edge three."""
    solid = trimesh.creation.icosphere(subdivisions=1)
    assert isosurface.open_edges(solid) == 0
    assert isosurface.open_edges(trimesh.Trimesh(solid.vertices, solid.faces[1:], process=False)) == 3
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], float)
    sides = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3], [0, 1, 4]])
    assert isosurface.open_edges(trimesh.Trimesh(corners, sides, process=False)) == 3


@pytest.mark.parametrize("faces", [150, 600, 0])
def test_a_closed_mesh_is_asked_for_and_had(views: tuple[Model, Views], faces: int) -> None:
    """Oracle: trimesh's watertightness and winding; no more triangles than asked for; a positive volume."""
    found = isosurface.extract(*views, 40, faces, whole=True)
    assert isosurface.open_edges(found) == 0
    assert found.is_watertight
    assert found.is_winding_consistent
    assert found.volume > 0
    assert not faces or len(found.faces) <= faces


def test_the_coarser_grid_is_the_same_body(views: tuple[Model, Views]) -> None:
    """Oracle: the volume of the mesh that was not decimated, to within 10% at a fifth of its triangles."""
    model, _ = views
    volume = isosurface.wall_opacity(model, 40)
    fine = isosurface.closed(volume, 0.5, 0.6)
    coarse = isosurface.coarser(volume, 0.5, 0.6, len(fine.faces) // 5)
    assert isosurface.open_edges(coarse) == 0
    assert coarse.volume == pytest.approx(fine.volume, rel=0.1)


def test_an_stl_keeps_our_axes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: trimesh's own reading: a closed ball of radius 0.3; the command says that it is closed."""
    ball_run(tmp_path / "run", 1)
    out = tmp_path / "a/ball.stl"
    assert mesh.main([f"run={tmp_path / 'run'}", f"out={out}", "resolution=48", "faces=0"]) == 0
    said = capsys.readouterr().out
    assert "triangles, closed, no colours" in said
    back = trimesh.load(out, process=True)
    assert back.is_watertight
    assert np.abs(back.bounds).max() == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("faces", ["1", "3"])
def test_too_few_triangles_are_refused_at_once(faces: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a tetrahedron is the smallest solid."""
    assert mesh.main(["run=nowhere", f"faces={faces}"]) == 2
    assert f"faces={faces} bounds no solid: choose 4 or more" in capsys.readouterr().err


def test_without_an_unwrapper_the_way_round_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: Python 3.14 has no wheel of xatlas: the sentence names texture=0 and an older Python."""
    from src.export import texture

    monkeypatch.setitem(sys.modules, "xatlas", None)
    monkeypatch.setattr("sys.version_info", (3, 14))
    with pytest.raises(UserError, match=r"under Python 3\.13 or older, or texture=0"):
        texture.check_unwrapper()
