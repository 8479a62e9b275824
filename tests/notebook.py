"""docs/first-hour.md as a notebook: python -m tests.notebook

Indented commands and Python become cells of code, everything else text; what is fenced as `sh` stays text:
it is done before a notebook opens.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
SOURCE, NOTEBOOK = DOCS / "first-hour.md", DOCS / "first-hour.ipynb"


def cells(markdown: str) -> list[tuple[str, str]]:
    """The text in its order: ("markdown" or "code", source) pairs."""
    found: list[tuple[str, str]] = [("code", "%cd ..")]  # notebooks run where they lie
    for block in re.split(r"(^```python\n.*?^```\n|(?:^    [^\n]*\n)+)", markdown, flags=re.M | re.S):
        if block.startswith("```python"):
            code = block.removeprefix("```python\n").removesuffix("```\n")
            file = re.match(r"# (\w+\.py)\n", code)
            found.append(("code", f"%%writefile {file[1]}\n{code[file.end() :]}" if file else code))
        elif block.startswith("    "):
            found.append(("code", "".join(f"!{line.strip()}\n" for line in block.splitlines())))
        elif block.strip():
            found.append(("markdown", block.strip() + "\n"))
    return [(kind, source.rstrip("\n")) for kind, source in found]


def notebook(markdown: str) -> str:
    """The notebook's file."""
    made = []
    for number, (kind, source) in enumerate(cells(markdown)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = source.splitlines(keepends=True)
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def run(source: str, folder: Path, names: dict[str, Any]) -> None:
    """Do what Jupyter does with a cell of ours: a folder, a file, commands of a shell, or Python."""
    if source.startswith("%cd"):
        return
    if source.startswith("%%writefile "):
        name, _, content = source.removeprefix("%%writefile ").partition("\n")
        (folder / name).write_text(content, encoding="utf-8")
    elif source.startswith("!"):
        for line in source.splitlines():
            python = line.removeprefix("!").replace("python ", f'"{sys.executable}" ', 1)
            subprocess.run(python, shell=True, cwd=folder, check=True)
    else:
        exec(source, names)


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
