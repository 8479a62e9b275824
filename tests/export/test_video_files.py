"""One file anywhere, by its ending: films that start at once, pictures without a background, other shapes."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from src.config import VideoConfig
from src.errors import UserError
from src.export import video
from src.export.panels import panels
from src.model import load_run
from src.scene.cameras import orbit
from src.train import train
from tests.export.scenes import CPU, ball_run
from tests.runs import tiny


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ball, seen by four views of 16 pixels."""
    folder = tmp_path_factory.mktemp("ball")
    ball_run(folder, 1)
    return folder


def test_a_film_starts_while_it_loads(ball: Path, tmp_path: Path) -> None:
    """Oracle: ISO 14496-12's boxes, read by hand: moov (the index) stands before mdat (the pictures)."""
    out = tmp_path / "films" / "a film.mp4"
    assert video.main([f"run={ball}", f"out={out}", "views=3"]) == 0
    content, at, boxes = out.read_bytes(), 0, []
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        boxes.append(content[at + 4 : at + 8])
        at += size
    assert boxes.index(b"moov") < boxes.index(b"mdat")
    assert [path.name for path in out.parent.iterdir()] == ["a film.mp4"]


def test_frames_without_a_background_composite_to_what_is_seen(ball: Path, tmp_path: Path) -> None:
    """Oracle: straight alpha over white is the picture before white, to within two roundings."""
    assert video.main([f"run={ball}", f"out={tmp_path / 'f.png'}", "show=rgb", "background=transparent"]) == 0
    cfg, model, _ = load_run(ball, CPU)
    ring = orbit(4, cfg.video.elevation_degrees, cfg.video.distance, cfg.video.fov_degrees, 16)
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [f"f-{number:04d}.png" for number in range(4)]
    for view, path in enumerate(files):
        with Image.open(path) as picture:
            assert picture.mode == "RGBA"
            pixels = np.asarray(picture).astype(float) / 255
        assert pixels[..., 3].min() == 0  # around the ball there is nothing
        assert pixels[..., 3].max() > 0.9
        over = pixels[..., :3] * pixels[..., 3:] + 1 - pixels[..., 3:]
        (white,) = panels(cfg, model, ring.one(view), ["rgb"], ["white"])
        assert np.abs(over * 255 - white).max() <= 2


def test_a_transparent_webp_keeps_its_alpha(ball: Path, tmp_path: Path) -> None:
    """Oracle: Pillow's own reading; colour beside depth, which is opaque."""
    arguments = ["show=rgb,depth", "background=transparent", "size=24,16", f"out={tmp_path / 'a.webp'}"]
    assert video.main([f"run={ball}", *arguments]) == 0
    with Image.open(tmp_path / "a.webp") as animation:
        assert (animation.size, animation.n_frames, animation.mode) == ((48, 16), 4, "RGBA")
        alpha = np.asarray(animation)[..., 3]
    assert alpha[:, :24].min() == 0
    assert alpha[:, 24:].min() == 255


def test_a_film_of_nothing_is_refused_and_left_out(
    ball: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: h264 has no alpha: a sentence where it is asked for, and no mp4 among the usual files."""
    shutil.copytree(ball, tmp_path / "run")
    assert video.main([f"run={ball}", f"out={tmp_path / 'a.mp4'}", "background=transparent"]) == 2
    assert "a film has no transparency: choose .webp or .png" in capsys.readouterr().err
    assert video.main([f"run={tmp_path / 'run'}", "background=transparent"]) == 0
    made = {path.name for path in (tmp_path / "run").iterdir() if path.is_file()}
    assert made == {"turntable-transparent.webp", "sheet.png"}


def test_other_shapes_show_the_same_height(ball: Path, tmp_path: Path) -> None:
    """Oracle: the field of view is the vertical one: the middle of a wider picture is the square one."""
    cfg, model, _ = load_run(ball, CPU)
    square, wide = VideoConfig(size=16), VideoConfig(size="32,16")
    cfg.video.size = 16
    (one,) = panels(cfg, model, video.cameras(square).one(0), ["rgb"], ["white"])
    (other,) = panels(cfg, model, video.cameras(wide).one(0), ["rgb"], ["white"])
    assert other.shape == (16, 32, 3)
    assert np.array_equal(other[:, 8:24], one)
    assert video.main([f"run={ball}", "size=32,18", "views=2", f"out={tmp_path / 'a.mp4'}"]) == 0
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(tmp_path / "a.mp4")], capture_output=True, text=True
    ).stderr
    assert re.search(r" 96x18[, ]", told)


def test_a_run_on_read_only_storage_is_exported_elsewhere(ball: Path, tmp_path: Path) -> None:
    """Oracle: nothing in the run's folder changes, a broken newest checkpoint included."""
    shutil.copytree(ball, tmp_path / "run")
    (tmp_path / "run/checkpoints/step-00000002.safetensors").write_bytes(b"broken")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert video.main([f"run={tmp_path / 'run'}", f"out={tmp_path / 'a.webp'}", "views=1"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


@pytest.mark.parametrize(
    ("size", "show"),
    [("4", ["rgb"]), ("640,", ["rgb"]), ("1,2,3", ["rgb"]), ("-8", ["rgb"]), ("x", ["rgb"])],
)
def test_sizes_that_are_none_are_named(size: str, show: list[str]) -> None:
    """Oracle: the sentence says what a size is."""
    with pytest.raises(UserError, match=rf"^video.size={size} is out of range: choose 8 to 4096"):
        VideoConfig(size=size, show=show)


def test_what_no_webp_holds_is_said_before_step_0() -> None:
    """Oracle: libwebp's 16383 pixels: four pictures of 4095 fit, of 4096 they do not."""
    four = ["rgb", "depth", "normal", "opacity"]
    VideoConfig(size=4095, show=four)
    with pytest.raises(UserError, match=r"4 pictures of 4096 pixels .* more than the 16383"):
        VideoConfig(size=4096, show=four)


@pytest.mark.parametrize("argument", ["video.path=nosuch.yaml", "video.path=~/nosuch.yaml"])
def test_a_path_that_is_not_there_is_said_before_step_0(tmp_path: Path, argument: str) -> None:
    """Oracle: a sentence, and no step taken."""
    with pytest.raises(UserError, match=r"^video\.path=.*nosuch\.yaml cannot be read"):
        train(tiny(tmp_path / "run", argument))
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_previews_take_no_notice_of_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a cloud drive's copy is left alone, a damaged row is named and left out."""
    rows = tmp_path / "previews"
    for step in (0, 10):
        video.save_preview(tmp_path, step, np.full((2, 8, 3), step, dtype=np.uint8))
    (rows / "step-00000010 (1).png").write_text("a copy")
    (rows / "step-00000010.png").write_bytes((rows / "step-00000010.png").read_bytes()[:40])
    video.save_preview(tmp_path, 20, np.full((2, 8, 3), 20, dtype=np.uint8))
    with Image.open(tmp_path / "previews.png") as grid:
        assert np.asarray(grid)[:, 0, 0].tolist() == [0, 0, 20, 20]
    assert (rows / "step-00000010 (1).png").read_text() == "a copy"
    assert "step-00000010.png is damaged and left out" in capsys.readouterr().err
