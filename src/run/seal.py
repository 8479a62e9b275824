"""Records that know whether they are still what was written: a digest of the rest inside, or beside.

Json has no checksum of its own, and a flipped bit in a number is a number.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SEAL = "sha256_of_the_rest"
FIRST_LINE = "# sha256 of the lines below: "


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A json record with the digest of everything else in it."""
    rest = {name: value for name, value in record.items() if name != SEAL}
    return rest | {SEAL: _digest(rest)}


def unsealed(record: Any) -> dict[str, Any]:
    """The record without its seal; raises ValueError if it was changed.  Older records have no seal."""
    if not isinstance(record, dict):
        raise ValueError("it holds no record")
    rest = {name: value for name, value in record.items() if name != SEAL}
    if SEAL in record and record[SEAL] != _digest(rest):
        raise ValueError("its content differs from its checksum")
    return rest


def sealed_text(text: str) -> str:
    """A text of a format whose comments begin with #, the digest of everything below it in its first line."""
    return f"{FIRST_LINE}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def is_whole(path: Path) -> bool:
    """Whether a text still is what `sealed_text` made of it; older ones, and none at all, count as whole."""
    try:
        first, _, rest = path.read_bytes().partition(b"\n")
    except OSError:
        return True
    begun = FIRST_LINE.encode()
    return not first.startswith(begun) or first == begun + hashlib.sha256(rest).hexdigest().encode()


def file_sha256(path: Path) -> str | None:
    """Hex digest of a file; None if there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _digest(record: Mapping[str, Any]) -> str:
    # Through json once, so that what was written and what is read back are the same kinds of values.
    plain = json.loads(json.dumps(record))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
