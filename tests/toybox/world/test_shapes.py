"""The toy world's solids: sizes, signs and symmetries that are known without rendering."""

import numpy as np
import pytest

from src.toybox.world.distance import distances
from src.toybox.world.lattice import CELL, near
from src.toybox.world.shapes import BASES, KINDS, PAIRS, build
from src.toybox.world.solid import BOUND, BOUNDING_RADIUS, DECAL, MODE, SUBTRACT, UNION, Solid

EVERYTHING = [(kind, "") for kind in KINDS] + list(PAIRS)
# What stands to one side only: a chimney, a porthole's flag, a scarf's end, one lily.
LOPSIDED = ("house", "cottage", "castle", "snowman", "boat")


def directions(n: int) -> np.ndarray:
    v = np.random.default_rng(0).standard_normal((n, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def pieces(table: np.ndarray) -> int:
    """Into how many pieces joined primitives fall: two belong together if one of 300 points is in both."""
    rows = table[table[:, MODE] == UNION]
    # All kinds' primitives are connected; points in each from its bounding ball, shrunk towards its middle.
    ball = directions(1200) * np.random.default_rng(1).uniform(0, 1, (1200, 1)) ** (1 / 3)
    group = list(range(len(rows)))
    for i, row in enumerate(rows):
        points = row[1:4] + ball * row[20]
        points = points[distances(rows[i : i + 1], points) < 0]
        assert len(points) > 3, "a primitive too thin to be met by chance"
        for j in range(len(rows)):
            if group[i] != group[j] and (distances(rows[j : j + 1], points) < 0).any():
                group = [group[i] if g == group[j] else g for g in group]
    return len(set(group))


def cubes(table: np.ndarray, n: int = 72) -> int:
    """Into how many pieces the solid falls, by flooding a grid of n^3 places."""
    line = (np.arange(n) + 0.5) / n * 1.1 - 0.55
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    left = np.pad((distances(table, grid) < 0).reshape(n, n, n), 1)
    count = 0
    while left.any():
        flood = np.zeros_like(left)
        flood[tuple(np.argwhere(left)[0])] = True
        size = 0
        while flood.sum() > size:
            size = int(flood.sum())
            for axis in range(3):
                flood |= np.roll(flood, 1, axis) | np.roll(flood, -1, axis)
                flood &= left
        left &= ~flood
        count += size > 3  # a thin tip may fall between the places
    return count


@pytest.mark.parametrize(("kind", "base"), EVERYTHING)
def test_everything_fits_the_bounding_sphere_and_reaches_it(kind: str, base: str) -> None:
    """Oracle: BOUNDING_RADIUS, by definition. 4%: extents are of sampled directions, and blends bulge."""
    table = build(kind, np.random.default_rng(3), base=base)
    rays = directions(1500)
    assert distances(table, rays * BOUNDING_RADIUS * 1.04).min() > 0
    inner = np.concatenate([rays * r for r in np.linspace(0.02, 0.98, 25) * BOUNDING_RADIUS])
    inside = np.linalg.norm(inner[distances(table, inner) < 0], axis=1)
    assert inside.max() > 0.75 * BOUNDING_RADIUS


@pytest.mark.parametrize(("kind", "base"), EVERYTHING)
def test_everything_is_in_one_piece(kind: str, base: str) -> None:
    """Oracle: primitives that overlap, two at a time; where something is carved out, also a flooded grid."""
    table = build(kind, np.random.default_rng(5), base=base)
    assert pieces(table) == 1
    if (table[:, MODE] == SUBTRACT).any():
        assert cubes(table) == 1


@pytest.mark.parametrize("base", BASES)
def test_nothing_carves_what_the_other_is_made_of(base: str) -> None:
    """Oracle: a place inside either is inside both together, at 20,000 places.

    A rocket's flat bottom once cut its pedestal off as well.
    """
    under = Solid()
    BASES[base].build(under)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20_000, 3))
    for kind in KINDS:
        table = build(kind, np.random.default_rng(2), base=base)
        both, last = distances(table, points) < 0, len(under.rows)
        for part in (table[:-last], table[-last:]):
            inside = distances(part, points) < 0
            assert both[inside].all(), kind
            assert inside.sum() > 20, kind


