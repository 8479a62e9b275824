"""Plays src.train and src.evaluate: copies a finished run's files, or its evaluation, and notes it."""

import shutil
import sys
from pathlib import Path


def main() -> None:
    """SOURCE TARGET train|evaluate CALLS BROKEN: the target whose name holds BROKEN cannot be made."""
    source, target, what, calls, broken = (
        *map(Path, sys.argv[1:3]),
        sys.argv[3],
        Path(sys.argv[4]),
        sys.argv[5],
    )
    if broken in target.name:
        sys.exit(f"{target.name}: out of memory")
    with calls.open("a") as file:
        file.write(f"{what} {target.name}\n")
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.name.startswith("evaluation") == (what == "evaluate"):
            shutil.copy(path, target)


if __name__ == "__main__":
    main()
