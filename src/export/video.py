"""A run's turntable as mp4 and animated webp, and its contact sheet: colour, depth and opacity.

    python -m src.export.video run=outputs/<run> [views=120] [size=256] [fps=30]

Depth and opacity show what colour hides: a hole that is painted on, haze, a billboard. Depth is bright
where near.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from src.config import RunConfig
from src.door import one_sentence
from src.errors import UserError
from src.model import Model, load_run, look
from src.scene.cameras import Cameras, orbit
from src.scene.rendering import Rendering

Frame = UInt8[np.ndarray, "height width 3"]

# Viridis, sampled: from far to near, readable in grey and by the colour-blind.
DEPTH_COLORS = torch.tensor(
    [
        [0.267, 0.005, 0.329],
        [0.283, 0.141, 0.458],
        [0.254, 0.265, 0.530],
        [0.207, 0.372, 0.553],
        [0.164, 0.471, 0.558],
        [0.128, 0.567, 0.551],
        [0.135, 0.659, 0.518],
        [0.267, 0.749, 0.441],
        [0.478, 0.821, 0.318],
        [0.741, 0.873, 0.150],
        [0.993, 0.906, 0.144],
    ]
)


def export(cfg: RunConfig, model: Model, folder: Path) -> list[Path]:
    """Write turntable.mp4, turntable.webp and sheet.png into a folder; returns their paths."""
    frames = list(turntable(cfg, model))
    fps = cfg.video.fps
    paths = [folder / "turntable.mp4", folder / "turntable.webp", folder / "sheet.png"]
    _replace(paths[0], lambda path: _write_mp4(path, frames, fps))
    _replace(paths[1], lambda path: _write_webp(path, frames, fps))
    sheet = contact_sheet(cfg, model)
    _replace(paths[2], lambda path: Image.fromarray(sheet).save(path))
    return paths


def turntable(cfg: RunConfig, model: Model) -> Iterator[Frame]:
    """Frames of one turn, colour, depth and opacity side by side; the last is not the first again."""
    video = cfg.video
    cameras = orbit(video.views, video.elevation_degrees, video.distance, video.fov_degrees, video.size)
    for view in range(video.views):
        yield np.concatenate(_panels(cfg, model, cameras, view), axis=1)


def contact_sheet(cfg: RunConfig, model: Model, columns: int = 8) -> Frame:
    """Eight azimuths from two elevations: rows of colour, depth and opacity for each."""
    video = cfg.video
    rows = []
    for elevation in (video.elevation_degrees, min(video.elevation_degrees + 30, 90)):
        cameras = orbit(columns, elevation, video.distance, video.fov_degrees, min(video.size, 128))
        tiles = [_panels(cfg, model, cameras, view) for view in range(columns)]
        rows += [np.concatenate(row, axis=1) for row in zip(*tiles, strict=True)]
    return np.concatenate(rows, axis=0)


def preview(cfg: RunConfig, model: Model, size: int, columns: int = 4) -> Frame:
    """Colour from four sides, in one row."""
    video = cfg.video
    cameras = orbit(columns, video.elevation_degrees, video.distance, video.fov_degrees, size)
    return np.concatenate([_panels(cfg, model, cameras, view)[0] for view in range(columns)], axis=1)


def save_preview(folder: Path, step: int, row: Frame) -> None:
    """Keep the row of this step, and show all rows up to it as one grid, previews.png."""
    rows_folder = folder / "previews"
    rows_folder.mkdir(exist_ok=True)
    _replace(rows_folder / f"step-{step:08d}.png", lambda path: Image.fromarray(row).save(path))
    paths = sorted(path for path in rows_folder.glob("step-*.png") if int(path.stem[5:]) <= step)
    rows = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    grid = np.concatenate([each for each in rows if each.shape[1] == row.shape[1]], axis=0)
    _replace(folder / "previews.png", lambda path: Image.fromarray(grid).save(path))


def color_depth(view: Rendering, distance: float, radius: float) -> Float[Tensor, "batch 3 height width"]:
    """Colour the depth from the sphere's front (bright) to its back (dark), black where nothing is."""
    near = ((distance + radius - view.depth) / (2 * radius)).clamp(0, 1)[:, 0]
    position = near * (len(DEPTH_COLORS) - 1)
    lower = position.floor().long().clamp(max=len(DEPTH_COLORS) - 2)
    colors = DEPTH_COLORS.to(near.device)
    mixed = torch.lerp(colors[lower], colors[lower + 1], (position - lower)[..., None])
    return mixed.permute(0, 3, 1, 2) * view.opacity


def _panels(cfg: RunConfig, model: Model, cameras: Cameras, view: int) -> list[Frame]:
    camera = cameras.one(view)
    seen = look(cfg, model, camera)
    depth = color_depth(seen, float(camera.distance), cfg.field.radius)
    return [_frame(image) for image in (seen.image, depth, seen.opacity.expand(-1, 3, -1, -1))]


def _frame(image: Float[Tensor, "1 3 height width"]) -> Frame:
    return (image[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def _write_mp4(path: Path, frames: list[Frame], fps: int) -> None:
    import imageio.v2 as imageio  # with ffmpeg inside its wheel; nobody else needs it

    with imageio.get_writer(
        path, fps=fps, codec="libx264", pixelformat="yuv420p", quality=8, macro_block_size=1
    ) as writer:
        for frame in frames:
            writer.append_data(_even(frame))  # type: ignore[attr-defined]


def _even(frame: Frame) -> NDArray[np.uint8]:
    """Double the last row or column where their number is odd: yuv420p halves both."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _write_webp(path: Path, frames: list[Frame], fps: int) -> None:
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, quality=80)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write under a temporary name, then rename: nobody ever finds half a file."""
    temporary = path.with_name(f".part.{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"{path} could not be written ({error}): free some space, then give the same command again; the "
            "checkpoint is kept"
        ) from error


@one_sentence
def main(arguments: list[str]) -> int:
    """Export a run again, with other sizes if wanted; returns the exit code."""
    given = {name: value for name, _, value in (argument.partition("=") for argument in arguments)}
    if unknown := set(given) - {"run", "views", "size", "fps"}:
        raise UserError(f"{min(unknown)} is no setting of export.video: choose run=, views=, size= and fps=")
    if not given.get("run"):
        raise UserError("run is missing: name a run's folder, as in run=outputs/NAME")
    folder = Path(given.pop("run"))
    cfg, model, step = load_run(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    wanted = {name: _whole_number(name, value) for name, value in given.items()}
    cfg.video = replace(cfg.video, **wanted)
    for path in export(cfg, model, folder):
        print(f"step {step}: {path}")
    return 0


def _whole_number(name: str, value: str) -> int:
    if not value.isdecimal():
        raise UserError(f"{name}={value} is of the wrong kind: give a whole number")
    return int(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
