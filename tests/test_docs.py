"""README.md and docs/: links lead somewhere, commands are there, and the README stays short."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from src.evaluation.page import filled

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    """Oracle: the files."""
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_there(page: Path) -> None:
    """Oracle: the modules."""
    named = set(re.findall(r"python -m ((?:src|tests)[\w.]*\w)", page.read_text(encoding="utf-8")))
    assert not [name for name in named if find_spec(name) is None]


MEASURED = [page for page in PAGES if "<!-- end -->" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", MEASURED, ids=lambda page: page.name)
def test_figures_are_what_was_measured(page: Path) -> None:
    """Oracle: the tables that the commands left, which nobody copies by hand."""
    text = page.read_text(encoding="utf-8")
    assert filled(text, page.parent) == text


def test_every_picture_is_shown() -> None:
    """Oracle: no file in docs/ that no page leads to."""
    told = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = {path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".webp", ".png", ".svg")}
    assert {name for name in pictures if name not in told} == set()


def test_the_readme_can_be_read() -> None:
    """Oracle: two minutes: 700 words."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 700
