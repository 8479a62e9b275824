import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.errors import UserError
from src.scene.cameras import CameraConfig, Cameras, orbit, sample_cameras
from src.streams import Streams
from tests.scene.solids import camera_at

WIDE = CameraConfig(0.5, 3.0, 10.0, 120.0, -90.0, 90.0)


def cameras(seed: int, batch: int = 3, resolution: int = 7) -> Cameras:
    drawn = sample_cameras(WIDE, batch, resolution, Streams(seed, 0)("camera"))
    return Cameras(*(angle.double() for angle in drawn[:4]), drawn.height, drawn.width)


@given(st.integers(0, 2**32))
def test_poses_are_rotations_that_look_at_the_origin_from_their_distance(seed: int) -> None:
    """Oracle: orthonormal right-handed axes; origin = distance times the backward axis."""
    camera = cameras(seed)
    pose = camera.poses()
    rotation, origin = pose[:, :, :3], pose[:, :, 3]
    eye = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    torch.testing.assert_close(rotation.mT @ rotation, eye, rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(origin, camera.distance[:, None] * rotation[:, :, 2])
    assert (rotation[:, 2, 1] >= 0).all()  # the picture's up never points below the horizon


@given(st.integers(0, 2**32))
def test_rays_have_unit_length_and_project_back_to_their_pixels(seed: int) -> None:
    """Oracle: pinhole projection the other way round: pixel = centre + focal * (right, -up) / depth."""
    camera = cameras(seed, resolution=5)
    origins, directions = camera.rays()
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(3, 5, 5, dtype=torch.float64))
    pose = camera.poses()
    points = origins + 1.7 * directions - pose[:, None, None, :, 3]
    right, up, backward = torch.einsum("bhwi,bij->bhwj", points, pose[:, :, :3]).unbind(-1)
    focal = 2.5 / (camera.fov / 2).tan()[:, None, None]
    column, row = 2.5 + focal * right / -backward, 2.5 - focal * up / -backward
    expected = torch.arange(5, dtype=torch.float64) + 0.5
    torch.testing.assert_close(column, expected.expand(3, 5, 5))
    torch.testing.assert_close(row, expected[:, None].expand(3, 5, 5))
    torch.testing.assert_close(origins[:, 2, 2] + camera.distance[:, None] * directions[:, 2, 2],
                               torch.zeros(3, 3, dtype=torch.float64), rtol=0, atol=1e-14)  # fmt: skip


def test_front_is_plus_x_and_the_left_side_plus_y() -> None:
    """Oracle: the convention in words: azimuth 0 on +x, 90 degrees on +y, elevation up; image columns go
    right.
    """
    for azimuth, elevation, place in ((0, 0, (2, 0, 0)), (90, 0, (0, 2, 0)), (0, 90, (0, 0, 2))):
        pose = camera_at(azimuth, elevation).poses()
        expected = torch.tensor([place], dtype=torch.float64)
        torch.testing.assert_close(pose[:, :, 3], expected, rtol=0, atol=1e-14)
    directions = camera_at(0).rays().directions[0]
    assert directions[0, 2, 2] > 0 > directions[4, 2, 2]  # the top row looks up
    assert directions[2, 4, 1] > 0 > directions[2, 0, 1]  # seen from +x, +y is on the right


@given(st.floats(-math.pi, math.pi), st.integers(0, 99))
def test_turning_the_camera_turns_its_rays(angle: float, seed: int) -> None:
    """Oracle: adding to the azimuth is a rotation about z."""
    camera = cameras(seed)
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]],
        dtype=torch.float64,
    )
    turned = camera._replace(azimuth=camera.azimuth + angle).rays()
    torch.testing.assert_close(turned.directions, camera.rays().directions @ turn.T)
    torch.testing.assert_close(turned.origins, camera.rays().origins @ turn.T)


