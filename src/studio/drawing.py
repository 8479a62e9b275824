"""A process that draws runs for the page: alone, on one thread and after everybody else, so that a training
beside it hardly notices.

The studio starts it as `python -m src.studio.drawing`.  It reads a request a line (json) and answers with a
line (json) and the bytes of a WebP picture.
"""

import io
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from src.door import one_sentence
from src.errors import UserError

DRAW = (sys.executable, "-m", "src.studio.drawing")
HEIGHTS = (32, 512)  # pixels
SHOWS = ("rgb", "depth", "normal", "opacity")
SCENES = 4  # kept loaded
NICENESS = 10  # where both want a core, a trainer gets nine tenths of it


class Drawing:
    """The handle on the process."""

    def __init__(self, command: Sequence[str] = DRAW) -> None:
        self._command = command
        self._lock, self._closed = threading.Lock(), False  # one picture at a time
        self._process: subprocess.Popen[bytes] | None = None

    def picture(
        self,
        folder: Path,
        step: int,
        camera: tuple[float, float, float],
        show: str,
        backdrop: str,
        height: int,
    ) -> bytes:
        """Draw a run's checkpoint from a camera: azimuth and elevation in degrees, zoom (1: as in its video).

        Raises UserError if the request or the checkpoint is none.
        """
        azimuth, elevation, zoom = camera
        if show not in SHOWS or backdrop not in ("env", "transparent"):
            raise UserError(f"show={show} backdrop={backdrop}: choose one of {', '.join(SHOWS)}")
        if not HEIGHTS[0] <= height <= HEIGHTS[1] or not all(map(math.isfinite, camera)):
            raise UserError(f"height={height} is out of range: choose {HEIGHTS[0]} to {HEIGHTS[1]} pixels")
        asked = {
            "folder": str(folder),
            "step": step,
            "azimuth": azimuth,
            "elevation": elevation,
            "zoom": zoom,
        }
        line = json.dumps(asked | {"show": show, "backdrop": backdrop, "height": height}).encode() + b"\n"
        with self._lock:
            for _ in range(2):  # once more if the process has died since
                if self._closed:
                    break
                with suppress(OSError, ValueError):
                    process = self._running()
                    assert process.stdin is not None
                    assert process.stdout is not None
                    process.stdin.write(line)
                    process.stdin.flush()
                    answer = json.loads(process.stdout.readline())
                    if "says" in answer:
                        raise UserError(answer["says"])
                    return process.stdout.read(answer["bytes"])
                self._put_away()
        raise UserError("the process that draws ends at once; its last words are in the studio's terminal")

    def begin(self) -> None:
        """Start the process now, which takes seconds, and not when the first picture is asked for."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the process, whatever it draws; there are no more pictures."""
        self._closed = True
        if self._process is not None:
            self._process.kill()  # so that nobody waits for its answer
        with self._lock:
            self._put_away()

    def _put_away(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError, AttributeError):
                    pipe.close()  # type: ignore[union-attr]
            self._process = None

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        return self._process


def serve(requests: Iterable[bytes], answers: io.BufferedIOBase) -> None:
    """Answer requests until there are no more."""
    scenes: dict[tuple[str, int], Any] = {}
    for line in requests:
        try:
            picture = draw(json.loads(line), scenes)
        except UserError as error:
            answers.write(json.dumps({"says": str(error)}).encode() + b"\n")
        else:
            answers.write(json.dumps({"bytes": len(picture)}).encode() + b"\n" + picture)
        answers.flush()


def draw(asked: dict[str, Any], scenes: dict[tuple[str, int], Any]) -> bytes:
    """One picture; `scenes` are those loaded before, the last ones used at the end."""
    import torch
    from PIL import Image

    from src.export.panels import panels
    from src.model import load_scene
    from src.scene.cameras import Cameras

    key = asked["folder"], asked["step"]
    cfg, model, _ = scenes[key] = scenes.pop(key, None) or load_scene(
        Path(asked["folder"]), torch.device("cuda" if torch.cuda.is_available() else "cpu"), asked["step"]
    )
    for old in list(scenes)[:-SCENES]:
        del scenes[old]
    video = cfg.video
    distance = max(video.distance * asked["zoom"], 1.05 * cfg.field.radius)
    angles = (math.radians(max(-85.0, min(85.0, asked["elevation"]))), math.radians(asked["azimuth"] % 360))
    numbers = (*angles, distance, math.radians(video.fov_degrees))
    elevation, azimuth, away, fov = (torch.tensor([number]) for number in numbers)
    camera = Cameras(elevation, azimuth, away, fov, asked["height"], asked["height"])
    (pixels,) = panels(cfg, model, camera, [asked["show"]], [asked["backdrop"]])
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=88, method=1)
    return file.getvalue()


def be_patient(process: psutil.Process) -> None:
    """Let everybody else go first."""
    process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else NICENESS)


@one_sentence
def main(arguments: list[str]) -> int:
    """Draw what is asked for until the studio is gone; there are no settings."""
    import torch

    import src.export.panels  # noqa: F401  (what takes seconds, before anybody waits for it)

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    be_patient(psutil.Process())
    torch.set_num_threads(1)
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
