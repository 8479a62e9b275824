"""A run's turntable as mp4 and animated webp, and its contact sheet: colour, depth and opacity.

    python -m src.export.video run=outputs/<run> [views=240] [size=512 or 640,360] [fps=30] [elevation=15]
        [distance=1.5] [fov=70] [show=rgb,depth,normal,opacity] [background=white,env,transparent]
        [path=turntable|sway|FILE.yaml|camera_path.json] [out=lion.mp4|lion.webp|lion.png]

What is left out is as the run has it.  The files are named by the path, and by what they show if that is not
the usual: turntable.mp4, sway-white-rgb-normal.webp.  `out` names one file anywhere, by its ending: a film,
an animated picture, or (lion-0000.png, lion-0001.png, …) a picture a frame.  A film has no transparency.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from src.arguments import to_write, typed_path
from src.config import PATHS, RunConfig, VideoConfig
from src.door import one_sentence
from src.errors import UserError
from src.export.film import check_encoder, write_film
from src.export.panels import Frame, panels
from src.export.paths import cameras
from src.model import Scene, load_scene
from src.run.checkpoint import sync
from src.run.log import bar
from src.scene.cameras import orbit

Row = UInt8[np.ndarray, "height width 3"]

USUAL = VideoConfig()
# The command line's short names for settings of `video`.
SHORT = {"elevation": "elevation_degrees", "distance": "distance", "fov": "fov_degrees"}


ENDINGS = (".mp4", ".webp", ".png")


def check_exports(video: VideoConfig) -> None:
    """Raise UserError now for what would stop the export at the end: a path, the film's encoder."""
    cameras(video)
    if not is_transparent(video):
        check_encoder()


def is_transparent(video: VideoConfig) -> bool:
    """Whether some picture has no background at all, which films cannot show."""
    return "transparent" in video.background and "rgb" in video.show


def export(cfg: RunConfig, model: Scene, folder: Path) -> list[Path]:
    """Write the video as mp4 and webp, and sheet.png, into a folder; returns their paths, the mp4 first.

    There is no mp4 of what is transparent.
    """
    name, written = file_name(cfg.video), []
    frames: list[Image.Image] = []  # for the webp, which is encoded at once
    shown = _kept(turntable(cfg, model), frames)
    if is_transparent(cfg.video):
        for _ in shown:
            pass
    else:
        written.append(folder / f"{name}.mp4")
        replace_file(written[0], lambda path: write_film(path, shown, cfg.video.fps))
    written += [folder / f"{name}.webp", folder / "sheet.png"]
    replace_file(written[-2], lambda path: _write_webp(path, frames, cfg.video.fps))
    sheet = contact_sheet(cfg, model)
    replace_file(written[-1], lambda path: Image.fromarray(sheet).save(path))
    return written


def export_file(cfg: RunConfig, model: Scene, out: Path) -> list[Path]:
    """Write the video as the ending of `out` says, and nothing else; returns the files, the frames in order.

    Raises UserError for another ending, a film of something transparent, and what cannot be written.
    """
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"out={out} has no ending that we know: choose {', '.join(ENDINGS)}")
    if ending == ".mp4" and is_transparent(cfg.video):
        raise UserError(f"out={out}: a film has no transparency: choose .webp or .png, or background=white")
    to_write(out)
    frames = turntable(cfg, model)
    if ending == ".mp4":
        replace_file(out, lambda path: write_film(path, frames, cfg.video.fps))
    elif ending == ".webp":
        replace_file(
            out, lambda path: _write_webp(path, [Image.fromarray(each) for each in frames], cfg.video.fps)
        )
    else:
        written = []
        for number, frame in enumerate(frames):
            written.append(out.with_name(f"{out.stem}-{number:04d}.png"))
            replace_file(written[-1], Image.fromarray(frame).save)
        return written
    return [out]


def file_name(video: VideoConfig) -> str:
    """What a video's files are called, without their endings."""
    parts = [Path(video.path).stem]
    parts += video.background if video.background != USUAL.background else []
    parts += video.show if video.show != USUAL.show else []
    return "-".join(parts)


def turntable(cfg: RunConfig, model: Scene) -> Iterator[Frame]:
    """Frames of one way round, what is shown side by side; the last is not the first again."""
    video, path = cfg.video, cameras(cfg.video)
    count = len(path.azimuth)
    with bar(count, "frame") as progress:
        for view in range(count):
            shown = panels(cfg, model, path.one(view), video.show, video.background)
            yield np.concatenate(shown, axis=1)
            progress.update()