def test_a_rounded_box_reaches_its_bound() -> None:
    """Oracle: the corner of the inner box, and from there `rounding` further out along the diagonal."""
    solid = Solid()
    solid.box((0, 0, 0), (0.6, 0.25, 0.1), rounding=0.06)
    inner = np.array([0.54, 0.19, 0.04])
    corner = inner + 0.06 * inner / np.linalg.norm(inner)
    assert distances(np.stack(solid.rows), corner[None])[0] == pytest.approx(0, abs=1e-12)
    assert solid.rows[0][BOUND] == pytest.approx(np.linalg.norm(corner), abs=1e-8)


def test_counting_pieces() -> None:
    """Oracle: two spheres apart are two, and one that a slab is carved from falls in two."""
    apart = Solid()
    apart.ellipsoid((0.3, 0, 0), 0.1)
    apart.ellipsoid((-0.3, 0, 0), 0.1)
    assert pieces(np.stack(apart.rows)) == cubes(np.stack(apart.rows)) == 2
    carved = Solid()
    carved.ellipsoid((0, 0, 0), 0.5)
    carved.box((0, 0, 0), (0.6, 0.6, 0.1), mode=SUBTRACT)
    assert cubes(np.stack(carved.rows)) == 2


def test_sphere_distance_is_exact() -> None:
    """Oracle: |x| - r."""
    points = directions(200) * np.linspace(0.05, 1.5, 200)[:, None]
    expected = np.linalg.norm(points, axis=1) - BOUNDING_RADIUS
    np.testing.assert_allclose(
        distances(build("sphere", np.random.default_rng(0)), points), expected, atol=1e-12
    )


def test_torus_has_a_hole() -> None:
    """Oracle: the ring's centre line is inside, its centre outside, and the distance there is ring - tube."""
    solid = Solid()
    solid.torus((0, 0, 0), 0.4, 0.1)
    table = np.stack(solid.rows)
    np.testing.assert_allclose(
        distances(table, np.array([[0.4, 0, 0], [0, 0.4, 0], [0, 0, 0]])), [-0.1, -0.1, 0.3], atol=1e-12
    )


def test_a_round_cone_is_the_union_of_its_spheres() -> None:
    """Oracle: spheres whose centre and radius move evenly from one end to the other. 1e-4: 2,000 of them."""
    solid = Solid()
    solid.round_cone((-0.2, 0.1, -0.1), (0.3, 0.0, 0.2), 0.05, 0.15)
    share = np.linspace(0, 1, 2000)[:, None]
    centers = (1 - share) * [-0.2, 0.1, -0.1] + share * [0.3, 0.0, 0.2]
    radii = 0.05 + 0.1 * share[:, 0]
    points = directions(100) * 0.45
    expected = (np.linalg.norm(points[:, None] - centers, axis=-1) - radii).min(1)
    np.testing.assert_allclose(distances(np.stack(solid.rows), points), expected, atol=1e-4)


def test_a_tube_passes_through_its_points() -> None:
    """Oracle: on its axis a tube is as deep as it is thick."""
    solid = Solid()
    points = [(0, 0, 0), (0.2, 0, 0.1), (0.3, 0.1, 0.3)]
    solid.tube(points, (0.05, 0.04, 0.03), pieces=8)
    np.testing.assert_allclose(
        distances(np.stack(solid.rows), np.array(points, float)), [-0.05, -0.04, -0.03], atol=2e-3
    )


def test_smooth_subtraction_rounds_the_edge_and_nothing_else() -> None:
    """Oracle: away from the edge the sharp difference; on it a quarter of the blend more is gone."""
    distance = []
    for blend in (0.0, 0.1):
        solid = Solid()
        solid.box((0, 0, 0), (0.4, 0.4, 0.4), rounding=0.0)
        solid.box((0, 0, 0.6), (0.2, 0.8, 0.3), rounding=0.0, mode=SUBTRACT, blend=blend)
        points = np.array([[0.0, 0.0, 0.3], [0.38, 0.0, 0.0], [0.2, 0.0, 0.4]])
        distance.append(distances(np.stack(solid.rows), points))
    np.testing.assert_allclose(distance[1] - distance[0], [0, 0, 0.025], atol=1e-12)


