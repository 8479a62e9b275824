"""The toy world's solids: sizes, signs and symmetries that are known without rendering."""

import numpy as np
import pytest

from src.toybox import render
from src.toybox.shapes import KINDS, build
from src.toybox.solid import BOUNDING_RADIUS, Solid


def distance(table: np.ndarray, points: np.ndarray) -> np.ndarray:
    rows = np.arange(len(table))
    return np.array([render._field(table, rows, len(rows), *point)[0] for point in points])


def directions(n: int) -> np.ndarray:
    v = np.random.default_rng(0).standard_normal((n, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fits_the_bounding_sphere_and_reaches_it(kind: str) -> None:
    """Oracle: BOUNDING_RADIUS, by definition. 8%: extents are of sampled directions, and blends bulge."""
    table = build(kind, np.random.default_rng(3))
    rays = directions(1500)
    assert distance(table, rays * BOUNDING_RADIUS * 1.08).min() > 0
    inner = np.concatenate([rays * r for r in np.linspace(0.02, 0.98, 25) * BOUNDING_RADIUS])
    inside = np.linalg.norm(inner[distance(table, inner) < 0], axis=1)
    assert inside.max() > 0.75 * BOUNDING_RADIUS


def test_sphere_distance_is_exact() -> None:
    """Oracle: |x| - r."""
    points = directions(200) * np.linspace(0.05, 1.5, 200)[:, None]
    expected = np.linalg.norm(points, axis=1) - BOUNDING_RADIUS
    np.testing.assert_allclose(
        distance(build("sphere", np.random.default_rng(0)), points), expected, atol=1e-12
    )


def test_torus_has_a_hole() -> None:
    """Oracle: the ring's centre line is inside, its centre outside, and the distance there is ring - tube."""
    solid = Solid()
    solid.torus((0, 0, 0), 0.4, 0.1)
    table = np.stack(solid.rows)
    np.testing.assert_allclose(
        distance(table, np.array([[0.4, 0, 0], [0, 0.4, 0], [0, 0, 0]])), [-0.1, -0.1, 0.3], atol=1e-12
    )


@pytest.mark.parametrize("kind", ["mug", "bowl", "vase"])
def test_vessels_are_hollow(kind: str) -> None:
    """Oracle: a vessel's axis is empty at the brim and solid at the bottom."""
    table = build(kind, np.random.default_rng(1))
    axis = np.array([[0, 0, z] for z in np.linspace(-0.5, 0.5, 101)])
    if kind == "mug":  # its handle shifts the cup along y
        axis[:, 1] = -0.09
    inside = distance(table, axis) < 0
    assert inside.any()
    assert not inside[60:].any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].has_front])
def test_faces_have_a_left_and_a_right_that_match(kind: str) -> None:
    """Oracle: mirror symmetry in y, not in x. 0.01: blends depend on order, centres on sampled extents."""
    table = build(kind, np.random.default_rng(2))
    points = directions(400) * np.random.default_rng(1).uniform(0.05, 0.5, (400, 1))
    here = distance(table, points)
    if kind not in ("house", "rocket"):  # a chimney stands to one side; a rocket's fins are all alike
        np.testing.assert_allclose(here, distance(table, points * [1, -1, 1]), atol=0.01)
    assert np.abs(here - distance(table, points * [-1, 1, 1])).max() > 0.03


def test_distances_never_overshoot() -> None:
    """Oracle: signed distances are 1-Lipschitz, as sphere tracing needs. 20%: ellipsoids are approximate."""
    for kind in KINDS:
        table = build(kind, np.random.default_rng(4))
        points = directions(150) * 0.6
        step = directions(150)[::-1] * 0.01
        rate = np.abs(distance(table, points + step) - distance(table, points)) / 0.01
        assert rate.max() <= 1.2, kind
