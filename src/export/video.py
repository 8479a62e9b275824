"""A run's turntable as mp4 and animated webp, and its contact sheet: colour, depth and opacity.

    python -m src.export.video run=outputs/<run> [views=240] [size=512] [fps=30] [elevation=15] [distance=1.5]
        [fov=70] [show=rgb,depth,normal,opacity] [background=white,env] [path=turntable|sway|FILE.yaml]

What is left out is as the run has it.  The files are named by the path, and by what they show if that is not
the usual: turntable.mp4, sway-white-rgb-normal.webp.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from src.config import RunConfig, VideoConfig
from src.door import one_sentence
from src.errors import UserError
from src.export.panels import Frame, panels
from src.export.paths import cameras
from src.model import Model, load_run
from src.run.log import bar
from src.scene.cameras import orbit

USUAL = VideoConfig()
# The command line's short names for settings of `video`.
SHORT = {"elevation": "elevation_degrees", "distance": "distance", "fov": "fov_degrees"}


def export(cfg: RunConfig, model: Model, folder: Path) -> list[Path]:
    """Write the video as mp4 and webp, and sheet.png, into a folder; returns their paths, the mp4 first."""
    name = file_name(cfg.video)
    paths = [folder / f"{name}.mp4", folder / f"{name}.webp", folder / "sheet.png"]
    frames: list[Image.Image] = []  # for the webp, which is encoded at once
    replace_file(paths[0], lambda path: _write_mp4(path, _kept(turntable(cfg, model), frames), cfg.video.fps))
    replace_file(paths[1], lambda path: _write_webp(path, frames, cfg.video.fps))
    sheet = contact_sheet(cfg, model)
    replace_file(paths[2], lambda path: Image.fromarray(sheet).save(path))
    return paths


def file_name(video: VideoConfig) -> str:
    """What a video's files are called, without their endings."""
    parts = [Path(video.path).stem]
    parts += video.background if video.background != USUAL.background else []
    parts += video.show if video.show != USUAL.show else []
    return "-".join(parts)


def turntable(cfg: RunConfig, model: Model) -> Iterator[Frame]:
    """Frames of one way round, what is shown side by side; the last is not the first again."""
    video, path = cfg.video, cameras(cfg.video)
    with bar(video.views, "frame") as progress:
        for view in range(video.views):
            shown = panels(cfg, model, path.one(view), video.show, video.background)
            yield np.concatenate(shown, axis=1)
            progress.update()


def contact_sheet(cfg: RunConfig, model: Model, columns: int = 8) -> Frame:
    """Eight azimuths from two elevations: rows of colour, depth and opacity for each."""
    video = cfg.video
    rows = []
    for elevation in (video.elevation_degrees, min(video.elevation_degrees + 30, 90)):
        ring = orbit(columns, elevation, video.distance, video.fov_degrees, min(video.size, 128))
        tiles = [panels(cfg, model, ring.one(i), USUAL.show, USUAL.background) for i in range(columns)]
        rows += [np.concatenate(row, axis=1) for row in zip(*tiles, strict=True)]
    return np.concatenate(rows, axis=0)


def preview(cfg: RunConfig, model: Model, size: int, columns: int = 4) -> Frame:
    """Colour from four sides, in one row."""
    video = cfg.video
    ring = orbit(columns, video.elevation_degrees, video.distance, video.fov_degrees, size)
    sides = [panels(cfg, model, ring.one(i), ["rgb"], USUAL.background)[0] for i in range(columns)]
    return np.concatenate(sides, axis=1)


def save_preview(folder: Path, step: int, row: Frame) -> None:
    """Keep the row of this step, and show all rows up to it as one grid, previews.png."""
    rows_folder = folder / "previews"
    rows_folder.mkdir(exist_ok=True)
    replace_file(rows_folder / f"step-{step:08d}.png", lambda path: Image.fromarray(row).save(path))
    paths = sorted(path for path in rows_folder.glob("step-*.png") if int(path.stem[5:]) <= step)
    rows = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    grid = np.concatenate([each for each in rows if each.shape[1] == row.shape[1]], axis=0)
    replace_file(folder / "previews.png", lambda path: Image.fromarray(grid).save(path))


def _kept(frames: Iterator[Frame], kept: list[Image.Image]) -> Iterator[Frame]:
    """Pass frames on, and keep them."""
    for frame in frames:
        kept.append(Image.fromarray(frame))
        yield frame


def _write_mp4(path: Path, frames: Iterator[Frame], fps: int) -> None:
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


def _write_webp(path: Path, frames: list[Image.Image], fps: int) -> None:
    first, *rest = frames
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, quality=80)


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
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
    known = ("run", "views", "size", "fps", *SHORT, "show", "background", "path")
    if unknown := set(given) - set(known):
        raise UserError(f"{min(unknown)} is no setting of export.video: choose {'=, '.join(known)}=")
    if not given.get("run"):
        raise UserError("run is missing: name a run's folder, as in run=outputs/NAME")
    folder = Path(given.pop("run"))
    cfg, model, step = load_run(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    wanted = {SHORT.get(name, name): _value(name, value) for name, value in given.items()}
    cfg.video = replace(cfg.video, **wanted)
    for path in export(cfg, model, folder):
        print(f"step {step}: {path}")
    return 0


def _value(name: str, value: str) -> Any:
    """A setting's value from its text; lists are written with commas."""
    if name == "path":
        return value
    if name in ("show", "background"):
        return value.strip("[]").split(",")
    try:
        return float(value) if name in SHORT else int(value)
    except ValueError:
        number = "a number" if name in SHORT else "a whole number"
        raise UserError(f"{name}={value} is of the wrong kind: give {number}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
