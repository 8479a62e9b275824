"""A run's object in the browser, live: turn it, see its depth, normals and opacity, go back in its steps.

    python -m src.export.view run=outputs/<run> [port=8080] [size=256]

The picture is coarse while the camera moves, and refined to `size` pixels of height when it rests.  A run
that is still training may be watched: its newest checkpoint is shown as soon as it is there.  The page is
served to this machine alone; from another one, forward the port (ssh -L 8080:localhost:8080).
"""

import math
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from src.arguments import in_range, parse
from src.config import BACKGROUNDS, PANELS, RunConfig
from src.door import one_sentence
from src.errors import UserError
from src.export.panels import Frame, panels
from src.model import CHECKPOINTS, Scene, load_scene
from src.run import checkpoint
from src.scene.cameras import Cameras, orbit

if TYPE_CHECKING:
    from viser import ClientHandle, ViserServer

COARSEST = 64  # pixels of height
POLL_SECONDS = 2.0
NEAREST = 1.05  # radii from the centre: cameras stay outside


@dataclass
class ViewConfig:
    """What the command line says."""

    run: str = ""
    port: int = 8080  # or the next that is free
    size: int = 256  # pixels of height, of the finest picture

    def __post_init__(self) -> None:
        if not self.run:
            raise UserError("run is missing: name a run's folder, as in run=outputs/NAME")
        in_range(self, ["port"], 1, 65_535)
        in_range(self, ["size"], COARSEST, 2048)

    @property
    def heights(self) -> list[int]:
        """Of the pictures that follow each other while nothing moves."""
        steps = range(int(math.log2(self.size / COARSEST)) + 1)
        return sorted({self.size, *(COARSEST * 2**step for step in steps)})


def camera_at(position: Float[np.ndarray, "3"], fov: float, aspect: float, height: int) -> Cameras:
    """The camera that looks from a position at the origin; `fov` vertical, in radians, `aspect` w/h."""
    x, y, z = (torch.tensor([float(number)]) for number in position)
    distance = (x * x + y * y + z * z).sqrt()
    elevation, azimuth = (z / distance).asin(), torch.atan2(y, x)
    return Cameras(elevation, azimuth, distance, torch.tensor([fov]), height, max(1, round(height * aspect)))


class Viewer:
    """A page with its knobs, and the checkpoint that they point at; raises UserError if there is none."""

    def __init__(self, cfg: ViewConfig) -> None:
        self.folder, self.heights = Path(cfg.run), cfg.heights
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.loaded: tuple[RunConfig, Scene, int] = load_scene(self.folder, self.device)
        self._desk = threading.Lock()  # a model draws one picture at a time
        self._eyes: dict[int, Eye] = {}
        self.server = _serve(cfg.port)

        video = self.loaded[0].video
        front = orbit(1, video.elevation_degrees, video.distance, video.fov_degrees, 1)
        self.server.scene.set_up_direction("+z")
        self.server.initial_camera.position = front.poses()[0, :, 3].numpy()
        self.server.initial_camera.look_at = np.zeros(3)
        self.server.initial_camera.fov = float(front.fov)

        gui = self.server.gui
        gui.add_text("prompt", self.loaded[0].prompt, disabled=True)
        self.show = gui.add_dropdown("show", PANELS)
        self.background = gui.add_dropdown("background", BACKGROUNDS)
        self.step = gui.add_slider("step", 0, 1, 1, 0)
        self.told = gui.add_text("drawn", "", disabled=True)
        self._newest = -1
        self.poll()
        for knob in (self.show, self.background, self.step):
            knob.on_update(lambda _: self.refresh())
        self.server.on_client_connect(self.connect)
        self.server.on_client_disconnect(self.disconnect)

    def poll(self) -> None:
        """Take notice of new checkpoints; a slider that stood at the newest goes along with them."""
        steps = checkpoint.steps(self.folder / CHECKPOINTS)
        if not steps or (steps[0], steps[-1]) == (self.step.min, self._newest):
            return
        follow = self.step.value >= self._newest or self.step.value < steps[0]
        self._newest = steps[-1]
        self.step.max, self.step.min = max(steps[-1], steps[0] + 1), steps[0]  # a slider needs some length
        self.step.step = math.gcd(*(step - steps[0] for step in steps)) or 1
        if follow:
            self.step.value = steps[-1]

    def picture(self, camera: Cameras) -> Frame:
        """What the knobs ask for, from a camera; raises UserError if the run's checkpoints are gone."""
        steps = checkpoint.steps(self.folder / CHECKPOINTS)
        wanted = max((step for step in steps if step <= self.step.value), default=None)
        with self._desk:
            if wanted is not None and wanted != self.loaded[2]:
                self.loaded = load_scene(self.folder, self.device, wanted)
            cfg, model, _ = self.loaded
            return panels(cfg, model, camera, [self.show.value], [self.background.value])[0]

    def refresh(self) -> None:
        """Draw anew in every browser."""
        for eye in list(self._eyes.values()):
            eye.changed.set()

    def connect(self, client: "ClientHandle") -> None:
        """Give a browser its eye."""
        client.camera.min_orbit_distance = NEAREST * self.loaded[0].field.radius
        self._eyes[client.client_id] = Eye(self, client)

    def disconnect(self, client: "ClientHandle") -> None:
        """Close a browser's eye."""
        self._eyes.pop(client.client_id).close()

    def close(self) -> None:
        """Stop serving."""
        for eye in list(self._eyes.values()):
            eye.close()
        self.server.stop()


