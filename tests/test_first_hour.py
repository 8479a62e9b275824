"""docs/first-hour: the notebook says what the page says, and does it (`make test-tour`)."""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.notebook import NOTEBOOK, SOURCE, cells, notebook, run

ROOT = Path(__file__).parent.parent


def code_of(path: Path) -> list[str]:
    """The notebook's cells of code."""
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


def test_the_notebook_is_the_page() -> None:
    """Oracle: `python -m tests.notebook` changes nothing."""
    assert NOTEBOOK.read_text(encoding="utf-8") == notebook(SOURCE.read_text(encoding="utf-8"))


def test_cells() -> None:
    """Oracle: written by hand."""
    page = "# T\n\n```sh\nmake\n```\n\n    a b\n    c\n\ntext\n\n```python\n# f.py\nx = 1\n```\n"
    commands, file = ("code", "!a b\n!c"), ("code", "%%writefile f.py\nx = 1")
    text = ("markdown", "# T\n\n```sh\nmake\n```")
    assert cells(page) == [("code", "%cd .."), text, commands, ("markdown", "text"), file]


def test_every_command_is_there() -> None:
    """Oracle: modules of ours."""
    named = {
        line.split()[2] for cell in code_of(NOTEBOOK) for line in cell.splitlines() if "python -m" in line
    }
    assert named >= {"src.train", "src.export.report", "src.export.mesh", "src.paper"}
    assert all(find_spec(name) for name in named)


@pytest.mark.tour
def test_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: every cell in its order ends well, at preset=smoke, in an empty folder beside the code."""
    for name in ("src", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in code_of(NOTEBOOK):
        run(cell.replace("preset=bench", "preset=smoke"), tmp_path, names)
    left = {Path(folder).name for folder, _, files in os.walk("outputs/hour") if "turntable.mp4" in files}
    assert left == {"lion", "sds", "cut600", "plain"}
    assert (tmp_path / "outputs/hour/lion.glb").read_bytes()[:4] == b"glTF"
    assert (tmp_path / "outputs/hour-losses/index.html").is_file()
