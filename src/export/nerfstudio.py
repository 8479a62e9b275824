"""Ways that were drawn in nerfstudio's viewer (camera_path.json): any pose, one camera a frame.

Of the file count `camera_path` with each frame's `camera_to_world` (16 numbers, row by row: right, up,
backward and the place, z up, as here) and `fov` (vertical, degrees).  Size and fps are the video's own.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch

from src.errors import UserError
from src.scene.cameras import Cameras

FRAMES = 10_000


def read(path: Path, width: int, height: int) -> Cameras:
    """The cameras of a camera path; raises UserError for a file that holds none."""
    try:
        frames = json.loads(path.read_text(encoding="utf-8"))["camera_path"]
        assert isinstance(frames, list)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        said = f"{type(error).__name__}: {error}" if str(error) else "it holds no list camera_path"
        raise UserError(f"video.path={path} cannot be read as nerfstudio's camera path ({said})") from error
    if not 0 < len(frames) <= FRAMES:
        raise UserError(f"video.path={path} has {len(frames)} frames: give 1 to {FRAMES}")
    poses, fovs = zip(
        *(_frame(frame, f"video.path={path}, frame {i}") for i, frame in enumerate(frames)), strict=True
    )
    pose, fov = torch.tensor(poses, dtype=torch.float32), torch.tensor(fovs, dtype=torch.float32)
    x, y, z = pose[:, :, 3].unbind(-1)
    distance = pose[:, :, 3].norm(dim=-1)
    return Cameras((z / distance).asin(), torch.atan2(y, x), distance, fov.deg2rad(), height, width, pose)


def _frame(frame: Any, where: str) -> tuple[list[list[float]], float]:
    """Camera to world [3, 4] and the field of view in degrees."""
    try:
        numbers, fov = [float(number) for number in frame["camera_to_world"]], float(frame["fov"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} has no camera_to_world of 16 numbers, or no fov: give both") from error
    if len(numbers) != 16 or not all(map(math.isfinite, numbers)):
        raise UserError(f"{where}: camera_to_world is not 16 finite numbers")
    if not 1 <= fov <= 170:
        raise UserError(f"{where}: fov={fov} is out of range: choose 1 to 170")
    rows = [numbers[4 * i : 4 * i + 4] for i in range(3)]
    axes = torch.tensor([row[:3] for row in rows], dtype=torch.float64)
    if not torch.allclose(axes.T @ axes, torch.eye(3, dtype=torch.float64), atol=1e-3):
        raise UserError(f"{where}: camera_to_world is no rotation beside a place: scale it to length 1")
    if not any(row[3] for row in rows):
        raise UserError(f"{where} stands in the middle of the object: move it out")
    return rows, fov