def test_decals_change_no_shape() -> None:
    """Oracle: the solid without them."""
    table = build("cat", np.random.default_rng(0))
    assert (table[:, MODE] == DECAL).any()
    points = directions(300) * 0.5
    bare = distances(np.ascontiguousarray(table[table[:, MODE] != DECAL]), points)
    np.testing.assert_array_equal(distances(table, points), bare)


@pytest.mark.parametrize("kind", ["lion", "mug", "apple", "castle"])
def test_the_lattice_knows_the_solid(kind: str) -> None:
    """Oracle: the distance by all rows: equal near the surface; far from it,
    no surface lies within the lattice's value."""
    table = build(kind, np.random.default_rng(0))
    nearby = near(table)
    line = (np.arange(33) / 32 * 2 - 1) * 0.56
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    expected = distances(table, grid).reshape(33, 33, 33)
    close = np.abs(expected) < 2 * CELL
    # 2e-6: float32; 2e-3: deep inside, rows whose blend would still show there are left out.
    np.testing.assert_allclose(
        nearby.lattice[close & (expected > -0.01)], expected[close & (expected > -0.01)], atol=2e-6
    )
    np.testing.assert_allclose(nearby.lattice[close], expected[close], atol=2e-3)
    outside = np.argwhere(nearby.lattice > 2 * CELL)[::40]
    reach = nearby.lattice[tuple(outside.T)][:, None, None]
    landed = ((line[outside])[:, None] + reach * directions(60)).reshape(-1, 3)
    assert distances(table, landed).min() > -0.004  # an ellipsoid's distance is approximate
    assert (nearby.lattice[expected < -2 * CELL] < 0).all()


@pytest.mark.parametrize("kind", ["mug", "bowl", "vase"])
def test_vessels_are_hollow(kind: str) -> None:
    """Oracle: a vessel's axis is empty at the brim and solid at the bottom."""
    table = build(kind, np.random.default_rng(1))
    axis = np.array([[0, 0, z] for z in np.linspace(-0.5, 0.5, 101)])
    if kind == "mug":  # its handle shifts the cup along y, and it is not empty
        axis[:, 1] = -0.09
    inside = distances(table, axis) < 0
    assert inside.any()
    assert not inside[75 if kind == "mug" else 60 :].any()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].has_front])
def test_faces_have_a_left_and_a_right_that_match(kind: str) -> None:
    """Oracle: mirror symmetry in y, not in x. 0.01: blends depend on order, centres on sampled extents."""
    table = build(kind, np.random.default_rng(2), variation=0.0)
    points = directions(400) * np.random.default_rng(1).uniform(0.05, 0.5, (400, 1))
    here = distances(table, points)
    if kind not in LOPSIDED:
        off = np.abs(here - distances(table, points * [1, -1, 1]))
        # A pig's tail curls to one side; a hedgehog's spines stand in a spiral.
        assert np.quantile(off, 0.8) < 0.012 + 0.05 * (kind == "hedgehog")
    assert np.abs(here - distances(table, points * [-1, 1, 1])).max() > 0.03


def test_what_stands_on_something_stands_above_it() -> None:
    """Oracle: a frog's own rows lie above its lily pad's but for what it sinks in, 5% of the world."""
    table = build("frog", np.random.default_rng(0), base="lily pad")
    alone = Solid()
    BASES["lily pad"].build(alone)
    over, under = table[: -len(alone.rows)], table[-len(alone.rows) :]
    points = directions(1500) * np.random.default_rng(0).uniform(0, 0.5, (1500, 1))
    top = points[distances(np.ascontiguousarray(under[:2]), points) < 0][:, 2].max()
    assert points[distances(np.ascontiguousarray(over), points) < 0][:, 2].min() > top - 0.05


def test_a_step_of_nine_tenths_enters_nothing() -> None:
    """Oracle: what sphere tracing rests on: no surface lies within a distance. 0.9 and 0.012, a pixel:
    ellipsoids' distances are approximate."""
    around = directions(60)
    for kind in KINDS:
        table = build(kind, np.random.default_rng(4))
        points = directions(60) * np.random.default_rng(2).uniform(0.2, 0.6, (60, 1))
        points = points[distances(table, points) > 0]
        reach = 0.9 * distances(table, points)[:, None, None]
        landed = (points[:, None] + reach * around).reshape(-1, 3)
        assert distances(table, landed).min() > -0.012, kind
