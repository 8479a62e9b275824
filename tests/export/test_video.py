"""Turntable and sheet: the files play, have the right size, and form a loop without a doubled frame."""

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from src.config import RunConfig
from src.export import video
from src.model import Model, build
from src.train import train
from tests.runs import tiny

VIEWS, SIZE = 5, 9


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Model, Path]:
    folder = tmp_path_factory.mktemp("run")
    cfg = tiny(folder, f"video.views={VIEWS}", f"video.size={SIZE}", "steps=2")
    train(cfg)
    return cfg, build(cfg, torch.device("cpu")), folder


def test_the_mp4_is_what_players_expect(run: tuple[RunConfig, Model, Path]) -> None:
    """Oracle: ffmpeg's own reading: h264, yuv420p, 30 fps, all frames, sizes rounded up to even."""
    path = str(run[2] / "turntable.mp4")
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path], capture_output=True, text=True
    ).stderr
    assert re.search(rf"Video: h264 .*yuv420p.* {3 * SIZE + 1}x{SIZE + 1}[, ].* 30 fps", said)
    assert imageio_ffmpeg.count_frames_and_secs(path)[0] == VIEWS


def test_the_webp_loops_forever(run: tuple[RunConfig, Model, Path]) -> None:
    """Oracle: Pillow's own reading."""
    with Image.open(run[2] / "turntable.webp") as animation:
        assert (animation.n_frames, animation.info["loop"], animation.size) == (VIEWS, 0, (3 * SIZE, SIZE))


def test_the_sheet_has_six_rows_of_eight(run: tuple[RunConfig, Model, Path]) -> None:
    """Oracle: two elevations of colour, depth and opacity, eight azimuths."""
    with Image.open(run[2] / "sheet.png") as sheet:
        assert sheet.size == (8 * SIZE, 6 * SIZE)


def test_no_temporary_file_stays(run: tuple[RunConfig, Model, Path]) -> None:
    """Oracle: the folder's listing."""
    assert not [path for path in run[2].rglob("*") if ".part" in path.name]


def test_no_frame_is_doubled(run: tuple[RunConfig, Model, Path]) -> None:
    """Oracle: all frames of one turn differ from each other, the last from the first too."""
    cfg, model, _ = run
    frames = list(video.turntable(cfg, model))
    assert len(frames) == VIEWS
    assert len({frame.tobytes() for frame in frames}) == VIEWS


def test_previews_forget_what_a_resumed_run_has_not_reached(tmp_path: Path) -> None:
    """Oracle: rows of steps 0 and 5 after a resume from step 5, though step 10's file is still there."""
    for step, shade in ((0, 10), (5, 20), (10, 30), (5, 20)):
        video.save_preview(tmp_path, step, np.full((2, 8, 3), shade, dtype=np.uint8))
    grid = np.asarray(Image.open(tmp_path / "previews.png"))
    assert grid[:, 0, 0].tolist() == [10, 10, 20, 20]


def test_the_command_exports_again_with_other_sizes(
    run: tuple[RunConfig, Model, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the sizes asked for."""
    assert video.main([f"run={run[2]}", "views=3", "size=16"]) == 0
    assert "step 2" in capsys.readouterr().out
    with Image.open(run[2] / "turntable.webp") as animation:
        assert (animation.size, animation.n_frames) == ((48, 16), 3)


def test_the_command_shows_what_is_asked_for(
    run: tuple[RunConfig, Model, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: two backgrounds and three other panels side by side, under a name of their own, by a path."""
    before = (run[2] / "turntable.webp").read_bytes()
    asked = ["background=white,env", "show=rgb,depth,normal,opacity", "path=sway", "elevation=-5.5", "fps=10"]
    assert video.main([f"run={run[2]}", "views=4", "size=16", *asked]) == 0
    said = capsys.readouterr()
    name = "sway-white-env-rgb-depth-normal-opacity"
    assert f"step 2: {run[2] / name}.mp4" in said.out
    assert "4/4" in said.err  # the bar
    with Image.open(run[2] / f"{name}.webp") as animation:
        assert (animation.size, animation.n_frames) == ((5 * 16, 16), 4)
        animation.load()
        assert animation.info["duration"] == 100
    assert imageio_ffmpeg.count_frames_and_secs(str(run[2] / f"{name}.mp4"))[0] == 4
    assert (run[2] / "turntable.webp").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "run is missing"),
        (["run=nowhere"], "run=nowhere holds no checkpoint"),
        (["run={run}", "views=-1"], "video.views=-1 is out of range"),
        (["run={run}", "views=0"], "video.views=0 is out of range"),
        (["run={run}", "colour=red"], "colour is no setting of export.video"),
        (["run={run}", "elevation=up"], "elevation=up is of the wrong kind: give a number"),
        (["run={run}", "elevation=95"], "video.elevation_degrees=95.0 is out of range"),
        (["run={run}", "show=rgb,heat"], "video.show=[rgb,heat] is no choice: name each once, of rgb, depth"),
        (["run={run}", "show=rgb,rgb"], "video.show=[rgb,rgb] is no choice"),
        (["run={run}", "background="], "video.background=[] is no choice: name each once, of env, white"),
        (["run={run}", "path=spiral"], "path=spiral cannot be read"),
    ],
)
def test_bad_arguments_are_one_sentence(
    run: tuple[RunConfig, Model, Path],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    """Oracle: exit code 2 and the setting's name."""
    assert video.main([argument.format(run=run[2]) for argument in arguments]) == 2
    assert sentence in capsys.readouterr().err