def contact_sheet(cfg: RunConfig, model: Scene, columns: int = 8) -> Row:
    """Eight azimuths from two elevations: rows of colour, depth and opacity for each."""
    video = cfg.video
    rows = []
    for elevation in (video.elevation_degrees, min(video.elevation_degrees + 30, 90)):
        ring = orbit(columns, elevation, video.distance, video.fov_degrees, min(*video.width_height(), 128))
        tiles = [panels(cfg, model, ring.one(i), USUAL.show, USUAL.background) for i in range(columns)]
        rows += [np.concatenate(row, axis=1) for row in zip(*tiles, strict=True)]
    return np.concatenate(rows, axis=0)


def preview(cfg: RunConfig, model: Scene, size: int, columns: int = 4) -> Row:
    """Colour from four sides, in one row."""
    video = cfg.video
    ring = orbit(columns, video.elevation_degrees, video.distance, video.fov_degrees, size)
    sides = [panels(cfg, model, ring.one(i), ["rgb"], USUAL.background)[0] for i in range(columns)]
    return np.concatenate(sides, axis=1)


def save_preview(folder: Path, step: int, row: Row) -> None:
    """Keep the row of this step, and show all rows up to it as one grid, previews.png.

    What is in that folder beside them is left alone, and a row that cannot be read is left out and named.
    """
    rows_folder = folder / "previews"
    try:
        rows_folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _unwritten(rows_folder, error) from error
    replace_file(rows_folder / f"step-{step:08d}.png", lambda path: Image.fromarray(row).save(path))
    rows = []
    for path in sorted(rows_folder.glob("step-*.png")):
        number = path.stem.removeprefix("step-")
        if not (number.isdecimal() and len(number) >= 8):
            continue  # a copy that a cloud drive or a person made
        if int(number) <= step:
            try:
                rows.append(np.asarray(Image.open(path).convert("RGB")))
            except (OSError, SyntaxError, ValueError) as error:
                print(f"{path} is damaged and left out of previews.png ({error})", file=sys.stderr)
    grid = np.concatenate([each for each in rows if each.shape[1] == row.shape[1]], axis=0)
    replace_file(folder / "previews.png", lambda path: Image.fromarray(grid).save(path))


def _kept(frames: Iterator[Frame], kept: list[Image.Image]) -> Iterator[Frame]:
    """Pass frames on, and keep them."""
    for frame in frames:
        kept.append(Image.fromarray(frame))
        yield frame


def _write_webp(path: Path, frames: list[Image.Image], fps: int) -> None:
    first, *rest = frames
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, quality=80)


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Write under a temporary name, then rename: nobody ever finds half a file."""
    temporary = path.with_name(f".part.{path.name}")
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritten(path, error) from error
        raise


def _unwritten(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} could not be written ({' '.join(str(error).split())}): free some space, then give the same "
        "command again; the checkpoint is kept"
    )


@one_sentence
def main(arguments: list[str]) -> int:
    """Export a run again, with other sizes if wanted; returns the exit code."""
    given = {name: value for name, _, value in (argument.partition("=") for argument in arguments)}
    known = ("run", "views", "size", "fps", *SHORT, "show", "background", "path", "out")
    if unknown := set(given) - set(known):
        raise UserError(f"{min(unknown)} is no setting of export.video: choose {'=, '.join(known)}=")
    if not given.get("run"):
        raise UserError("run is missing: name a run's folder, as in run=outputs/NAME")
    folder, out = Path(typed_path(given.pop("run"), "run")), given.pop("out", None)
    wanted = {SHORT.get(name, name): _value(name, value) for name, value in given.items()}
    cfg, model, step = load_scene(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    cfg.video = replace(cfg.video, **wanted)
    check_exports(cfg.video)
    if out is None:
        to_write(folder / "sheet.png", "run", "name a file elsewhere with out=FILE")
        written = export(cfg, model, folder)
    else:
        written = export_file(cfg, model, Path(typed_path(out, "out")))
    for path in written if len(written) < 4 else [written[0], written[-1]]:
        print(f"step {step}: {path}")
    return 0


def _value(name: str, value: str) -> Any:
    """A setting's value from its text; lists are written with commas."""
    if name == "path":
        return value if value in PATHS else typed_path(value, "path")
    if name == "size":
        return value  # one number or two: the settings check it
    if name in ("show", "background"):
        return value.strip("[]").split(",")
    try:
        return float(value) if name in SHORT else int(value)
    except ValueError:
        number = "a number" if name in SHORT else "a whole number"
        raise UserError(f"{name}={value} is of the wrong kind: give {number}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
