"""A long run: memory and file handles stay as they are after the warm-up.

    python -m tests.campaign.soak [steps=10000] [out=/tmp/soak] [setting=…]

A tiny run of the Gaussian prior with a preview every 200 and a checkpoint every 500 steps, then the export;
the process is looked at every 100 steps.  What leaks, leaks by the step, however small the scene.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from src.run.log import Log
from tests.campaign import children
from tests.campaign.children import emptied, run

WARM = 0.2  # of the steps


def looked_at() -> tuple[int, int]:
    """Resident bytes, and open file handles."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))


def campaign(steps: int, out: Path, *more: str) -> dict[str, Any]:
    """Run, looking; returns the growth after the warm-up as a share, and the handles' extremes."""
    notes = out / "notes.jsonl"

    def task() -> int:
        log_step = Log.step

        def logged(log: Log, step: int, *rest: Any) -> None:
            log_step(log, step, *rest)
            if step % max(1, steps // 100) == 0:
                with notes.open("a") as file:
                    file.write(json.dumps([step, *looked_at()]) + "\n")

        Log.step = logged  # type: ignore[method-assign]
        every = ("logging.preview_every=200", "logging.checkpoint_every=500")
        return children.train(out / "run", *every, f"steps={steps}", *more)()

    emptied(out)
    ended = run(task, out / "said", limit=10**6)
    rows = [json.loads(row) for row in notes.read_text().splitlines()]
    later = [row for row in rows if row[0] >= WARM * steps]
    third = max(1, len(later) // 3)
    first, last = (sum(row[1] for row in some) / len(some) for some in (later[:third], later[-third:]))
    handles = [row[2] for row in later]
    return {
        "code": ended.code,
        "steps": rows[-1][0] + 1,
        "bytes_after_warm_up": round(first),
        "growth": last / first - 1,
        "handles": (min(handles), max(handles)),
        "said": ended.sentences(),
    }


def main(arguments: list[str]) -> int:
    """Run the campaign and print its figures; 1 if memory grew by 2% or handles were lost."""
    given = dict(argument.split("=", 1) for argument in arguments)
    steps, out = int(given.pop("steps", "10000")), Path(given.pop("out", "/tmp/soak"))
    found = campaign(steps, out, *(f"{name}={value}" for name, value in given.items()))
    print(json.dumps(found))
    return int(found["code"] != 0 or found["growth"] >= 0.02 or found["handles"][0] != found["handles"][1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
