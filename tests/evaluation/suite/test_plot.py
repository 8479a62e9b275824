"""A suite's plot: the record's own numbers, as a table, a CSV and a picture."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.evaluation.suite.plot import MARK, differences, main, measured, table

INTERVAL = {"mean": 0.5, "low": 0.4, "high": 0.625, "runs": 6}
ALONE = {"mean": 1.25, "low": None, "high": None, "runs": 1}
RECORD = {
    "methods": ["NFSD 7.5", "SDS 100"],
    "means": {
        "geometry.iou_share": {"NFSD 7.5": INTERVAL, "SDS 100": INTERVAL | {"mean": 0.6}},
        "looks.spectrum_detail": {"SDS 100": ALONE},
        "judge.similarity": {"SDS 100": ALONE},  # is not shown
    },
    "differences": {
        "geometry.iou_share": {"SDS 100 - NFSD 7.5": {"mean": 0.1, "low": 0.05, "high": 0.2, "runs": 6}},
        "looks.spectrum_detail": {},
    },
}


def test_the_table_says_what_the_record_says() -> None:
    """Oracle: written by hand: per cent as per cent, a sign where 0 is best, no interval of one run."""
    assert table(measured(RECORD), ["NFSD 7.5", "SDS 100"]) == (
        f"| {MARK} | silhouette IoU, share of ceiling (%) ↑ | fine detail beside samples (dB) → 0 |\n"
        "|---|---:|---:|\n"
        "| NFSD 7.5 | 50 [40, 62] | – |\n"
        "| SDS 100 | 60 [40, 62] | +1.25 |\n"
    )


def test_differences_from_the_first_method() -> None:
    """Oracle: written by hand: a sign, bold where the interval leaves out 0; one method differs from none."""
    text = differences(RECORD, list(measured(RECORD)))
    assert text.splitlines()[-1] == "| SDS 100 − NFSD 7.5 | **+10** [+5, +20] | – |"
    assert differences(RECORD | {"methods": ["NFSD 7.5"]}, list(measured(RECORD))) == ""


def test_a_page_of_someone_s_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2, the file as before; a table of ours is replaced."""
    (tmp_path / "suite.json").write_text(json.dumps(RECORD))
    (tmp_path / "toybench.md").write_text("# By hand")
    said = [f"suite={tmp_path / 'suite.json'}", f"out={tmp_path / 'toybench'}"]
    assert main(said) == 2
    assert "toybench.md, which this command did not write" in capsys.readouterr().err
    assert (tmp_path / "toybench.md").read_text() == "# By hand"
    (tmp_path / "toybench.md").unlink()
    assert main(said) == main(said) == 0


def test_a_record_becomes_three_files(tmp_path: Path) -> None:
    """Oracle: the CSV reads back as the record; both methods' colours are in the picture, a third not."""
    (tmp_path / "suite.json").write_text(json.dumps(RECORD))
    assert main([f"suite={tmp_path / 'suite.json'}"]) == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "plot.csv").read_text("utf-8"))))
    assert [(row["figure"], row["method"], float(row["mean"]), row["low"]) for row in rows] == [
        ("geometry.iou_share", "NFSD 7.5", 0.5, "0.4"),
        ("geometry.iou_share", "SDS 100", 0.6, "0.4"),
        ("looks.spectrum_detail", "SDS 100", 1.25, ""),
    ]
    said = table(measured(RECORD), RECORD["methods"]) + differences(RECORD, list(measured(RECORD)))
    assert (tmp_path / "plot.md").read_text("utf-8") == said
    with Image.open(tmp_path / "plot.png") as picture:
        pixels = np.array(picture.convert("RGB")).astype(int)

    def shown(*color: int) -> bool:
        return bool((np.abs(pixels - color).max(-1) <= 8).any())

    assert shown(0x00, 0x72, 0xB2)
    assert shown(0xD5, 0x5E, 0x00)
    assert not shown(0x00, 0x9E, 0x73)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ([], "suite is missing: name"),
        (["suite=no.json"], "no.json is no suite's record"),
        (["suite=empty.json"], "empty.json has none of the figures"),
        (["suit=x"], "suit=x"),
    ],
)
def test_a_slip_is_one_sentence(
    said: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Oracle: exit code 2 and the sentence."""
    monkeypatch.chdir(tmp_path)
    Path("empty.json").write_text(json.dumps(RECORD | {"means": {}}))
    assert main(said) == 2
    assert sentence in capsys.readouterr().err
