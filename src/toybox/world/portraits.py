"""What the judge learns from and is tested on: its own pictures of the toy world's solids.

They have no background, and share the kinds with the prior's pictures and nothing else: other instances,
wider cameras, other lights, paint that varies, every pair of colour and kind, and of kind and base.  A fifth
are soft volumes in place of hard surfaces.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.lib.format import open_memmap  # unlike np.load, it never unpickles
from torch import Tensor

from src.scene.cameras import CameraConfig, Cameras, sample_cameras
from src.streams import Stream, Streams
from src.toybox.world import render
from src.toybox.world.captions import TICKETS, Subject
from src.toybox.world.paint import BARE_MATERIAL, COLORS, PRECIOUS, paint_table
from src.toybox.world.pictures import key_light, pinhole
from src.toybox.world.shapes import BASES, build

SIZE = 64  # pixels
SHARD = 500  # pictures a file
SOFT = 0.2  # share of soft volumes
BASED = 0.15  # share of what stands on something
OVERHEAD = 0.06  # share of pictures from 62 to 85 degrees up
FRESH = 10**6  # added to a world's seed, for pictures that nobody is trained on
CAMERAS = CameraConfig(
    distance_min=1.3,
    distance_max=1.7,
    fov_degrees_min=38.0,
    fov_degrees_max=54.0,
    elevation_degrees_min=-20.0,
    elevation_degrees_max=58.0,
)


class Facts(NamedTuple):
    """What is true of a picture; angles in degrees."""

    kind: str
    color: str  # "" where the caption names none
    material: str
    base: str
    azimuth: float
    elevation: float
    soft: bool

    def subject(self) -> Subject:
        """What the picture shows."""
        return Subject(self.kind, self.color, self.material, self.base)


def _pick(names: list[str], u: float) -> str:
    return names[int(u * len(names))]


def draw_subject(u: np.ndarray) -> Subject:
    """A subject from four uniform numbers: kinds with a front twice as often as others, every base alike."""
    kind, fate = _pick(TICKETS, u[0]), u[1]
    base = _pick(list(BASES), u[3] / BASED) if u[3] < BASED else ""
    if fate < 0.08:
        return Subject(kind, base=base)
    if fate < 0.24:
        return Subject(kind, "", _pick(list(PRECIOUS), u[2]), base)
    if fate < 0.40:
        return Subject(kind, "", _pick(list(BARE_MATERIAL), u[2]), base)
    material = "" if fate < 0.7 else _pick(list(BARE_MATERIAL), (fate - 0.7) / 0.3)
    return Subject(kind, _pick(list(COLORS), u[2]), material, base)


def picture(subject: Subject, camera: Cameras, seed: int, draw: Stream, soft: bool) -> np.ndarray:
    """Premultiplied RGBA [H, W, 4] float32 of a new instance before `camera` (a batch of one)."""
    # The instance is `build`'s own draw; everything else comes from the stream.
    table = build(subject.kind, np.random.default_rng(seed), base=subject.base)
    u = draw.uniform(1, 16)[0].double().numpy()
    paint = paint_table(subject.paint(), subject.material)
    paint[:, :3] = (paint[:, :3] * (0.92 + 0.16 * u[0]) + 0.06 * (u[1:4] - 0.5)).clip(0, 1)
    if soft:
        softness, density = 0.012 + 0.06 * u[4] ** 2, math.exp(1.8 + 2.2 * u[5])
        return render.fog(table, paint, softness, density, pinhole(camera), camera.height)
    light = key_light(float(camera.azimuth[0]), 160 * (u[6] - 0.5), 25 + 60 * u[7])
    return render.trace(table, paint, light, 9 * u[8:11], pinhole(camera), camera.height)


def shard(seed: int, index: int, count: int = SHARD) -> tuple[np.ndarray, list[Facts]]:
    """Shard `index` of the judge's world: premultiplied RGBA [count, 64, 64, 4] uint8, and its facts."""
    draw = Streams(seed, index)
    cameras = sample_cameras(CAMERAS, count, SIZE, draw("portraits/camera"))
    fate = draw("portraits/fate").uniform(count, 7)
    steep = torch.deg2rad(62 + 23 * fate[:, 1])
    cameras = cameras._replace(elevation=torch.where(fate[:, 0] < OVERHEAD, steep, cameras.elevation))
    pixels, facts = np.empty((count, SIZE, SIZE, 4), np.uint8), []
    for i in range(count):
        subject, camera = draw_subject(fate[i, 2:6].double().numpy()), cameras.one(i)
        soft = bool(fate[i, 6] < SOFT)
        seeds = (seed * 10**4 + index) * count + i
        rgba = picture(subject, camera, seeds, Streams(seed, index, i)("portraits/picture"), soft)
        pixels[i] = (rgba.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        angles = float(camera.azimuth[0].rad2deg()) % 360, float(camera.elevation[0].rad2deg())
        facts.append(Facts(subject.kind, subject.color, subject.material, subject.base, *angles, soft))
    return pixels, facts


def write_shard(folder: Path, seed: int, index: int) -> None:
    """Render one shard into folder/NNNN.npy and .json; the .json, written last, marks the shard as whole."""
    pixels, facts = shard(seed, index)
    np.save(folder / f"{index:04d}.npy", pixels)
    (folder / f"{index:04d}.tmp").write_text(json.dumps(facts))
    (folder / f"{index:04d}.tmp").replace(folder / f"{index:04d}.json")


def read_shards(folder: Path) -> tuple[Sequence[np.ndarray], list[list[Facts]]]:
    """Every whole shard of a folder, mapped into memory, with its facts."""
    names = sorted(folder.glob("*.json"))
    pixels = [open_memmap(name.with_suffix(".npy"), mode="r") for name in names]
    return pixels, [[Facts(*fact) for fact in json.loads(name.read_text())] for name in names]


def to_batch(pixels: list[np.ndarray]) -> Float[Tensor, "B 4 H W"]:
    """Pictures [H, W, 4] uint8 as one batch in [0, 1]."""
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
