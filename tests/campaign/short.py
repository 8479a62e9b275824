"""Every campaign in short, one after another in one process: python -m tests.campaign.short OUT

For the failing disk it has the system's own limit of a file's size (RLIMIT_FSIZE): writes beyond it are cut
short and refused, in Python, in safetensors and in ffmpeg, and no compiler is needed.
"""

import resource
import sys
from collections.abc import Callable
from pathlib import Path

from src.run import checkpoint
from tests.campaign import bad_inputs, children, flips, kills, soak
from tests.campaign.children import emptied, half_files, run
from tests.campaign.faults import SHORT

LIMITS = (1000, 20_000)  # bytes: less than config.yaml has, less than a checkpoint has


def limited(task: Callable[[], int], size: int) -> Callable[[], int]:
    """The task, where no file may hold more bytes."""

    def within() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return task()

    return within


def no_room(out: Path) -> list[str]:
    """Extend a run where there is no room for it, then where there is; returns what was wrong."""
    folder, said, wrong = out / "run", out / "said", []
    assert run(children.train(emptied(out) / "twin", *SHORT), said).code == 0
    assert run(children.train(folder, *SHORT, "steps=4"), said).code == 0
    for size in LIMITS:
        ended = run(limited(children.train(folder, *SHORT), size), said)
        if ended.code != 2 or len(ended.sentences()) != 1:
            wrong.append(f"{size} bytes: exit code {ended.code}, {ended.sentences()}")
        wrong += half_files(folder)
        if checkpoint.steps(folder / "checkpoints")[-1] != 4:
            wrong.append(f"{size} bytes: {checkpoint.steps(folder / 'checkpoints')}")
    ended = run(children.train(folder, *SHORT), said)
    if ended.code or ended.sentences() or kills.outcome(folder) != kills.outcome(out / "twin"):
        wrong.append(f"the same command: {ended.code} {ended.sentences()}")
    return wrong


def main(out: Path) -> int:
    """Print what was wrong, campaign by campaign; 1 if anything was."""
    wrong = no_room(out / "no-room")
    killed = kills.campaign(2, 0, out / "kills", sweeps=0, evaluations=0)
    flipped = flips.campaign(1, 0, out / "flips", only="json", states=["stopped"])  # manifest, metrics
    refused, _ = bad_inputs.campaign(8, 1, out / "bad-inputs")
    soaked = soak.campaign(40, out / "soak")
    wrong += [str(case) for case in killed if not case.right]
    wrong += [str(case) for case in flipped if not case["right"]]
    wrong += [str(case) for case in refused if case["wrong"]]
    wrong += [] if soaked["code"] == 0 and soaked["steps"] > 30 else [str(soaked)]
    counts = f"{len(LIMITS)} limits, {len(killed)} kills, {len(flipped)} flips, {len(refused)} bad inputs"
    print("\n".join(wrong) or f"all right: {counts}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