@given(st.integers(0, 2**32), st.integers(1, 9))
def test_samples_stay_in_range_and_each_in_its_own_sector(seed: int, batch: int) -> None:
    """Oracle: the configured ranges; view i of n lies in the i-th n-th of the circle."""
    drawn = sample_cameras(CameraConfig(), batch, 4, Streams(seed, 5)("camera"))
    ranges = ((drawn.distance, 1.0, 1.5), (drawn.fov.rad2deg(), 40, 70), (drawn.elevation.rad2deg(), -10, 45))
    for value, low, high in ranges:
        assert (value >= low - 1e-4).all()  # degrees there and back in float32
        assert (value <= high + 1e-4).all()
    sector = (drawn.azimuth / (2 * math.pi) + 0.5) * batch
    assert (sector - torch.arange(batch)).clamp(0, 1).eq(sector - torch.arange(batch)).all()


def test_splitting_a_batch_changes_no_view() -> None:
    """Oracle: a view depends on its own number and the number of views in the step alone: bitwise equal."""
    whole = sample_cameras(CameraConfig(), 5, 4, Streams(3, 9)("camera"))
    for first in range(5):
        one = sample_cameras(CameraConfig(), 1, 4, Streams(3, 9, first)("camera"), 5, first)
        assert all(torch.equal(a, b[first : first + 1]) for a, b in zip(one[:4], whole[:4], strict=True))


def test_elevations_follow_the_half_and_half_law() -> None:
    """Oracle: the mixture's distribution function; Kolmogorov-Smirnov bound at odds of 1 in 1000."""
    count, low, high = 20_000, math.radians(-10), math.radians(45)
    sampled = sample_cameras(CameraConfig(), count, 1, Streams(0, 0)("camera")).elevation.double().sort()[0]
    sines = (sampled.sin() - math.sin(low)) / (math.sin(high) - math.sin(low))
    expected = 0.5 * (sampled - low) / (high - low) + 0.5 * sines
    empirical = (torch.arange(count) + 0.5) / count
    assert (expected - empirical).abs().max() < 1.95 / math.sqrt(count)


def test_orbit_goes_round_once_without_a_doubled_frame() -> None:
    """Oracle: equal angles between neighbours, the last and the first included."""
    camera = orbit(12, 15.0, 1.5, 70.0, 8)
    around = torch.cat([camera.azimuth, camera.azimuth[:1] + 2 * math.pi]).diff()
    torch.testing.assert_close(around, torch.full((12,), 2 * math.pi / 12))
    assert camera.azimuth[0] == 0
    torch.testing.assert_close(camera.poses()[:, :, 3].norm(dim=-1), torch.full((12,), 1.5))


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("distance_min", 2.0, "distance_min=2.0"),
        ("distance_min", -1.0, "distance_min=-1.0"),
        ("fov_degrees_max", 180.0, "fov_degrees_max=180.0"),
        ("elevation_degrees_max", math.nan, "elevation_degrees_max=nan"),
        ("elevation_degrees_min", -91.0, "elevation_degrees_min=-91.0"),
    ],
)
def test_impossible_ranges_are_named(setting: str, value: float, named: str) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=named):
        CameraConfig(**{setting: value})


def test_poses_go_along_to_another_device() -> None:
    """Oracle: the camera's own matrices, and none where it has none."""
    camera = orbit(3, 10.0, 1.5, 45.0, 8)
    posed = camera._replace(pose=camera.poses())
    assert camera.to(torch.device("meta")).pose is None
    moved = posed.to(torch.device("meta"))
    assert moved.pose is not None
    assert (moved.pose.device.type, moved.pose.shape) == ("meta", (3, 3, 4))


def test_one_camera_sees_what_it_saw_among_others() -> None:
    """Oracle: the rays of the whole batch."""
    cameras = sample_cameras(CameraConfig(), 3, 5, Streams(1, 0)("camera"))
    for i in range(3):
        alone, among = cameras.one(i).rays(), cameras.rays()
        assert torch.equal(alone.origins, among.origins[i : i + 1])
        assert torch.equal(alone.directions, among.directions[i : i + 1])