class Eye:
    """What one browser sees: drawn coarsely, then finer, and from the start again whenever it moves."""

    def __init__(self, viewer: Viewer, client: "ClientHandle") -> None:
        self.changed = threading.Event()
        self._viewer, self._client, self._closed = viewer, client, False
        client.camera.on_update(lambda _: self.moved())
        self.changed.set()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def moved(self) -> None:
        """Draw anew, and keep to an orbit: the object stays in the middle."""
        if np.abs(self._client.camera.look_at).max() > 1e-3:
            self._client.camera.look_at = np.zeros(3)
        self.changed.set()

    def close(self) -> None:
        """Stop drawing, once the picture at hand is done."""
        self._closed = True
        self.changed.set()
        self._thread.join()

    def _work(self) -> None:
        while self.changed.wait() and not self._closed:
            self.changed.clear()
            for height in self._viewer.heights:
                began = time.perf_counter()
                self._draw(height)
                # Whoever still moves need not wait for a finer picture.
                if self.changed.wait(min(1.0, time.perf_counter() - began)):
                    break

    def _draw(self, height: int) -> None:
        camera, told = self._client.camera, self._viewer.told
        began = time.perf_counter()
        try:
            picture = self._viewer.picture(camera_at(camera.position, camera.fov, camera.aspect, height))
        except UserError as error:
            told.value = str(error)
            return
        if not self._closed:
            self._client.scene.set_background_image(picture, format="jpeg", jpeg_quality=90)
            seconds = time.perf_counter() - began
            told.value = f"step {self._viewer.loaded[2]}, {height} pixels, {seconds:.2f} s"


def _serve(port: int) -> "ViserServer":
    try:
        import viser
    except ImportError as error:
        raise UserError(
            f"the viewer needs {error.name}, which is not installed: pip install -e '.[view]'"
        ) from error
    return viser.ViserServer(host="127.0.0.1", port=port, label="nfsd3d", verbose=False)


@one_sentence
def main(arguments: list[str]) -> int:
    """Serve a run until Ctrl-C; exit code 2 after one sentence about what the user can put right."""
    viewer = Viewer(parse(ViewConfig, arguments))
    print(f"http://127.0.0.1:{viewer.server.get_port()} shows {viewer.folder}; Ctrl-C ends", flush=True)
    try:
        while True:
            time.sleep(POLL_SECONDS)
            viewer.poll()
    finally:
        viewer.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
