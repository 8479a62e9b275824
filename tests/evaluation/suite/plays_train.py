"""Plays src.train: notes that it was called, takes a while to save after SIGINT, and leaves a manifest."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """Train nothing in the folder named first, and behave as named second."""
    folder, behaviour = Path(sys.argv[1]), sys.argv[2]
    signals = []
    signal.signal(signal.SIGINT, lambda *_: signals.append(1))
    with (folder / "calls").open("a") as file:
        file.write("x")
    if behaviour == "broken":
        sys.exit(f"{folder.name}: the disk is full")
    while behaviour == "slow":
        time.sleep(0.05)
        if signals:
            time.sleep(0.5)
            (folder / "saved").write_text(f"{len(signals)} signals, session {os.getsid(0)}")
            sys.exit(130)
    manifest = {"finished": True, "step": 20, "opacity": 0.5}
    (folder / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
