import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.errors import UserError
from src.scene.hash_grid import HashGrid
from src.scene.levels import HashGridConfig, encode_reference, plan_levels
from src.scene.tcnn_layout import encoding_config, tcnn_rows, to_parameters
from src.streams import Streams
from tests.scene import kernels

LAPTOP = HashGridConfig(levels=5, features=4, log2_table=18, base_resolution=8, max_resolution=64)
CONFIGS = st.builds(
    HashGridConfig,
    levels=st.integers(1, 6),
    features=st.sampled_from([1, 2, 4, 8]),
    log2_table=st.integers(4, 13),
    base_resolution=st.integers(1, 8),
    max_resolution=st.integers(8, 300),
)


def reach(cfg: HashGridConfig) -> float:
    """How far along an axis no dense level is asked for more rows than tiny-cuda-nn has."""
    dense = [level for level in plan_levels(cfg) if level.dense and level.resolution > 1]
    return min([1.0, *((level.resolution - 1.5) / level.scale for level in dense)]) - 1e-5


@given(CONFIGS, st.integers(0, 2**32))
def test_every_row_lands_where_it_is_read(cfg: HashGridConfig, seed: int) -> None:
    """Oracle: our readable encoding; tiny-cuda-nn's kernel, stated apart, reads its parameters."""
    table = Streams(seed, 0)("table").normal(1, plan_levels(cfg)[-1].first + plan_levels(cfg)[-1].rows, 1)[0]
    table = table + torch.arange(cfg.features) / 10
    points = Streams(seed, 0)("points").uniform(1, 50, 3)[0] * reach(cfg)
    theirs = kernels.Encoding(3, encoding_config(cfg), dtype=torch.float32)
    found = torch.func.functional_call(theirs, {"params": to_parameters(table, cfg)}, (points,))
    expected = encode_reference(points, table, plan_levels(cfg))
    # Their scales are float32: so much of a cell, along three axes, times the largest slope.
    scales = zip(theirs.shapes, plan_levels(cfg), strict=True)
    shift = max(abs(float(scale) - level.scale) + 2e-7 * level.scale for (scale, *_), level in scales)
    assert shift < 0.01  # a wrong row would be off by the size of the table's numbers
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 + 6 * shift * float(table.abs().max()))


@given(CONFIGS, st.sampled_from([-2, 0, 2]))
def test_levels_have_our_shape_however_the_device_rounds(cfg: HashGridConfig, ulps: int) -> None:
    """Oracle: tiny-cuda-nn's formulas in float32, its power of two off by 2 units in the last place."""
    shapes = kernels.tcnn_shapes(encoding_config(cfg), ulps)
    for level, (scale, resolution, rows) in zip(plan_levels(cfg), shapes, strict=True):
        assert rows == tcnn_rows(level, cfg)
        assert (rows >= resolution**3) == level.dense  # their own test for a dense level
        if level.dense:
            assert resolution == level.resolution
        assert abs(float(scale) - level.scale) < 1e-5 * len(shapes) * (level.scale + 1)


def test_a_whole_number_of_cells_does_not_tip_over() -> None:
    """Oracle: the laptop preset's finest level has 64 vertices; one unit of rounding would make them 65, and
    hashed.
    """
    naive = encoding_config(LAPTOP) | {"per_level_scale": 8**0.25}
    tipped = [kernels.tcnn_shapes(naive, ulps)[-1][1] for ulps in (-2, 0, 2)]
    assert 65 in tipped
    assert [kernels.tcnn_shapes(encoding_config(LAPTOP), ulps)[-1][1:] for ulps in (-2, 0, 2)] == [
        (64, 2**18)
    ] * 3


def test_the_number_of_parameters_is_the_one_that_is_known() -> None:
    """Oracle: by hand, from the cubes of 16 to 71 vertices, in eights, and eleven full tables of 2^19."""
    rows = [tcnn_rows(level, HashGridConfig()) for level in plan_levels(HashGridConfig())]
    cubes = [16**3, 24**3, 34**3, 49**3, 71**3]
    assert rows == [math.ceil(cube / 8) * 8 for cube in cubes] + [2**19] * 11
    table = torch.zeros(sum(level.rows for level in plan_levels(HashGridConfig())), 2)
    assert to_parameters(table, HashGridConfig()).shape == (2 * sum(rows),)


def test_the_settings_are_what_its_documentation_lists() -> None:
    """Oracle: by hand, for the closest public config, whose growth is 1.447269237440378."""
    assert encoding_config(HashGridConfig()) == {
        "otype": "HashGrid",
        "n_levels": 16,
        "n_features_per_level": 2,
        "log2_hashmap_size": 19,
        "base_resolution": 16,
        "per_level_scale": float(np.float32(1.447269237440378)),
        "interpolation": "Linear",
        "hash": "CoherentPrime",
    }


def test_gradients_come_back_to_our_rows() -> None:
    """Oracle: one for each row that tiny-cuda-nn has too, zero for those beyond."""
    cfg = HashGridConfig(levels=2, features=2, log2_table=10, base_resolution=3, max_resolution=60)
    table = HashGrid(cfg, Streams(0, 0)).table
    to_parameters(table, cfg).sum().backward()
    dense, hashed = plan_levels(cfg)
    assert (dense.dense, hashed.dense) == (True, False)
    reached = table.grad.sum(1)
    assert reached[:32].eq(2).all()  # 3^3 = 27, in eights
    assert reached[32 : dense.rows].eq(0).all()
    assert dense.rows > 32
    assert reached[dense.rows :].eq(2).all()


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        (HashGridConfig(features=3), r"^field.hash_grid.features=3 .*backend=torch$"),
        # The second level's 100.00003 vertices are 101 to us, and 100 or 101 in float32.
        (
            HashGridConfig(levels=4, log2_table=20, base_resolution=1, max_resolution=1_000_001),
            r"^field.hash_grid.max_resolution=1000001 and levels=4 .*backend=torch$",
        ),
    ],
)
def test_what_it_cannot_compute_is_named(cfg: HashGridConfig, said: str) -> None:
    """Oracle: the setting, its value and the remedy."""
    with pytest.raises(UserError, match=said):
        encoding_config(cfg)
