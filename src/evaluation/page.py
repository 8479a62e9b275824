"""Put measured tables where a page of prose wants them: `python -m src.evaluation.page docs/findings.md`.

Between a line `<!-- FILE -->` and the next `<!-- end -->`, the page gets what the file (beside the page) says
now, but for the file's own comments; everything else is left as it is.  So nobody types a figure, and a
campaign that is made again shows.  A page without a place, and a place without an end, are refused.
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


def filled(text: str, folder: Path) -> str:
    """A page's text with every place filled anew.

    Raises UserError for a file that is not there, a place that does not end, and a page without any.
    """
    if len(PLACE.findall(text)) != max(1, len(re.findall(OPENING, text, re.MULTILINE))):
        raise UserError(
            "the page wants lines <!-- FILE.md --> (beside it), each with a line <!-- end --> after"
        )

    def content(place: re.Match[str]) -> str:
        file = folder / place[1]
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file} cannot be read ({error}): give the command that makes it") from error
        said = "\n".join(line for line in lines if not line.startswith("<!-- ")).strip()
        return f"<!-- {place[1]} -->\n{said}\n<!-- end -->"

    return PLACE.sub(content, text)


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
