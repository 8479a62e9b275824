"""What a folder of runs says: which settings differ, which decide others, and whether draws agree."""

from pathlib import Path

import pytest

from src.errors import UserError
from src.sweeps import runs as sweep
from src.sweeps.table import write_table
from tests.small_sweeps import grid_of, make_run


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grid_of(tmp_path_factory.mktemp("grid"))


def test_only_what_differs_is_told(grid: Path) -> None:
    """Oracle: what was varied, and what NFSD has beside SDS; the prompt and all that is shared stay out."""
    runs = sweep.read_runs(grid)
    assert sorted(sweep.differing(runs)) == [
        *("loss", "loss.cut", "loss.guidance_scale", "loss.weight_below_cut", "seed")
    ]


def test_what_computes_or_shows_a_run_does_not_tell_it_apart(tmp_path: Path) -> None:
    """Oracle: by hand: backend, threads and sizes of pictures are no differences; the steps are one."""
    make_run(tmp_path, "render.backend=auto", "threads=2", "video.size=16", "seed=1", turns=False)
    make_run(tmp_path, "render.backend=torch", "steps=5", turns=False)
    assert sweep.differing(sweep.read_runs(tmp_path)) == ["seed", "steps"]


def test_what_follows_from_others_decides_nothing(grid: Path) -> None:
    """Oracle: NFSD's own settings follow from the loss, and the loss from them where they are given."""
    runs = sweep.read_runs(grid)
    assert sweep.independent(runs) == ["loss", "loss.guidance_scale", "seed"]
    assert sweep.independent(runs, ["loss.cut"]) == ["loss.cut", "loss.guidance_scale", "seed"]
    same_scale = [run for run in runs if run.settings["loss.guidance_scale"] == 7.5]
    assert sweep.independent(same_scale) == ["loss", "seed"]


def test_draws_are_compared_step_by_step(grid: Path, tmp_path: Path) -> None:
    """Oracle: equal digests, by hand; the first step that differs; only the steps that all runs have."""
    first, second = sweep.compare_draws(sweep.read_runs(grid))
    assert (first.seed, first.runs, first.steps, first.differ_from) == (0, 4, 3, None)
    assert "4 runs drew the same random numbers in each of 3 steps" in first.sentence()
    # Of seed 1, the stopped run has two steps and another first digest.
    assert (second.seed, second.runs, second.steps, second.differ_from) == (1, 3, 2, 0)
    make_run(tmp_path, "loss=sds", draws=("a", "b", "c"), turns=False)
    make_run(tmp_path, "loss=nfsd", draws=("a", "b", "x", "y"), turns=False)
    (found,) = sweep.compare_draws(sweep.read_runs(tmp_path))
    assert found.differ_from == 2
    assert found.sentence() == "seed 0: the draws of 2 runs differ from step 2 on"


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    """Oracle: the sentence names the folder and what to name instead."""
    with pytest.raises(UserError, match=r"sweep=.*nowhere is no folder: name a sweep's"):
        sweep.read_runs(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no run: name the folder that holds the runs' folders"):
        sweep.read_runs(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("- no settings")
    with pytest.raises(UserError, match="holds no run"):
        sweep.read_runs(tmp_path)


def test_what_is_not_ours_costs_a_sweep_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the two runs beside three folders of others, which are named; the table is written."""
    make_run(tmp_path, "seed=0", turns=False)
    damaged = make_run(tmp_path, "seed=1", turns=False)
    for name, content in (("theirs", "a: 1"), ("list", "- no settings"), ("noise", "{ \0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(content)
    (damaged / "metrics.jsonl").write_text('{"step": 0, "draws": "a"}\n{"step": 2, "draws": "c"}\n')
    runs = sweep.read_runs(tmp_path)
    assert [run.draws for run in runs] == [("a", "b", "c"), ("a",)]
    assert "| seed |" in write_table(tmp_path, runs).read_text()
    said = capsys.readouterr().err
    assert [f"{tmp_path / name} is left out" in said for name in ("theirs", "list", "noise")] == [True] * 3
    assert "metrics.jsonl is damaged from row 2 on" in said
