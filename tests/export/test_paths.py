"""Ways around an object: through every keyframe, smoothly, and back to the start without a doubled frame."""

import math
from pathlib import Path

import pytest
import torch

from src.config import VideoConfig
from src.errors import UserError
from src.export.paths import cameras, loop
from src.scene.cameras import orbit


def flight(path: Path, text: str, views: int = 6, **settings: float) -> VideoConfig:
    """A video along keyframes."""
    (path / "flight.yaml").write_text(text)
    return VideoConfig(views=views, size=16, path=str(path / "flight.yaml"), **settings)


def test_the_turntable_is_the_orbit() -> None:
    """Oracle: the scene's own orbit."""
    ours = cameras(VideoConfig(views=7, size=16))
    expected = orbit(7, 15.0, 1.5, 70.0, 16)
    assert all(torch.equal(one, other) for one, other in zip(ours[:4], expected[:4], strict=True))
    assert ours[4:] == expected[4:]


def test_a_sway_goes_to_both_sides_and_comes_back() -> None:
    """Oracle: 30 degrees to either side of the front, and a step of equal size between last and first."""
    azimuth = cameras(VideoConfig(views=40, size=16, path="sway")).azimuth
    assert math.degrees(azimuth.max()) == pytest.approx(30)
    assert math.degrees(azimuth.min()) == pytest.approx(-30)
    assert float(azimuth[0] - azimuth[-1]) == pytest.approx(float(azimuth[1] - azimuth[0]), rel=1e-3)


def test_keyframes_are_passed_and_what_is_left_out_stays(tmp_path: Path) -> None:
    """Oracle: the file's numbers at every second frame of six; its own start where it says nothing."""
    text = "- {azimuth: 0, distance: 2}\n- {azimuth: 120, elevation: 40}\n- {azimuth: 240, fov: 30}"
    camera = cameras(flight(tmp_path, text))
    degrees = [numbers[::2].rad2deg().tolist() for numbers in (camera.azimuth, camera.elevation, camera.fov)]
    expected = [[0, 120, 240], [15, 40, 40], [70, 70, 30]]
    for found, each in zip(degrees, expected, strict=True):
        assert found == pytest.approx(each, abs=1e-4)
    assert camera.distance.tolist()[::2] == pytest.approx([2, 2, 2])


def test_a_way_once_around_closes_forwards(tmp_path: Path) -> None:
    """Oracle: four equal steps a turn make equal steps in between, over the seam from 270 to 360 too."""
    text = "\n".join(f"- {{azimuth: {degrees}}}" for degrees in (0, 90, 180, 270))
    azimuth = cameras(flight(tmp_path, text, views=12)).azimuth.rad2deg()
    torch.testing.assert_close(azimuth, torch.arange(12) * 30.0, atol=1e-3, rtol=0)


def test_a_way_there_and_back_closes_backwards() -> None:
    """Oracle: from 40 degrees back to 0 by way of 20, not by way of 200."""
    azimuth = loop(torch.tensor([[0.0, 0, 1, 50], [40.0, 0, 1, 50]], dtype=torch.float64), 4)[:, 0]
    torch.testing.assert_close(azimuth, torch.tensor([0.0, 20, 40, 20], dtype=torch.float64))


def test_curves_stay_where_cameras_can_be(tmp_path: Path) -> None:
    """Oracle: -90 to 90 degrees, though the spline overshoots."""
    text = "- {elevation: 90}\n- {elevation: 90}\n- {elevation: -90}\n- {elevation: -90}"
    elevation = cameras(flight(tmp_path, text, views=40)).elevation.rad2deg()
    assert float(elevation.max()) == pytest.approx(90)
    assert float(elevation.min()) == pytest.approx(-90)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no list of keyframes"),
        ("azimuth: 3", "holds no list of keyframes"),
        ("- 3", "keyframe 1 is no keyframe"),
        ("- {}\n- {height: 3}", "keyframe 2: height is unknown: choose azimuth, elevation, distance, fov"),
        ("- {azimuth: left}", "azimuth=left is no number"),
        ("- {fov: 190}", "fov=190 is out of range: choose 1 to 170"),
        ("- {distance: .inf}", "distance=inf is no number"),
        ("- [", "cannot be read"),
        ("- !!python/object/apply:os.getpid []", "cannot be read"),
    ],
)
def test_bad_paths_are_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """Oracle: the file, the keyframe and what is wrong with it."""
    with pytest.raises(UserError, match=sentence):
        cameras(flight(tmp_path, text))


def test_a_missing_path_is_one_sentence() -> None:
    """Oracle: the choices."""
    with pytest.raises(UserError, match=r"path=spiral cannot be read.*choose turntable, sway or a YAML file"):
        cameras(VideoConfig(path="spiral"))
