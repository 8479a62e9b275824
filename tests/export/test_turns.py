"""Strips and the grid: every frame where the clock looks for it, every run where its settings say."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.errors import UserError
from src.export.turns import arrange, read_turn, spoken, strip, views_of
from src.sweeps.runs import Run, read_runs
from tests.small_sweeps import SIZE, VIEWS, color, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two losses, two scales, two seeds; only SDS at 7.5 has seed 1, and no turntable there."""
    folder = tmp_path_factory.mktemp("sweep")
    for loss, scale, seed in (("nfsd", 7.5, 0), ("nfsd", 100, 0), ("sds", 7.5, 0), ("sds", 100, 0)):
        make_run(folder, f"loss={loss}", f"loss.guidance_scale={scale}", f"seed={seed}")
    make_run(folder, "loss=sds", "loss.guidance_scale=7.5", "seed=1", turns=False)
    return read_runs(folder)


def of(run: Run) -> tuple[object, ...]:
    return tuple(run.settings[name] for name in ("loss", "loss.guidance_scale", "seed"))


def test_runs_stand_by_loss_and_scale_unless_told_otherwise(runs: list[Run]) -> None:
    """Oracle: by hand; numbers by size and not as texts, seeds within a cell."""
    grid = arrange(runs, None, None)
    assert (grid.rows, grid.columns, grid.within) == ("loss", "loss.guidance_scale", ["seed"])
    assert (grid.row_values, grid.column_values) == (["nfsd", "sds"], [7.5, 100.0])
    assert [of(runs[i]) for i in grid.cells["sds", 7.5]] == [("sds", 7.5, 0), ("sds", 7.5, 1)]
    assert sorted(i for cell in grid.cells.values() for i in cell) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ("seed", None, ("seed", "loss", ["loss.guidance_scale"])),
        (None, "seed", ("loss", "seed", ["loss.guidance_scale"])),
        ("loss.guidance_scale", "seed", ("loss.guidance_scale", "seed", ["loss"])),
        ("loss.cut", None, ("loss.cut", "loss.guidance_scale", ["seed"])),
    ],
)
def test_axes_can_be_chosen(
    runs: list[Run], rows: str | None, columns: str | None, expected: tuple[str, str, list[str]]
) -> None:
    """Oracle: what is named is kept, the other axis is the next that tells runs apart, the rest is within."""
    grid = arrange(runs, rows, columns)
    assert (grid.rows, grid.columns, grid.within) == expected


def test_one_setting_makes_no_grid(runs: list[Run]) -> None:
    """Oracle: losses alone stand in one cell, in order, labelled by the loss."""
    some = [run for run in runs if of(run)[1:] == (7.5, 0)]
    grid = arrange(some, None, None)
    assert (grid.rows, grid.columns, grid.within) == (None, None, ["loss"])
    assert [spoken(some[i], grid.within) for i in grid.cells[None, None]] == ["nfsd", "sds"]
    assert grid.is_flow
    assert arrange(some[:1], None, None).cells == {(None, None): [0]}
    down = arrange(some, "loss", None)
    assert (down.rows, down.columns, down.row_values, down.within) == ("loss", None, ["nfsd", "sds"], [])
    assert not down.is_flow


@pytest.mark.parametrize(
    ("rows", "columns", "sentence"),
    [
        ("steps", None, "rows=steps is no setting in which these runs differ: choose from seed, loss, "),
        (None, "los", "cols=los is no setting in which these runs differ"),
        ("loss", "loss", "rows=loss and cols=loss are the same"),
    ],
)
def test_axes_that_cannot_be(runs: list[Run], rows: str | None, columns: str | None, sentence: str) -> None:
    """Oracle: the sentence names the axis and what there is."""
    with pytest.raises(UserError, match=sentence):
        arrange(runs, rows, columns)


def test_labels_speak_the_field_s_terms(runs: list[Run]) -> None:
    """Oracle: by hand; what a run does not have is a dash."""
    sds = next(run for run in runs if of(run) == ("sds", 100, 0))
    names = ["prompt", "loss", "loss.guidance_scale", "loss.cut", "seed"]
    assert spoken(sds, names) == "a red cube · sds · guidance scale 100 · cut – · seed 0"


@pytest.mark.parametrize("frames", [VIEWS, 4])
def test_a_strip_has_every_angle_in_its_place(runs: list[Run], frames: int) -> None:
    """Oracle: the colours that the turntable was painted with; WebP may be 6 of 255 off."""
    turn = read_turn(runs[0].folder)
    for number, name in enumerate(("colour", "depth", "opacity")):
        with Image.open(BytesIO(strip(turn, name, frames))) as whole:
            pixels = np.asarray(whole.convert("RGB")).astype(int)
        assert pixels.shape == (SIZE, frames * SIZE, 3)
        for frame in range(frames):
            middle = pixels[SIZE // 2, frame * SIZE + SIZE // 2]
            assert abs(middle - color(frame * VIEWS // frames, number)).max() <= 6


def test_large_turntables_become_small_strips(runs: list[Run]) -> None:
    """Oracle: 160 pixels at most, whatever the run's own size."""
    turn = [frame.resize((3 * 512, 512)) for frame in read_turn(runs[0].folder)]
    with Image.open(BytesIO(strip(turn, "colour", 4))) as whole:
        assert whole.size == (4 * 160, 160)


def test_a_run_without_a_turntable_has_no_views(runs: list[Run]) -> None:
    """Oracle: one of the five has none."""
    assert sorted(views_of(run.folder) for run in runs) == [0, *[VIEWS] * 4]


def test_a_turntable_that_is_none_is_named(tmp_path: Path) -> None:
    """Oracle: the sentence names the file and how to make it anew; broken, or without three panels."""
    folder = make_run(tmp_path, turns=False)
    path = folder / "turntable.webp"
    path.write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"turntable\.webp cannot be read: write it anew with python"):
        read_turn(folder)
    Image.new("RGB", (25, 12)).save(path)
    with pytest.raises(UserError, match="does not hold colour, depth, opacity side by side"):
        read_turn(folder)
