"""What a folder of runs says: which settings differ and which decide others, its table, and its draws."""

import csv
import json
from pathlib import Path

import pytest

from src import sweep
from src.errors import UserError
from tests.sweeps import make_run


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two losses, two scales, two seeds; SDS at 100, seed 1, is missing and NFSD at 7.5, seed 1, stopped."""
    folder = tmp_path_factory.mktemp("grid")
    for loss in ("nfsd", "sds"):
        for scale in ("7.5", "100"):
            for seed in ("0", "1"):
                if (loss, scale, seed) != ("sds", "100", "1"):
                    stopped = (loss, scale, seed) == ("nfsd", "7.5", "1")
                    arguments = (f"loss={loss}", f"loss.guidance_scale={scale}", f"seed={seed}")
                    facts = {"finished": False, "step": 2} if stopped else {}
                    draws = ("a", "b") if stopped else (f"a{seed}", "b", "c")
                    make_run(folder, *arguments, draws=draws, **facts)
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


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


def test_the_table_holds_settings_cost_and_state(grid: Path) -> None:
    """Oracle: by hand: 1 + 2.5 seconds; 2.5 passes a sample, 3 steps of 2 views; who stopped, and where."""
    sweep.write_table(grid, sweep.read_runs(grid))
    rows = rows_of(grid)
    assert len(rows) == 7
    (stopped,) = [row for row in rows if row["state"] != "finished"]
    assert (stopped["loss"], stopped["loss.guidance_scale"], stopped["seed"]) == ("nfsd", "7.5", "1")
    assert (stopped["state"], stopped["steps done"], stopped["UNet passes"]) == ("step 2 of 3", "2", "10")
    done = rows[-1]
    assert (done["seconds"], done["UNet passes"], done["opacity"]) == ("3.5", "15", "0.25")
    assert (done["loss"], done["loss.cut"]) == ("sds", "")
    assert (grid / done["run"]).is_dir()


def test_the_table_to_read_says_the_same(grid: Path) -> None:
    """Oracle: the last run's cells, written by hand; as many cells in every line; command and failures."""
    sweep.remember(grid, "python -m src.train -m …", {"job 3 (seed=-1)": "seed=-1 is out of range"})
    path = sweep.write_table(grid, sweep.read_runs(grid))
    lines = path.read_text().splitlines()
    assert lines[0] == f"# {grid.name}"
    assert "`python -m src.train -m …`" in lines
    assert "- job 3 (seed=-1): seed=-1 is out of range" in lines
    body = [line for line in lines if line.startswith("|")]
    assert len(body) == 2 + 7
    assert body[-1].startswith(
        "| 1 | sds | 7.5 | – | – | finished | 3 | 4 | 15 | 2.50 | 0.25 | a-red-cube-sds-"
    )
    assert all(line.count("|") == body[0].count("|") for line in body)
    assert sweep.remembered(grid) == (
        "python -m src.train -m …",
        {"job 3 (seed=-1)": "seed=-1 is out of range"},
    )


def test_texts_cannot_break_the_table(tmp_path: Path) -> None:
    """Oracle: the prompt, read back from the csv; as many cells in every line of the Markdown."""
    for prompt in ('a "lion", or\n| a tiger', "a cube"):
        make_run(tmp_path, prompt=prompt, turns=False)
    text = sweep.write_table(tmp_path, sweep.read_runs(tmp_path)).read_text()
    assert sorted(row["prompt"] for row in rows_of(tmp_path)) == ['a "lion", or\n| a tiger', "a cube"]
    lines = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 4


def test_figures_are_those_of_the_run_as_it_is(tmp_path: Path) -> None:
    """Oracle: an evaluation of these parameters is shown, one of earlier parameters is not."""
    for seed, parameters in ((0, "f00d"), (1, "older")):
        folder = make_run(tmp_path, f"seed={seed}", turns=False)
        figures = {"geometry": {"iou_share": 0.875}, "failures": {"fog": True, "empty": False}}
        made_with = {"version": 1, "parameters_sha256": parameters}
        (folder / "evaluation.json").write_text(json.dumps({"figures": figures, "made_with": made_with}))
    text = sweep.write_table(tmp_path, sweep.read_runs(tmp_path)).read_text()
    first, second = rows_of(tmp_path)
    assert (first["silhouette IoU, share of ceiling"], first["failures"]) == ("0.875", "fog")
    assert (second["silhouette IoU, share of ceiling"], second["failures"]) == ("", "")
    assert "| 88% | fog |" in text


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


def test_equal_digests_mean_equal_draws(tmp_path: Path) -> None:
    """Oracle: the csv's digest of a run: equal for equal draws, another for another last step."""
    for loss, last in (("sds", "c"), ("csd", "c"), ("nfsd", "d")):
        make_run(tmp_path, f"loss={loss}", draws=("a", "b", last), turns=False)
    sweep.write_table(tmp_path, sweep.read_runs(tmp_path))
    digests = {row["loss"]: row["draws"] for row in rows_of(tmp_path)}
    assert digests["sds"] == digests["csd"] != digests["nfsd"]


def test_one_run_differs_in_nothing(tmp_path: Path) -> None:
    """Oracle: a table without settings, and nothing to compare."""
    make_run(tmp_path, turns=False)
    text = sweep.write_table(tmp_path, sweep.read_runs(tmp_path)).read_text()
    assert "| state | steps done |" in text
    assert "one run, nothing to compare" in text


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    """Oracle: the sentence names the folder and what to name instead."""
    with pytest.raises(UserError, match=r"sweep=.*nowhere is no folder: name a sweep's"):
        sweep.read_runs(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no run: name the folder that holds the runs' folders"):
        sweep.read_runs(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("- no settings")
    with pytest.raises(UserError, match=r"config\.yaml cannot be read: delete this run"):
        sweep.read_runs(tmp_path)
