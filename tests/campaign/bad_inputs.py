"""Bad inputs, made from the configuration's own types: one sentence, exit code 2, before step 0, soon.

    python -m tests.campaign.bad_inputs [n=300] [seed=0] [out=/tmp/bad-inputs]

Every setting gets values of the wrong type and beyond its range, its name gets slips of the keyboard, prompts
come from a list of naughty strings, and folders and files are of the wrong kind.  A case that is valid after
all must get as far as step 0; it does not count.
"""

import json
import random
import string
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import src.train
from src.config import LOSSES, RunConfig, setting_names
from src.door import door
from tests.campaign.children import emptied, run
from tests.runs import TINY

LIMIT_SECONDS = 15.0
VALUES = (
    *("-1", "0", "-0.5", "1e400", "nan", "inf", "-inf", "1e308", "-1e308", "2.5", "9" * 25, "-" + "9" * 25),
    *("true", "null", "", "many", "[1,2]", "{a:1}", "[]", "x" * 300, "0x10", "½", "１", "1_0", "'", '"', "["),
)
NAUGHTY = (
    *("", " ", "\t\n", "???", "\udcff", "a\udc80b", "\x00"),
    *("--help", "a=b", "${oc.env:HOME}", "%s%n", "'; DROP TABLE runs; --", "<script>", "../../../etc/passwd"),
    *("‮evil", "​", "Z͑ͫ̓a̴l̷g̸o", "👩‍👩‍👧‍👦", "null", "undefined", "NaN", "-1", "a" * 5000),
)
SPACE_OF_LOSS = {name.rpartition(".")[2] for loss in LOSSES.values() for name in setting_names(loss)}


def wrong_places(folder: Path) -> Iterator[str]:
    """Arguments that name files and folders of the wrong kind."""
    (folder / "a file").write_text("x")
    (folder / "a folder").mkdir(exist_ok=True)
    (folder / "taken/checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "taken/config.yaml").write_text("a: 1")
    (folder / "keys.yaml").write_text("- {azimuth: up}")
    for setting in ("prior.path", "prior.small_autoencoder"):
        for place in ("nowhere", "a file", "a folder", "taken"):
            yield f"{setting}={folder / place}"
    for place in ("a file", "a file/below", "taken", "/proc/x", "/dev/null"):
        yield f"out={place if place.startswith('/') else folder / place}"
    for place in ("nowhere.yaml", "a file", "a folder", "keys.yaml"):
        yield f"video.path={folder / place}"
    for setting in ("from", "prompts", "source"):
        for place in ("nowhere", "a file", "a folder", "taken"):
            yield f"{setting}={folder / place}"


def cases(seed: int, folder: Path) -> Iterator[list[str]]:
    """Endless arguments of src.train, each beside the tiny run's: settings, and first, places and prompts."""
    draw = random.Random(seed)
    names = list(dict.fromkeys(setting_names(RunConfig)))
    given = [*wrong_places(folder), *(f"prompt={prompt}" for prompt in NAUGHTY)]
    draw.shuffle(given)
    while True:
        if given:
            yield [given.pop()]
        name = draw.choice(names)
        if draw.random() < 0.2:  # a slip of the keyboard
            at = draw.randrange(len(name))
            name = draw.choice(
                [name[:at] + name[at + 1 :], name[:at] + draw.choice(string.ascii_lowercase) + name[at:]]
            )
            yield [f"{name}=1"]
        elif draw.random() < 0.05:
            yield [
                draw.choice(
                    ["--multirum", "-x", "steps", "+steps=3", "~seed", "preset=", "loss=none", "prior=x"]
                )
            ]
        elif name not in ("plan", "prompt", "out", "fresh"):
            yield [f"{name}={draw.choice(VALUES)}"]


class Step0(BaseException):
    """A run got as far as its first step."""


def attempt(arguments: list[str], out: Path) -> Callable[[], int]:
    """The command as a task; exit code 77 where it got to step 0."""

    def task() -> int:
        def stop(*_: Any, **__: Any) -> None:
            raise Step0

        src.train.take_step = stop
        given = ["prompt=a red cube", f"out={out}", *TINY, *arguments]
        sys.argv = ["src.train"]
        if arguments[0].startswith(("prompt=", "prompts=", "from=")):
            given = given[1:]
        if arguments[0].startswith("out="):
            given = [each for each in given if each != f"out={out}"]
        if arguments[0].startswith("from="):
            given = [each for each in given if not each.startswith("preset=")]
        try:
            return door(src.train.train, given)
        except Step0:
            return 77

    return task


def campaign(n: int, seed: int, folder: Path) -> tuple[list[dict[str, Any]], int]:
    """Give bad inputs until n were refused or wrong; returns those, and how many were valid after all."""
    emptied(folder)
    found: list[dict[str, Any]] = []
    valid = 0
    for arguments in cases(seed, folder):
        if len(found) >= n:
            break
        out = emptied(folder / "out") / "run"
        began = time.monotonic()
        ended = run(attempt(arguments, out), folder / "said", limit=4 * LIMIT_SECONDS)
        seconds = time.monotonic() - began
        if ended.code == 77:
            valid += 1
            continue
        if ended.code == 0 and any("--help" in each for each in arguments):
            continue
        wrong = []
        if ended.code != 2:
            wrong.append(f"exit code {ended.code}")
        if len(ended.sentences()) != 1:
            wrong.append(f"{len(ended.sentences())} sentences")
        if "Traceback" in ended.err:
            wrong.append("traceback")
        if (out / "metrics.jsonl").exists():
            wrong.append("a step was taken")
        case = {
            "arguments": arguments,
            "seconds": round(seconds, 2),
            "wrong": wrong,
            "said": ended.sentences()[-1:],
        }
        found.append(case)
        if wrong:
            print(json.dumps(case), flush=True)
    return found, valid


def main(arguments: list[str]) -> int:
    """Run the campaign and print its figures; 1 if a case was wrong."""
    given = {"n": "300", "seed": "0", "out": "/tmp/bad-inputs"} | dict(a.split("=", 1) for a in arguments)
    found, valid = campaign(int(given["n"]), int(given["seed"]), Path(given["out"]))
    right = [case for case in found if not case["wrong"]]
    kinds = Counter(wrong for case in found for wrong in case["wrong"])
    slowest = max(case["seconds"] for case in found)
    print(f"{len(right)} of {len(found)} refused in one sentence ({valid} more were valid); {dict(kinds)}")
    print(f"slowest: {slowest} s (limit {LIMIT_SECONDS} s, imports not counted); seed {given['seed']}")
    return int(len(right) < len(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
