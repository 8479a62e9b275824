"""Tables in prose: filled from their files, and nothing else touched."""

from pathlib import Path

import pytest

from src.errors import UserError
from src.evaluation.page import filled, main

PAGE = (
    "One\n\n<!-- a/table.md -->\nold | figures\n<!-- end -->\n\ntwo\n\n<!-- b.md -->\n<!-- end -->\nthree\n"
)


def made(folder: Path) -> Path:
    (folder / "a").mkdir()
    (folder / "a" / "table.md").write_text("# its title\n\n| new |\n|---|\n\n")
    (folder / "b.md").write_text("bee\n\n<!-- whose it is -->\n")  # captions end so; it would end a place
    page = folder / "page.md"
    page.write_text(PAGE)
    return page


def test_tables_are_what_their_files_say(tmp_path: Path) -> None:
    """Oracle: the page written by hand; filling it again changes nothing."""
    page = made(tmp_path)
    expected = (
        "One\n\n<!-- a/table.md -->\n| new |\n|---|\n<!-- end -->\n\ntwo\n\n"
        "<!-- b.md -->\nbee\n<!-- end -->\nthree\n"
    )
    assert main([str(page)]) == 0
    assert page.read_text() == expected == filled(expected, tmp_path)


TABLES = (
    "| | size (dB) | fit |\n|---|---:|---:|\n| SDS 7.5 | 1.5 [1, 2] | 0.9 |\n| NFSD 7.5 | 2 | 1 |\n\n"
    "| | fit less SDS |\n|---|---:|\n| NFSD 7.5 | +0.1 |\n"
)


def test_cells_stand_in_sentences(tmp_path: Path) -> None:
    """Oracle: sentences written by hand, two figures in a line and one of a second table."""
    (tmp_path / "t.md").write_text(TABLES)
    asked = (
        "Of SDS <!-- t.md: SDS 7.5: size -->?<!-- end --> dB and <!-- t.md: NFSD 7.5: size --><!-- end -->;\n"
        "<!-- t.md: NFSD 7.5: fit less -->-9<!-- end --> more.\n"
    )
    said = filled(asked, tmp_path)
    assert said == (
        "Of SDS <!-- t.md: SDS 7.5: size -->1.5 [1, 2]<!-- end --> dB and "
        "<!-- t.md: NFSD 7.5: size -->2<!-- end -->;\n"
        "<!-- t.md: NFSD 7.5: fit less -->+0.1<!-- end --> more.\n"
    )
    assert filled(said, tmp_path) == said


def test_cells_of_tables_that_look_alike(tmp_path: Path) -> None:
    """Oracle: two tables of the same rows and columns; the corner tells them apart."""
    alike = "\n\n".join(
        f"| {name} | a lion |\n|---|---|\n| SDS 7.5 | {n} |" for name, n in (("fit", 1), ("size", 2))
    )
    (tmp_path / "t.md").write_text(alike)
    said = "<!-- t.md: size: SDS 7.5: a lion -->2<!-- end -->"
    assert (
        filled("<!-- t.md: size: SDS 7.5: a lion --><!-- end -->", tmp_path) == said == filled(said, tmp_path)
    )
    for wrong in ("SDS 7.5: a lion", "sizes: SDS 7.5: a lion"):
        with pytest.raises(UserError):
            filled(f"<!-- t.md: {wrong} --><!-- end -->", tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        "<!-- t.md: NFSD 7.5: fit --><!-- end -->",  # two columns begin so
        "<!-- t.md: NFSD: fit less --><!-- end -->",
        "<!-- t.md: NFSD 7.5: less SDS --><!-- end -->",  # a heading has it, and none begins so
        "<!-- t.md: SDS 7.5: fit -->0.9",
        "<!-- gone.md: SDS 7.5: fit --><!-- end -->",
    ],
)
def test_cells_that_are_not_there(tmp_path: Path, place: str) -> None:
    """Oracle: the promise: a sentence, and not a wrong figure."""
    (tmp_path / "t.md").write_text(TABLES)
    with pytest.raises(UserError):
        filled(place, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        PAGE.replace("<!-- end -->", "", 1),  # two would become one, and the prose between them go
        PAGE.removesuffix("<!-- end -->\nthree\n"),
        PAGE.replace("<!-- ", "<!--"),
        "no place at all\n",
    ],
)
def test_a_place_that_does_not_end_is_refused(text: str, tmp_path: Path) -> None:
    """Oracle: exit code 2, and the page as before."""
    page = made(tmp_path)
    page.write_text(text)
    assert main([str(page)]) == 2
    assert page.read_text() == text


def test_a_missing_file_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2, one sentence that names the file, the page as before."""
    page = made(tmp_path)
    (tmp_path / "b.md").unlink()
    assert main([str(page)]) == 2
    assert page.read_text() == PAGE
    assert str(tmp_path / "b.md") in capsys.readouterr().err
    with pytest.raises(UserError, match="give the command that makes it"):
        filled(PAGE, tmp_path)
