"""The viewer: what a browser is sent as its camera moves, its knobs turn and its run goes on."""

import base64
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from PIL import Image

from src.errors import UserError
from src.export import view
from src.export.panels import panels
from src.export.view import ViewConfig, Viewer, camera_at
from src.model import CHECKPOINTS, load_run
from src.scene.cameras import orbit
from tests.export.scenes import CPU, ball_run

PATIENCE_SECONDS = 60  # of tests; nothing takes more than a second


@dataclass
class Browser:
    """What the viewer knows of a browser: its camera, and the pictures that it has been sent."""

    client_id: int = 0
    pictures: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        position = orbit(1, 15.0, 1.45, 45.0, 1).poses()[0, :, 3].numpy().astype(float)
        self.moved = lambda _: None
        self.camera = SimpleNamespace(
            position=position, fov=math.radians(45), aspect=1.5, look_at=np.zeros(3), on_update=self._listen
        )
        self.arrived = threading.Condition()
        self.scene = SimpleNamespace(set_background_image=self._receive)

    def _listen(self, call) -> None:
        self.moved = call

    def _receive(self, picture: np.ndarray, **_: object) -> None:
        with self.arrived:
            self.pictures.append(picture)
            self.arrived.notify()

    def wait_for(self, count: int) -> np.ndarray:
        """The newest picture, once there are so many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.pictures) >= count, PATIENCE_SECONDS)
            return self.pictures[-1]


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[Viewer]:
    """A viewer of a run with two checkpoints: a grey ball, and the same ball in colour."""
    ball_run(tmp_path, 10, 20)
    made = Viewer(ViewConfig(str(tmp_path), port=18_080, size=128))
    yield made
    made.close()


def expected(
    viewer: Viewer, step: int, height: int, show: str = "rgb", background: str = "env"
) -> np.ndarray:
    """The picture of a step from where browsers start."""
    cfg, model, _ = load_run(viewer.folder, CPU, step)
    camera = orbit(1, 15.0, 1.45, 45.0, height)._replace(width=height * 3 // 2)
    return panels(cfg, model, camera, [show], [background])[0]


def until(true: Callable[[], bool]) -> None:
    """Wait for something that comes true; fail if it does not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def close_to(picture: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures are the same but for rounding."""
    return picture.shape == other.shape and int(np.abs(picture.astype(int) - other).max()) <= 2


def test_positions_become_cameras_of_the_orbit() -> None:
    """Oracle: the turntable's own cameras, from where they stand."""
    ring = orbit(5, 20.0, 1.5, 50.0, 8)
    for i, pose in enumerate(ring.poses()):
        found = camera_at(pose[:, 3].numpy(), float(ring.fov[i]), 1.0, 8)
        torch.testing.assert_close(found.poses()[0], pose, atol=1e-6, rtol=0)
        torch.testing.assert_close(found.rays().directions, ring.one(i).rays().directions, atol=1e-6, rtol=0)


def test_pictures_are_refined_while_nothing_moves(viewer: Viewer) -> None:
    """Oracle: 64 and 128 pixels of the newest step; then no more until something happens."""
    viewer.connect(browser := Browser())
    assert close_to(browser.wait_for(2), expected(viewer, 20, 128))
    assert [len(picture) for picture in browser.pictures] == [64, 128]
    until(lambda: viewer.told.value.startswith("step 20, 128 pixels"))
    assert len(browser.pictures) == 2


def test_whoever_moves_gets_a_coarse_picture_first(viewer: Viewer) -> None:
    """Oracle: sizes, and a picture from the new place; looking aside is undone."""
    viewer.connect(browser := Browser())
    before = browser.wait_for(2)
    browser.camera.position = np.array([0.0, 0.3, 1.4])
    browser.camera.look_at = np.array([0.2, 0.0, 0.0])
    browser.moved(None)
    after = browser.wait_for(4)
    assert [len(picture) for picture in browser.pictures] == [64, 128] * 2
    assert not close_to(before, after)
    assert not browser.camera.look_at.any()


@pytest.mark.parametrize(("show", "background"), [("rgb", "white"), ("depth", "env"), ("normal", "env")])
def test_knobs_choose_what_is_seen(viewer: Viewer, show: str, background: str) -> None:
    """Oracle: the panels that videos have."""
    viewer.connect(browser := Browser())
    browser.wait_for(2)
    viewer.show.value, viewer.background.value = show, background
    wanted = expected(viewer, 20, 128, show, background)
    assert not close_to(browser.pictures[1], wanted)
    until(lambda: close_to(browser.pictures[-1], wanted))


def test_the_slider_goes_back_in_steps(viewer: Viewer) -> None:
    """Oracle: the grey ball of step 10; a value between checkpoints shows the one before."""
    assert (viewer.step.min, viewer.step.max, viewer.step.value) == (10, 20, 20)
    camera = orbit(1, 15.0, 1.45, 45.0, 16)._replace(width=24)
    for value, step in ((10, 10), (14, 10), (20, 20)):
        viewer.step.value = value
        assert close_to(viewer.picture(camera), expected(viewer, step, 16))
    assert not close_to(expected(viewer, 10, 16), expected(viewer, 20, 16))


def test_a_run_that_goes_on_is_followed(viewer: Viewer) -> None:
    """Oracle: a new checkpoint takes the slider along if it stood at the newest, and not if it did not."""
    kept = (viewer.folder / CHECKPOINTS / "step-00000010.safetensors").read_bytes()
    ball_run(viewer.folder, 30)  # runs keep two: step 10 is gone
    viewer.poll()
    assert (viewer.step.min, viewer.step.max, viewer.step.value) == (20, 30, 30)
    (viewer.folder / CHECKPOINTS / "step-00000010.safetensors").write_bytes(kept)
    viewer.poll()
    viewer.step.value = 20
    ball_run(viewer.folder, 40)
    (viewer.folder / CHECKPOINTS / "step-00000010.safetensors").write_bytes(kept)
    viewer.poll()
    assert (viewer.step.min, viewer.step.max, viewer.step.value) == (10, 40, 20)


def test_a_first_checkpoint_is_followed_by_the_second(tmp_path: Path) -> None:
    """Oracle: the slider stands at the only step, and goes on with the run."""
    ball_run(tmp_path, 10)
    made = Viewer(ViewConfig(str(tmp_path), port=18_080))
    try:
        assert made.step.value == 10
        ball_run(tmp_path, 20)
        made.poll()
        assert (made.step.min, made.step.max, made.step.value) == (10, 20, 20)
    finally:
        made.close()


def test_a_checkpoint_that_breaks_is_told_and_not_fatal(viewer: Viewer) -> None:
    """Oracle: the sentence on the page, and pictures again once there is something to show."""
    viewer.connect(browser := Browser())
    browser.wait_for(2)
    path = viewer.folder / CHECKPOINTS / "step-00000010.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    viewer.step.value = 10
    until(lambda: "no whole checkpoint of step 10" in viewer.told.value)
    path.write_bytes(whole)
    count = len(browser.pictures)
    viewer.refresh()
    browser.wait_for(count + 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "run is missing"),
        (["run=nowhere"], "run=nowhere holds no checkpoint"),
        (["run=x", "port=0"], "port=0 is out of range"),
        (["run=x", "size=10"], "size=10 is out of range: choose 64 to 2048"),
    ],
)
def test_bad_arguments_are_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """Oracle: exit code 2 and the setting's name."""
    assert view.main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the package's name and the extra that brings it."""
    ball_run(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(UserError, match=r"viser.*\.\[view\]"):
        Viewer(ViewConfig(str(tmp_path)))


@pytest.mark.browser
def test_chromium_shows_the_ball(viewer: Viewer, tmp_path: Path) -> None:
    """Oracle: the page's own pixels: a white background, and the ball's picture in the middle."""
    from websockets.sync.client import connect

    viewer.show.value, viewer.background.value = "opacity", "env"
    flags = ["--headless", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
    flags += ["--enable-unsafe-swiftshader", "--disable-background-networking", "--remote-debugging-port=0"]
    profile = tmp_path / "profile"
    url = f"http://127.0.0.1:{viewer.server.get_port()}"
    command = ["chromium", *flags, "--window-size=900,600", f"--user-data-dir={profile}", url]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: "128 pixels" in viewer.told.value)
        time.sleep(5)  # the page draws what it was sent
        port = (profile / "DevToolsActivePort").read_text().splitlines()[0]
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (page,) = [each for each in json.load(answer) if each["type"] == "page"]
        with connect(page["webSocketDebuggerUrl"], max_size=None) as tools:
            tools.send(json.dumps({"id": 1, "method": "Page.captureScreenshot"}))
            shot = json.loads(tools.recv(timeout=PATIENCE_SECONDS))["result"]["data"]
    finally:
        browser.terminate()
        browser.wait()
    (tmp_path / "page.png").write_bytes(base64.b64decode(shot))  # to look at
    with Image.open(tmp_path / "page.png") as picture:
        seen = np.asarray(picture.convert("L")) / 255
    height, width = seen.shape
    # The ball's radius is 0.3 at a distance of 1.45, and half the page's height is the tangent of 22.5°.
    radius = 0.3 / math.sqrt(1.45**2 - 0.3**2) / math.tan(math.radians(22.5)) * height / 2
    row, column = np.indices(seen.shape)
    away = np.hypot(row - height / 2, column - width / 2)
    free = (column > width * 0.35) & (column < width * 0.62)  # of the page's own boxes
    assert seen[(away < 0.85 * radius) & free].min() > 0.9
    assert seen[(away > 1.15 * radius) & free].max() < 0.1
