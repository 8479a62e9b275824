"""Put measured tables where a page of prose wants them: `python -m src.evaluation.page docs/findings.md`.

Between a line `<!-- FILE -->` and the next `<!-- end -->`, the page gets what the file (beside the page) says
now, but for its title and comments.  Inside a sentence `<!-- FILE: ROW: COLUMN --><!-- end -->` gets one
cell of a table in the file: that of the row that is called so, below the one heading that begins so; where
a file has several such tables, `<!-- FILE: TABLE: ROW: COLUMN -->` names the one whose corner begins so.
Everything else is left as it is.  So nobody types a figure, and a campaign that is made again shows.  A page
without a place, and a place without an end, are refused.
"""

import re
import sys
from pathlib import Path

from src.arguments import to_write
from src.door import one_sentence
from src.errors import UserError
from src.run.checkpoint import write_atomically

OPENING = r"^<!-- (\S+\.md) -->\n"
PLACE = re.compile(OPENING + r"((?:(?!<!-- ).*\n)*?)<!-- end -->$", re.MULTILINE)  # no other begins inside
CELL = re.compile(
    r"<!-- (?P<path>(?P<file>\S+\.md): (?:(?P<table>[^:<\n]+): )?(?P<row>[^:<\n]+): (?P<column>[^:<\n]+)) -->"
    r"[^\n]*?<!-- end -->"
)


def filled(text: str, folder: Path) -> str:
    """A page's text with every place filled anew.

    Raises UserError for a file that is not there, a place that does not end, and a page without any.
    """
    blocks, cells = len(PLACE.findall(text)), len(CELL.findall(text))
    opened = len(re.findall(OPENING, text, re.MULTILINE)), len(re.findall(r"<!-- \S+\.md: ", text))
    if (blocks, cells) != opened or not blocks + cells:
        raise UserError(
            "the page wants lines <!-- FILE.md --> (beside it), or <!-- FILE.md: ROW: COLUMN --> inside one, "
            "each with an <!-- end --> after"
        )

    def whole(place: re.Match[str]) -> str:
        lines = read(folder / place[1]).splitlines()
        titled = bool(lines) and lines[0].startswith("# ")
        said = "\n".join(line for line in lines[titled:] if not line.startswith("<!-- ")).strip()
        return f"<!-- {place[1]} -->\n{said}\n<!-- end -->"

    def one(place: re.Match[str]) -> str:
        said = cell(folder / place["file"], place["row"], place["column"], place["table"] or "")
        return f"<!-- {place['path']} -->{said}<!-- end -->"

    return CELL.sub(one, PLACE.sub(whole, text))


def read(file: Path) -> str:
    """The text of a file of tables; raises UserError if there is none."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}): give the command that makes it") from error


def cell(file: Path, row: str, column: str, table: str = "") -> str:
    """The one cell in a row called `row` below a heading that begins with `column`.

    Tables count whose first heading begins with `table`.  Raises UserError where there is no such cell, or
    more than one.
    """
    found, headings = [], list[str]()
    for line in read(file).splitlines():
        parts = [part.strip() for part in line.strip().strip("|").split("|")] if line.startswith("|") else []
        headings = (headings or parts) if parts else []
        if parts and parts[0] == row and headings[0].startswith(table):
            under = zip(headings[1:], parts[1:], strict=False)
            found += [said for heading, said in under if heading.startswith(column)]
    if len(found) != 1:
        raise UserError(
            f"{file} has {len(found)} cells of row {row!r} below {column!r}: name one that it has"
        )
    return found[0]


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    if len(arguments) != 1:
        raise UserError("name one page, as in python -m src.evaluation.page docs/findings.md")
    page = Path(arguments[0])
    try:
        before = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{page} cannot be read ({error}): name a page of Markdown") from error
    after = filled(before, page.parent)
    write_atomically(to_write(page, "page"), after.encode())
    print(f"{page}: {'changed' if after != before else 'as before'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
