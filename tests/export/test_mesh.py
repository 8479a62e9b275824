"""The mesh's files: upright in every format, with their colours, and one sentence for what cannot be."""

import json
import struct
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from trimesh.creation import icosphere

from src.evaluation.views import of_run
from src.export import mesh
from src.export.texture import Look, trained, wrap
from src.model import build_mesh
from tests.export.scenes import ball_run
from tests.runs import tiny


def by_place(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """A colour for every place."""
    return np.float32(0.5) + np.float32(0.2) * points


def stretched() -> trimesh.Trimesh:
    """Half as wide as it is deep, and twice as high: 1 along x, 0.5 along y, 2 along z."""
    found = icosphere(subdivisions=2)
    found.vertices *= [1, 0.5, 2]
    return found


def glb_json(path: Path) -> dict[str, Any]:
    """The tree inside a GLB."""
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[12:16])
    return json.loads(content[20 : 20 + length])


def test_a_glb_stands_upright_and_shines_by_its_texture_alone(tmp_path: Path) -> None:
    """Oracle: glTF 2.0: y is up, z the front; without metallicFactor a material is metal through and through.

    Colours at vertices, looked up as glTF counts v (downwards), are those of their places in our axes.
    """
    path = tmp_path / "a.glb"
    mesh.write(wrap(stretched(), 128, Look(by_place)), path)
    tree = glb_json(path)
    accessors = tree["accessors"]
    (primitive,) = tree["meshes"][0]["primitives"]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "TEXCOORD_0"}
    position = accessors[primitive["attributes"]["POSITION"]]
    np.testing.assert_allclose(position["max"], [0.5, 2, 1], atol=0.01)
    (material,) = tree["materials"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert material["pbrMetallicRoughness"]["roughnessFactor"] == 1
    back = trimesh.load(path, force="mesh", process=False)
    picture = np.asarray(back.visual.material.baseColorTexture.convert("RGB")) / 255
    column, row = (back.visual.uv * [1, -1] * 128 + [0, 128]).T.astype(int).clip(0, 127)
    ours = np.asarray(back.vertices)[:, [2, 0, 1]]
    assert np.abs(picture[row, column] - by_place(ours, ours)).mean() < 0.02


def test_a_material_keeps_its_roughness_and_metal(tmp_path: Path) -> None:
    """Oracle: by hand: a texture whose head is 0 has every number at 1/2; glTF wants roughness in green,
    metal in blue, and linear colours as a screen has them: 0.5 is 188 of 255.
    """
    cfg = tiny(tmp_path, "generator=mesh", "mesh.ball=0.4", "mesh.shows=material")
    model = build_mesh(cfg, torch.device("cpu"))
    torch.nn.init.zeros_(model.texture.color_out)
    path = tmp_path / "a.glb"
    mesh.write(wrap(icosphere(radius=0.4), 64, trained(model, cfg.mesh.shows)), path)
    (material,) = glb_json(path)["materials"]
    assert material["pbrMetallicRoughness"].get("metallicFactor", 1) == 1  # glTF's own default
    look = trimesh.load(path, force="mesh", process=False).visual.material
    assert look.baseColorTexture.convert("RGB").getpixel((32, 32)) == (188, 188, 188)
    _, roughness, metal = look.metallicRoughnessTexture.convert("RGB").getpixel((32, 32))
    assert (roughness, metal) == (round(255 * 0.49), round(255 * 0.45))  # within their bounds, half-way


def test_an_obj_brings_its_material_and_picture(tmp_path: Path) -> None:
    """Oracle: the names inside the files, and trimesh's own reading of all three; y is up."""
    path = tmp_path / "two words.obj"
    mesh.write(wrap(stretched(), 64, Look(by_place)), path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "two words.obj",
        "two_words.mtl",
        "two_words.png",
    ]
    assert "mtllib two_words.mtl" in path.read_text()
    material = (tmp_path / "two_words.mtl").read_text()
    assert "map_Kd two_words.png" in material
    assert "Kd 1.0" in material
    back = trimesh.load(path, force="mesh", process=False)
    np.testing.assert_allclose(back.bounds[1], [0.5, 2, 1], atol=0.01)
    with Image.open(tmp_path / "two_words.png") as picture:
        assert picture.size == (64, 64)
    assert back.visual.material.image.size == (64, 64)


def test_a_ply_keeps_our_axes_and_its_vertices_colours(tmp_path: Path) -> None:
    """Oracle: z up, and the colours that were put in."""
    solid = stretched()
    solid.visual.vertex_colors = by_place(solid.vertices, solid.vertices)
    mesh.write(solid, tmp_path / "a.ply")
    back = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_allclose(back.bounds[1], [1, 0.5, 2], atol=0.01)
    np.testing.assert_array_equal(back.visual.vertex_colors, solid.visual.vertex_colors)


def test_vertex_colours_of_a_glb_are_linear(tmp_path: Path) -> None:
    """Oracle: IEC 61966-2-1: half the light is 188 on a screen, and a twentieth of it 63."""
    assert mesh.linear(np.array([0, 63, 188, 255], np.uint8)).tolist() == [0, 13, 128, 255]
    solid = stretched()
    solid.visual.vertex_colors = [188, 188, 188, 255]
    mesh.write(solid, tmp_path / "a.glb")
    back = trimesh.load(tmp_path / "a.glb", force="mesh", process=False)
    assert back.visual.vertex_colors[0].tolist() == [128, 128, 128, 255]
    assert solid.visual.vertex_colors[0, 0] == 188  # what was given is left as it was


@pytest.fixture(autouse=True)
def _small_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "of_run", partial(of_run, size=32))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that made a ball of radius 0.3."""
    folder = tmp_path_factory.mktemp("ball")
    ball_run(folder, 5)
    return folder


def test_the_command_writes_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the ball's radius, as the renders show it: its density is 400 (1 - r / 0.3), softly."""
    assert mesh.main([f"run={run}", "resolution=32", "texture=64", "faces=500"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"step 5: {run / 'mesh.glb'}: 500 triangles, closed, a texture of 64 pixels")
    assert float(said.split("IoU of ")[1]) >= 0.95
    back = trimesh.load(run / "mesh.glb", force="mesh", process=False)
    assert back.extents / 2 == pytest.approx([0.3] * 3, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "run is missing"),
        (["run=nowhere"], "run=nowhere holds no checkpoint"),
        (["run={run}", "out=lion.fbx"], "out=lion.fbx has no ending that we know: choose .glb, .obj, .ply"),
        (["run={run}", "resolution=2"], "resolution=2 is out of range"),
        (["run={run}", "faces=many"], "faces=many is no number"),
        (["run={run}", "colour=red"], "colour=red: no such setting"),
    ],
)
def test_bad_arguments_are_one_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """Oracle: exit code 2 and the setting's name."""
    assert mesh.main([argument.format(run=run) for argument in arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_scene_without_a_surface_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: exit code 2, what is missing, and no file."""
    ball_run(tmp_path, 5, density=0.0)
    assert mesh.main([f"run={tmp_path}", "resolution=16"]) == 2
    assert "there is no surface to take" in capsys.readouterr().err
    assert not list(tmp_path.glob("mesh*"))


def test_a_missing_package_is_named_with_its_remedy(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the package's name and the extra that brings it."""
    monkeypatch.setitem(sys.modules, "xatlas", None)
    for name in ("src.export.texture", "src.export.isosurface"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("src.export.texture")
    monkeypatch.delattr("src.export.isosurface")
    assert mesh.main([f"run={run}"]) == 2
    assert "xatlas" in (said := capsys.readouterr().err)
    assert ".[mesh]" in said
