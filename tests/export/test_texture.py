"""Colours around a mesh: every texel shows its own place on the surface."""

import math

import numpy as np
import pytest
import torch
from trimesh.creation import icosphere

from src.export.texture import Look, bake, places, rasterise, seen_from_outside, unwrap, wrap
from src.model import Model
from tests.export.scenes import Mug, mug


def by_place(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """A colour for every place, none darker than 0.2."""
    return np.float32(0.6) + np.float32(0.4) * points


def test_pixels_in_triangles() -> None:
    """Oracle: every pixel centre against every triangle, by signs of cross products."""
    corners = np.random.default_rng(0).uniform(-4, 20, (40, 3, 2))
    corners[0, 2] = corners[0, 1]  # a triangle without an area covers nothing
    covered = rasterise(corners, 16)
    found = set(zip(covered.pixel.tolist(), covered.face.tolist(), strict=True))
    centres = np.stack(np.meshgrid(np.arange(16) + 0.5, np.arange(16) + 0.5), -1).reshape(-1, 2)
    edges = np.roll(corners, -1, axis=1) - corners
    offset = centres[:, None, None] - corners
    sides = edges[..., 0] * offset[..., 1] - edges[..., 1] * offset[..., 0]
    inside = (sides > 0).all(-1) | (sides < 0).all(-1)
    assert found == set(zip(*(each.tolist() for each in inside.nonzero()), strict=True))
    again = np.einsum("pc,pcx->px", covered.weights, corners[covered.face])
    np.testing.assert_allclose(again, centres[covered.pixel], atol=1e-9)


def test_many_triangles_are_taken_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the same pairs, however few are looked at together."""
    corners = np.random.default_rng(1).uniform(0, 30, (50, 3, 2))
    whole = rasterise(corners, 32)
    monkeypatch.setattr("src.export.texture.CANDIDATES", 100)
    for one, other in zip(whole, rasterise(corners, 32), strict=True):
        np.testing.assert_array_equal(one, other)


def test_texels_show_their_places() -> None:
    """Oracle: the colour of each vertex's place, looked up at its uv; 0.02 for a texel's width."""
    mesh, size = icosphere(subdivisions=2), 128
    unwrapped = unwrap(mesh, size)
    picture = bake(mesh, unwrapped, size, by_place)
    column, row = (unwrapped.uv * [1, -1] * size + [0, size]).T.astype(int).clip(0, size - 1)
    expected = by_place(mesh.vertices[unwrapped.vertex], mesh.vertices)
    # An icosphere's triangles are flat, so that between vertices it lies below the sphere.
    np.testing.assert_allclose(picture[row, column] / 255, expected, atol=0.06)
    assert np.abs(picture[row, column] / 255 - expected).mean() < 0.02
    # Nothing is left black, for filters look beyond the charts' edges.
    assert picture.min() > 0.15 * 255


def test_a_wrapped_mesh_is_the_same_in_space() -> None:
    """Oracle: the triangles and the normals of the mesh before, in the same order."""
    mesh = icosphere(subdivisions=2)
    wrapped = wrap(mesh, 64, Look(by_place))
    np.testing.assert_allclose(wrapped.triangles, mesh.triangles, atol=1e-6)
    np.testing.assert_allclose(
        wrapped.vertex_normals[wrapped.faces], mesh.vertex_normals[mesh.faces], atol=1e-6
    )
    assert wrapped.visual.uv.shape == (len(wrapped.vertices), 2)


class Layers(Mug):
    """Everywhere of density 10, darker towards the middle."""

    def __call__(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full_like(points[:, 0], 10.0), points.norm(dim=-1, keepdim=True).expand(-1, 3)


def test_colours_are_those_that_rays_see() -> None:
    """Oracle: the mean of exp(-s t)-weighted depths in closed form; 1e-3 for twelve looks."""
    scene = Model(Layers(), *mug()[1:])  # type: ignore[arg-type]
    mesh = icosphere(subdivisions=1, radius=0.4)
    depth, s = 0.1, 10.0
    below = 1 / s - depth * math.exp(-s * depth) / (1 - math.exp(-s * depth))
    found = seen_from_outside(scene, depth)(*places(mesh))
    np.testing.assert_allclose(found, 0.4 + depth / 4 - below, atol=1e-3)
