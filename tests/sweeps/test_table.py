"""A sweep's table: every run with its settings, cost and figures, as values and to read."""

import csv
import json
from pathlib import Path

import pytest

from src.sweeps.runs import read_runs, remember, remembered
from src.sweeps.table import write_table
from tests.small_sweeps import grid_of, make_run


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grid_of(tmp_path_factory.mktemp("grid"))


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_table_holds_settings_cost_and_state(grid: Path) -> None:
    """Oracle: by hand: 1 + 2.5 seconds; 2.5 passes a sample, 3 steps of 2 views; who stopped, and where."""
    write_table(grid, read_runs(grid))
    rows = rows_of(grid)
    assert len(rows) == 7
    (stopped,) = [row for row in rows if row["state"] != "finished"]
    assert (stopped["loss"], stopped["loss.guidance_scale"], stopped["seed"]) == ("nfsd", "7.5", "1")
    assert (stopped["state"], stopped["steps done"], stopped["UNet passes"]) == ("step 2 of 3", "2", "10")
    done = rows[-1]
    assert (done["seconds"], done["UNet passes"], done["opacity"]) == ("3.5", "15", "0.25")
    assert (done["loss"], done["loss.cut"]) == ("sds", "")
    assert (grid / done["run"]).is_dir()


def test_rows_are_sorted_as_people_count(grid: Path) -> None:
    """Oracle: losses by name, then scales by size (7.5 before 100, not so as texts), then seeds."""
    write_table(grid, read_runs(grid))
    rows = [(row["loss"], float(row["loss.guidance_scale"]), int(row["seed"])) for row in rows_of(grid)]
    assert rows == sorted(rows)
    assert len({row[1] for row in rows}) > 1


def test_the_table_to_read_says_the_same(grid: Path) -> None:
    """Oracle: the last run's cells, written by hand; as many cells in every line; command and failures."""
    remember(grid, "python -m src.train -m …", {"job 3 (seed=-1)": "seed=-1 is out of range"})
    path = write_table(grid, read_runs(grid))
    lines = path.read_text().splitlines()
    assert lines[0] == f"# {grid.name}"
    assert "`python -m src.train -m …`" in lines
    assert "- job 3 (seed=-1): seed=-1 is out of range" in lines
    body = [line for line in lines if line.startswith("|")]
    assert len(body) == 2 + 7
    assert body[-1].startswith(
        "| 0 | sds | 100.0 | – | – | finished | 3 | 4 | 15 | 2.50 | 0.25 | a-red-cube-sds-"
    )
    assert all(line.count("|") == body[0].count("|") for line in body)
    assert remembered(grid) == (
        "python -m src.train -m …",
        {"job 3 (seed=-1)": "seed=-1 is out of range"},
    )


def test_texts_cannot_break_the_table(tmp_path: Path) -> None:
    """Oracle: the prompt, read back from the csv; as many cells in every line of the Markdown."""
    for prompt in ('a "lion", or\n| a tiger', "a cube"):
        make_run(tmp_path, prompt=prompt, turns=False)
    text = write_table(tmp_path, read_runs(tmp_path)).read_text()
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
    text = write_table(tmp_path, read_runs(tmp_path)).read_text()
    first, second = rows_of(tmp_path)
    assert (first["silhouette IoU, share of ceiling"], first["failures"]) == ("0.875", "fog")
    assert (second["silhouette IoU, share of ceiling"], second["failures"]) == ("", "")
    assert "| 88% | fog |" in text


def test_equal_digests_mean_equal_draws(tmp_path: Path) -> None:
    """Oracle: the csv's digest of a run: equal for equal draws, another for another last step."""
    for loss, last in (("sds", "c"), ("csd", "c"), ("nfsd", "d")):
        make_run(tmp_path, f"loss={loss}", draws=("a", "b", last), turns=False)
    write_table(tmp_path, read_runs(tmp_path))
    digests = {row["loss"]: row["draws"] for row in rows_of(tmp_path)}
    assert digests["sds"] == digests["csd"] != digests["nfsd"]


def test_one_run_differs_in_nothing(tmp_path: Path) -> None:
    """Oracle: a table without settings, and nothing to compare."""
    make_run(tmp_path, turns=False)
    text = write_table(tmp_path, read_runs(tmp_path)).read_text()
    assert "| state | steps done |" in text
    assert "one run, nothing to compare" in text
