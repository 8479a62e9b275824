"""Camera paths of nerfstudio's viewer: their poses are ours, and what is no path is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.config import VideoConfig
from src.errors import UserError
from src.export import video
from src.export.nerfstudio import read
from src.export.panels import panels
from src.model import load_run
from src.scene.cameras import Cameras, orbit
from tests.export.scenes import CPU, ball_run


def written(cameras: Cameras, path: Path) -> Path:
    """A camera path as nerfstudio's viewer saves one."""
    frames = [
        {
            "camera_to_world": [*pose.flatten().tolist(), 0.0, 0.0, 0.0, 1.0],
            "fov": float(fov.rad2deg()),
            "aspect": 1.0,
        }
        for pose, fov in zip(cameras.poses(), cameras.fov, strict=True)
    ]
    whole = {"camera_type": "perspective", "render_height": 1080, "render_width": 1920, "fps": 24}
    path.write_text(json.dumps({**whole, "camera_path": frames}))
    return path


def test_a_turntable_through_nerfstudio_is_the_turntable(tmp_path: Path) -> None:
    """Oracle: our own cameras, written in nerfstudio's format; pixels agree to a rounding."""
    ball_run(tmp_path / "run", 1)
    cfg, model, _ = load_run(tmp_path / "run", CPU)
    ring = orbit(3, 15.0, 1.45, 45.0, 16)
    path = written(ring, tmp_path / "camera_path.json")
    found = video.cameras(VideoConfig(size=16, path=str(path)))
    torch.testing.assert_close(found.poses(), ring.poses())
    torch.testing.assert_close(found.distance, ring.distance)
    for view in range(3):
        ours, theirs = (
            panels(cfg, model, each.one(view), ["rgb", "depth"], ["white"]) for each in (ring, found)
        )
        assert np.abs(np.subtract(ours, theirs, dtype=np.int16)).max() <= 2
    out = tmp_path / "a.png"
    assert video.main([f"run={tmp_path / 'run'}", f"path={path}", "size=24,16", f"out={out}"]) == 0
    assert len(list(tmp_path.glob("a-*.png"))) == 3


def test_a_camera_may_look_past_the_object(tmp_path: Path) -> None:
    """Oracle: turned about its own up by half the field of view, it sees the ball at its edge only."""
    ball_run(tmp_path / "run", 1)
    cfg, model, _ = load_run(tmp_path / "run", CPU)
    ring = orbit(1, 0.0, 1.45, 45.0, 16)
    pose = ring.poses().clone()
    right, _, backward = pose[0, :, :3].clone().unbind(-1)
    turn = torch.tensor(22.5).deg2rad()
    pose[0, :, 0] = turn.cos() * right - turn.sin() * backward
    pose[0, :, 2] = turn.sin() * right + turn.cos() * backward
    turned = read(written(ring._replace(pose=pose), tmp_path / "p.json"), 16, 16)
    (straight,) = panels(cfg, model, ring, ["opacity"], ["white"])
    (aside,) = panels(cfg, model, turned, ["opacity"], ["white"])
    assert straight[8, 8, 0] > 200
    assert aside[8, 8, 0] < 50
    assert max(aside[8, 0, 0], aside[8, 15, 0]) > 200


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "cannot be read as nerfstudio's camera path"),
        ([], "cannot be read as nerfstudio's camera path"),
        ({"camera_path": []}, "has 0 frames: give 1 to"),
        ({"camera_path": [{"fov": 50}]}, "frame 0 has no camera_to_world of 16 numbers"),
        ({"camera_path": [{"camera_to_world": [1] * 15, "fov": 50}]}, "is not 16 finite numbers"),
        ({"camera_path": [{"camera_to_world": [2] * 16, "fov": 50}]}, "is no rotation beside a place"),
        ({"camera_path": [{"camera_to_world": [1] * 16, "fov": 190}]}, r"fov=190\.0 is out of range"),
    ],
)
def test_what_is_no_camera_path_is_named(tmp_path: Path, content: Any, sentence: str) -> None:
    """Oracle: video.path, the frame, and what is wrong with it."""
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=rf"^video\.path=.*{sentence}"):
        read(path, 16, 16)
