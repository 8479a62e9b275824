"""Pictures of the toy world: who stands where, under which light, before what, and how badly it was taken.

Cameras are the trainer's own (`sample_cameras` with TOY_CAMERA, the ranges of the presets that use the
bundled prior), so that framing agrees across views. A tenth of the pictures is degraded the way a half-formed
radiance field is (soft density, fog, blur, floaters, flat or violent colour) and captioned with words of
NFSD's negative prompt.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from src.guidance.prompts import NEGATIVE_PROMPT, PromptConfig, Views, view_words
from src.scene.cameras import CameraConfig, Cameras, sample_cameras
from src.streams import Streams
from src.toybox.world import render
from src.toybox.world.captions import Subject, subject
from src.toybox.world.paint import MAIN, paint_table
from src.toybox.world.shapes import build

SIZE = 128  # pixels
SHARD = 500  # pictures a file
DEGRADED = 0.10
FRONT_DEGREES = 45.0  # half the width of front and of back in the four-word captions
OVERHEAD = 0.04  # share of pictures from 60 to 85 degrees up, where no training camera goes
TOY_CAMERA = CameraConfig(
    distance_min=1.35,
    distance_max=1.55,
    fov_degrees_min=40.0,
    fov_degrees_max=50.0,
    elevation_degrees_min=-10.0,
    elevation_degrees_max=45.0,
)
BAD_WORDS = {  # effect -> the words of p_neg that name it
    "nerf": ("unrealistic", "ugly", "low quality"),
    "blur": ("blurry", "out of focus"),
    "pixels": ("low-resolution", "low quality"),
    "flat": ("low contrast", "dull"),
    "dark": ("dark", "gloomy"),
}


class Picture(NamedTuple):
    """Pixels [SIZE, SIZE, 4] uint8 and what a caption needs to know of them.

    The fourth channel is the subject's opacity; the colours are already before the backdrop.
    """

    pixels: np.ndarray
    subject: Subject
    views: tuple[str, str]
    bad_words: list[str]


def generator(*key: int) -> np.random.Generator:
    """The toy world draws from NumPy: the generator of a key."""
    return np.random.default_rng(list(key))


def key_light(azimuth: float, side_degrees: float, height_degrees: float) -> np.ndarray:
    """Unit direction to a light `side_degrees` to the side of the camera's azimuth."""
    around, up = azimuth + math.radians(side_degrees), math.radians(height_degrees)
    return np.array([math.cos(up) * math.cos(around), math.cos(up) * math.sin(around), math.sin(up)])


def pinhole(camera: Cameras) -> np.ndarray:
    """A camera (batch of one, square) as the tracer wants it, [4, 3] float64.

    Its place, half the picture's width and height at unit distance (vectors), and its direction.
    """
    right, up, backward, origin = camera.poses()[0].double().numpy().T
    half = math.tan(float(camera.fov[0]) / 2)
    return np.stack([origin, half * right, half * up, -backward])


def photograph(
    table: np.ndarray,
    subject: Subject,
    light: np.ndarray,
    camera: Cameras,
    texture: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """Premultiplied RGBA [H, W, 4] float32 of a solid from one camera (batch of one).

    `light` is the unit direction of the key light [3]; `texture` shifts the material's grain.
    """
    paint = paint_table(subject.paint(), subject.material)
    return render.trace(table, paint, light, np.array(texture), pinhole(camera), camera.height)


def backdrop(rng: np.random.Generator, camera: Cameras) -> np.ndarray:
    """A background [H, W, 3]: light grey, any colour, two colours fading with height, or soft blotches."""
    fate, light = rng.random(), rng.random() < 0.6
    if fate < 0.50:
        return np.ones((camera.height, camera.width, 3)) * (
            rng.uniform(0.7, 1.0) + rng.uniform(-0.05, 0.05, 3)
        ).clip(0, 1)

    def colors(*shape: int) -> np.ndarray:
        return rng.uniform(0.6, 1.0, shape) if light else rng.uniform(0, 1, shape)

    if fate < 0.65:
        return np.ones((camera.height, camera.width, 3)) * colors(3)
    if fate < 0.82:
        height = camera.rays().directions[0, :, :, 2:].numpy()
        mix = 1 / (1 + np.exp(-(height - rng.uniform(-0.4, 0.2)) * rng.uniform(2, 8)))
        return colors(3) * (1 - mix) + colors(3) * mix
    cells = int(rng.integers(2, 5))  # as a room is out of focus
    blotches = 0.3 * colors(cells, cells, 3) + 0.2 * colors(cells, cells, 1) + 0.5 * colors(3)
    return _resize(blotches, camera.height, "bicubic").clip(0, 1)


def _resize(image: np.ndarray, size: int, mode: str) -> np.ndarray:
    small = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None], (size, size), mode=mode)
    return small[0].permute(1, 2, 0).numpy()


