"""Ways around an object that end where they began: a turn, a sway, or one's own from a small YAML file.

    - {azimuth: 0, elevation: 15, distance: 1.5, fov: 70}    # degrees and world units
    - {azimuth: 120, elevation: 40}                          # what is left out stays as it was
    - {azimuth: 240, elevation: 0}

The keyframes are passed at equal intervals and the first follows the last, by the shorter way round.  A file
that ends in .json is a camera path of nerfstudio's (src/export/nerfstudio.py).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from src.config import VideoConfig
from src.errors import UserError
from src.export import nerfstudio
from src.scene.cameras import Cameras, orbit

SWAY_DEGREES = 30.0  # to either side of the front
RANGES = {"azimuth": (-3600, 3600), "elevation": (-90, 90), "distance": (0.1, 100), "fov": (1, 170)}


def cameras(video: VideoConfig) -> Cameras:
    """The cameras of a video's frames; raises UserError for a path that cannot be read or flown."""
    width, height = video.width_height()
    turn = orbit(video.views, video.elevation_degrees, video.distance, video.fov_degrees, height)
    turn = turn._replace(width=width)
    if video.path == "turntable":
        return turn
    if video.path == "sway":
        return turn._replace(azimuth=math.radians(SWAY_DEGREES) * turn.azimuth.sin())
    if video.path.lower().endswith(".json"):
        return nerfstudio.read(Path(video.path), width, height)
    start = dict(zip(RANGES, (0.0, video.elevation_degrees, video.distance, video.fov_degrees), strict=True))
    stations = keyframes(Path(video.path), start)
    azimuth, elevation, distance, fov = loop(stations, video.views).to(torch.float32).unbind(1)
    # Between keyframes a spline can leave their range.
    elevation, distance, fov = (
        values.clamp(*RANGES[key])
        for key, values in (("elevation", elevation), ("distance", distance), ("fov", fov))
    )
    return Cameras(elevation.deg2rad(), azimuth.deg2rad(), distance, fov.deg2rad(), height, width)


def keyframes(path: Path, start: Mapping[str, float]) -> Float[Tensor, "K 4"]:
    """Read the keyframes of a path: azimuth, elevation, distance and field of view, in degrees."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"video.path={path} cannot be read ({error}): choose turntable, sway or a YAML file"
        ) from error
    if not (isinstance(found, list) and found):
        raise UserError(
            f"video.path={path} holds no list of keyframes: write - {{azimuth: 0, elevation: 15}}"
        )
    now, stations = dict(start), []
    for number, station in enumerate(found, 1):
        now |= _checked(station, f"video.path={path}, keyframe {number}")
        stations.append([now[key] for key in RANGES])
    return torch.tensor(stations, dtype=torch.float64)


def loop(stations: Float[Tensor, "K 4"], frames: int) -> Float[Tensor, "frames 4"]:
    """A closed curve through all stations at equal intervals; the last frame is not the first again.

    The spline of Catmull & Rom 1974 ("A class of local interpolating splines"), azimuths without a jump.
    """
    count = len(stations)
    turns = torch.zeros_like(stations[0])
    turns[0] = 360 * torch.round((stations[-1, 0] - stations[0, 0]) / 360)  # once around, or not
    place = torch.arange(frames, dtype=torch.float64) * count / frames
    first = place.floor().long()
    p0, p1, p2, p3 = (
        stations[(first + k) % count] + turns * torch.div(first + k, count, rounding_mode="floor")[:, None]
        for k in (-1, 0, 1, 2)
    )
    u = (place - first)[:, None]
    return p1 + u / 2 * (p2 - p0 + u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * (3 * (p1 - p2) + p3 - p0)))


def _checked(station: Any, where: str) -> dict[str, float]:
    if not isinstance(station, dict):
        raise UserError(f"{where} is no keyframe: write - {{azimuth: 0, elevation: 15}}")
    for key, value in station.items():
        if key not in RANGES:
            raise UserError(f"{where}: {key} is unknown: choose {', '.join(RANGES)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{where}: {key}={value} is no number: give one")
        low, high = RANGES[key]
        if not low <= value <= high:
            raise UserError(f"{where}: {key}={value} is out of range: choose {low} to {high}")
    return {key: float(value) for key, value in station.items()}
