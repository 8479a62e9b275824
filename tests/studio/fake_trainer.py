"""Stands in for src.train: a process that trains nothing, and ends as its arguments say."""

import signal
import sys
import time
from pathlib import Path

settings = dict(argument.split("=", 1) for argument in sys.argv[1:])
diary = Path(settings["diary"])
diary.open("a").write(f"{settings['name']} begins\n")


def save(number: int, frame: object) -> None:
    """End as a run does that was asked to."""
    diary.open("a").write(f"{settings['name']} saves\n")
    sys.exit(128 + number)


signal.signal(signal.SIGTERM, save)
print("works", flush=True)
if settings["ends"] == "2":
    print("out: the disk is full: free some space", file=sys.stderr)
    sys.exit(2)
if settings["ends"] == "1":
    raise RuntimeError("a slip of ours")
while settings["ends"] == "asked" or not Path(settings["ends"]).exists():
    time.sleep(0.01)
diary.open("a").write(f"{settings['name']} ends\n")