def _blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _resize(_resize(image, int(rng.integers(SIZE // 7, SIZE * 2 // 5)), "area"), SIZE, "bicubic").clip(
        0, None
    )


def half_formed(table: np.ndarray, subject: Subject, camera: Cameras, rng: np.random.Generator) -> np.ndarray:
    """Premultiplied RGBA [H, W, 4] of the solid as a half-formed radiance field.

    That is soft density, colours that are off, and floaters.
    """
    paint = paint_table(subject.paint())[:, :3]
    fate = rng.random()
    if fate < 0.4:  # one flat colour, as in the first steps
        paint = np.tile(paint.mean(0) * 0.5 + rng.uniform(0.2, 0.6) * 0.5, (len(paint), 1))
    elif fate < 0.7:  # violent colour, as under too much guidance
        paint = ((paint - 0.5) * rng.uniform(1.5, 3.0) + 0.5).clip(0, 1)
    paint = np.ascontiguousarray(paint)
    softness, density = rng.uniform(0.015, 0.10), np.exp(rng.uniform(1.2, 3.7))
    image = render.fog(table, paint, softness, density, pinhole(camera), camera.height)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    for _ in range(int(rng.integers(0, 9))):
        cx, cy = rng.normal(SIZE / 2, SIZE / 4, 2)
        alpha = rng.uniform(0.1, 0.8) * np.exp(
            -((x - cx) ** 2 + (y - cy) ** 2) / (2 * (SIZE / 64 * rng.uniform(0.7, 3.5)) ** 2)
        )
        rgb = rng.uniform(0, 1, 3) if rng.random() < 0.5 else paint[MAIN]
        image = image * (1 - alpha[..., None]) + np.append(rgb, 1.0) * alpha[..., None]
    return image.astype(np.float32)


def take_picture(rng: np.random.Generator, camera: Cameras) -> Picture:
    """A random subject before a random backdrop, seen by `camera` (a batch of one)."""
    what = subject(rng)
    table = build(what.kind, rng, base=what.base)
    azimuth = float(camera.azimuth[0])
    light = key_light(azimuth, rng.uniform(-55, 55), rng.uniform(40, 75))
    effects: list[str] = []
    if rng.random() < DEGRADED:
        effects = [str(e) for e in rng.choice(list(BAD_WORDS), size=int(rng.integers(1, 3)), replace=False)]
    background = backdrop(rng, camera)
    x, y, z = rng.uniform(0, 9, 3)
    rgba = (
        half_formed(table, what, camera, rng)
        if "nerf" in effects
        else photograph(table, what, light, camera, (x, y, z))
    )
    if "blur" in effects:
        rgba = _blurred(rgba, rng)
    image = rgba[..., :3] + background * (1 - rgba[..., 3:])
    if "pixels" in effects:
        image = _resize(
            _resize(image, int(rng.integers(SIZE // 6, SIZE // 3)), "area"),
            SIZE,
            "nearest" if rng.random() < 0.5 else "bilinear",
        )
    if "flat" in effects:
        image = image.mean() + (image - image.mean()) * rng.uniform(0.25, 0.6)
    if "dark" in effects:
        image = image * rng.uniform(0.2, 0.5)
    words = [word for effect in effects for word in BAD_WORDS[effect] if rng.random() < 0.75]
    if effects and rng.random() < 0.4:
        words = NEGATIVE_PROMPT.split(", ")
    elif effects and not words:
        words = [BAD_WORDS[effects[0]][0]]
    views = tuple(
        view_words(
            PromptConfig(views=scheme, front_threshold_degrees=FRONT_DEGREES),
            camera.azimuth,
            camera.elevation,
        )[0]
        for scheme in (Views.four, Views.eight)
    )
    seen = np.concatenate([image, rgba[..., 3:]], 2)
    pixels = (seen.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return Picture(pixels, what, (views[0], views[1]), list(dict.fromkeys(words)))


def shard(seed: int, index: int, count: int = SHARD) -> list[Picture]:
    """Shard number `index` of the world of this seed; the same arguments always give the same pictures."""
    draw = Streams(seed, index)
    cameras = sample_cameras(TOY_CAMERA, count, SIZE, draw("toybox/camera"))
    fate = draw("toybox/overhead").uniform(count, 2)
    steep = torch.deg2rad(60 + 25 * fate[:, 1])
    cameras = cameras._replace(elevation=torch.where(fate[:, 0] < OVERHEAD, steep, cameras.elevation))
    seeds = np.random.SeedSequence([seed, index]).spawn(count)
    return [take_picture(np.random.default_rng(s), cameras.one(i)) for i, s in enumerate(seeds)]


def write_shard(folder: Path, seed: int, index: int, count: int = SHARD) -> None:
    """Render one shard into folder/NNNN.npy and .json; the .json, written last, marks the shard as whole."""
    pictures = shard(seed, index, count)
    np.save(folder / f"{index:04d}.npy", np.stack([p.pixels for p in pictures]))
    facts = [{"subject": asdict(p.subject), "views": p.views, "bad_words": p.bad_words} for p in pictures]
    (folder / f"{index:04d}.tmp").write_text(json.dumps(facts))
    (folder / f"{index:04d}.tmp").replace(folder / f"{index:04d}.json")
