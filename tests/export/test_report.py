"""The report's page: whole in itself, every run in its place, and nothing in a text can break it."""

import base64
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.export.report import main, report
from src.export.sheet import SIDES, TILE
from src.sweeps import runs as sweep
from src.sweeps.table import table
from tests.small_sweeps import SIZE, VIEWS, color, make_run

PROMPT = 'a "red" <b>cube</b> & </script><script>alert(1)</script>'


class Page(HTMLParser):
    """What a browser would see of a page: tags with their attributes, texts by the tag around them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and data.strip():
            self.texts.append((self.tags[-1][0], " ".join(data.split())))

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [
            found
            for name, found in self.tags
            if name == tag and all(found.get(key.strip("_")) == value for key, value in wanted.items())
        ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two losses and two seeds; SDS with seed 1 has no turntable.webp."""
    folder = tmp_path_factory.mktemp("sweep")
    for loss in ("nfsd", "sds"):
        for seed in ("0", "1"):
            late = (loss, seed) == ("sds", "1")
            facts = {"finished": False, "step": 1} if late else {}
            make_run(folder, f"loss={loss}", f"seed={seed}", prompt=PROMPT, turns=not late, **facts)
    sweep.remember(folder, "python -m src.train -m …", {"job 4 (seed=-1)": "seed=-1 is <out> of range"})
    assert main([f"sweep={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_the_page_needs_nothing_else(folder: Path, page: Page) -> None:
    """Oracle: no address but data: in any tag, no @import or url() in the style, and a policy that forbids
    more.
    """
    html = (folder / "index.html").read_text(encoding="utf-8")
    addresses = [value for _, found in page.tags for key, value in found.items() if key in ("src", "href")]
    assert addresses
    assert all(str(address).startswith("data:image/webp;base64,") for address in addresses)
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest", html)
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:;")


def test_every_run_turns_in_colour_depth_and_opacity(page: Page) -> None:
    """Oracle: three strips of eight frames for each of three runs, and the fourth says why it has none."""
    assert len(page.all("button", class_="run")) == 4
    assert [text for _, text in page.texts].count("no turntable.webp") == 1
    for number, kind in enumerate(("colour", "depth", "opacity")):
        images = page.all("img", class_=kind)
        assert len(images) == 3
        for image in images:
            data = base64.b64decode(str(image["src"]).partition(",")[2])
            with Image.open(BytesIO(data)) as strip:
                assert strip.size == (VIEWS * SIZE, SIZE)
                pixel = np.asarray(strip.convert("RGB")).astype(int)[SIZE // 2, 3 * SIZE + SIZE // 2]
            assert abs(pixel - color(3, number)).max() <= 6


def test_runs_stand_in_rows_and_columns(page: Page) -> None:
    """Oracle: losses down, seeds across, in that order; each button is named by what sets it apart."""
    headings = [text for tag, text in page.texts if tag == "span"]
    assert [text for text in headings if text in ("nfsd", "sds", "seed 0", "seed 1")] == [
        *("seed 0", "seed 1", "nfsd", "sds")
    ]
    labels = [found["aria-label"] for found in page.all("button", class_="run")]
    assert labels == ["nfsd · seed 0", "nfsd · seed 1", "sds · seed 0", "sds · seed 1"]


def test_only_settings_that_differ_are_in_the_table(folder: Path, page: Page) -> None:
    """Oracle: the sweep's own table; the prompt, the same everywhere, is no column."""
    columns = [column for column in table(sweep.read_runs(folder)) if column.to_read]
    titles = [column.title for column in columns]
    assert "prompt" not in titles
    assert [text for tag, text in page.texts if tag == "button" and text in titles] == titles
    cells = [text for tag, text in page.texts if tag == "td"]
    assert cells == [text for row in zip(*(c.texts() for c in columns), strict=True) for text in row]


def test_sorting_goes_by_values_and_not_by_what_is_written(folder: Path, page: Page) -> None:
    """Oracle: the raw values of the seconds, 3.5 and not 4; nothing where there is none."""
    assert len(page.all("td", **{"data-value": "3.5"})) == 4
    assert len(page.all("td", **{"data-value": ""})) == 2 * 2  # SDS has no cut and no weight below it


def test_draws_and_failures_are_told(page: Page) -> None:
    """Oracle: agreement of two seeds' draws, and the failed job's own words."""
    told = [text for tag, text in page.texts if tag == "li"]
    assert sum("2 runs drew the same random numbers in each of 3 steps" in text for text in told) == 2
    assert "job 4 (seed=-1) failed: seed=-1 is <out> of range" in told
    assert len(page.all("li", class_="agree")) == 2


def test_no_text_becomes_markup(page: Page) -> None:
    """Oracle: one script and no bold of the prompt's; it is read back as it was typed."""
    assert len(page.all("script")) == 1
    assert not page.all("b")
    assert any(" ".join(PROMPT.split()) in text for _, text in page.texts)


def test_one_axis_has_its_headings(tmp_path: Path) -> None:
    """Oracle: seeds down, named at the side; unnamed they follow each other and are named below."""
    for seed in ("0", "1"):
        make_run(tmp_path, f"seed={seed}")
    for rows, tag in (("seed", "side"), (None, "caption")):
        report(tmp_path, rows)
        page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
        assert len(page.all("span", class_=tag)) == 2
        assert [text for kind, text in page.texts if "seed" in text and kind == "span"] == [
            "seed 0",
            "seed 1",
        ]


def test_draws_that_differ_are_marked(tmp_path: Path) -> None:
    """Oracle: one seed, two last steps that do not agree."""
    for loss, last in (("nfsd", "c"), ("sds", "d")):
        make_run(tmp_path, f"loss={loss}", draws=("a", "b", last))
    report(tmp_path)
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert len(page.all("li", class_="differ")) == 1
    assert not page.all("li", class_="agree")


def test_the_sheet_has_four_sides_of_every_run(folder: Path) -> None:
    """Oracle: two columns of four tiles and two rows; the tiles' colours are views 0, 2, 4 and 6 of 8."""
    with Image.open(folder / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > 2 * SIDES * TILE
    for view in range(0, VIEWS, VIEWS // SIDES):
        same = (abs(pixels - color(view, 0)).max(-1) <= 2).sum()
        assert same == 3 * TILE * TILE
    assert (pixels[:, -1] == 255).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "sweep is missing: name a folder of runs, as in sweep=outputs/NAME"),
        (["sweep=nowhere"], "sweep=nowhere is no folder"),
        (["sweep=FOLDER", "rows=prompt"], "rows=prompt is no setting in which these runs differ"),
        (
            ["sweep=FOLDER", "size=3"],
            "size=3: no such setting; write name=value with one of",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """Oracle: exit code 2, one line on stderr."""
    assert main([argument.replace("FOLDER", str(folder)) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(sentence)
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["index.html", "sheet.png", "sweep.md", "sweep.csv"])
def test_what_somebody_else_wrote_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Oracle: exit code 2, the file in the way named and as it was; moved away, the report is made, twice."""
    make_run(tmp_path)
    (tmp_path / name).write_text("mine")
    assert main([f"sweep={tmp_path}"]) == 2
    assert f"holds {name}, which this command did not write" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "mine"
    (tmp_path / name).unlink()
    assert [main([f"sweep={tmp_path}"]) for _ in range(2)] == [0, 0]
