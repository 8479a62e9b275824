"""When a run's object can first be named, by its previews: `python -m src.evaluation.nameable`.

    python -m src.train prompt="a red car" logging.preview_every=20
    python -m src.evaluation.nameable run=outputs/<run>

Every preview, and the first from which on the judge sees the prompt's kind of object in most of its views.
"""

import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from src.arguments import parse
from src.door import one_sentence
from src.errors import UserError
from src.evaluation.answers import asked_for
from src.evaluation.judge.judge import BUNDLED, Judge, load_judge
from src.evaluation.prior.variety import kinds_seen
from src.run.folder import read_manifest

MOST = 0.75  # of a preview's views: three of four


@dataclass
class Settings:
    """What the command line can change."""

    run: str = ""
    since: float = (
        0.0  # seconds, as `date +%s` gives them before the run; default: when it wrote its settings
    )
    judge: str = BUNDLED

    def __post_init__(self) -> None:
        if not self.run:
            raise UserError("run is missing: name a run's folder, as in run=outputs/NAME")


class Preview(NamedTuple):
    """One row of previews.png, judged."""

    step: int
    seconds: float  # until it lay on the disk
    share: float  # of its views in which the judge sees what was asked for


def named_at(previews: list[Preview]) -> Preview | None:
    """The first preview from which on all show what was asked for in MOST of their views; else None."""
    last = list(takewhile(lambda each: each.share >= MOST, reversed(previews)))
    return last[-1] if last else None


def previews_of(folder: Path, since: float) -> tuple[tuple[str, ...], list[Path]]:
    """What a run was asked for, and its previews; raises UserError for a folder that has none, or does not
    tell when it began.
    """
    paths = sorted((folder / "previews").glob(f"step-{'[0-9]' * 8}.png"))
    prompt = read_manifest(folder).get("prompt")
    if prompt is None or not paths:
        raise UserError(f"run={folder} has no previews: name the folder of a run")
    if not since and read_manifest(folder).get("resumed_from_steps"):
        raise UserError(
            f"run={folder} was continued, so its files do not say when it began: give since=SECONDS"
        )
    return asked_for(prompt), paths


def judged(folder: Path, judge: Judge, since: float) -> list[Preview]:
    """Every preview of a run, in order of steps; raises UserError where there is none, or a damaged one."""
    kinds, paths = previews_of(folder, since)
    found = []
    began = since or (folder / "config.yaml").stat().st_mtime
    for path in paths:
        try:
            pixels = np.array(Image.open(path).convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"run={folder}: {path.name} is damaged ({error}): train the run anew") from error
        row = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        views = torch.stack(row.split(row.shape[1], 2))  # squares side by side
        seen = [kind in kinds for kind in kinds_seen(judge, views)]
        step = int(path.stem.removeprefix("step-"))
        found.append(Preview(step, path.stat().st_mtime - began, sum(seen) / len(seen)))
    return found


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right."""
    cfg = parse(Settings, arguments)
    previews_of(Path(cfg.run), cfg.since)  # said before a judge is loaded
    previews = judged(Path(cfg.run), load_judge(cfg.judge), cfg.since)
    print("| step | seconds | of its views named |\n|---:|---:|---:|")
    for each in previews:
        print(f"| {each.step} | {each.seconds:.0f} | {each.share:.0%} |")
    named = named_at(previews)
    print(f"named from step {named.step}, {named.seconds:.0f} s, on" if named else "never named for good")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
