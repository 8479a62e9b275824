"""Bit flips and truncations in every file of a run: used, refused or repaired, and said.

    python -m tests.campaign.flips [places=20] [seed=0] [only=yaml] [out=/tmp/flips]

Two runs are damaged, one that ended and one that was killed half-way.  A table is then made of them, the
same command given again, and the table made anew.  Right: every number is the undamaged twin's, or something
was said that names the damage; never a traceback.
"""

import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import yaml

from src.door import one_sentence
from src.model import load_run
from src.run import folder as run_folder
from src.run.log import Log
from src.sweeps.runs import read_runs
from src.sweeps.table import table
from tests.campaign import children
from tests.campaign.children import emptied, run
from tests.campaign.faults import SHORT
from tests.campaign.kills import outcome

WAYS = ("flip", "cut")


def stopped_half_way(folder: Path) -> Callable[[], int]:
    """A run that leaves after its fifth step without a word: what kill -9 leaves, at the same place."""

    def task() -> int:
        log_step = Log.step

        def logged(log: Log, step: int, *rest: Any) -> None:
            log_step(log, step, *rest)
            if step == 4:
                log.flush()
                os._exit(0)

        Log.step = logged  # type: ignore[method-assign]
        return children.train(folder, *SHORT)()

    return task


def damage(path: Path, way: str, draw: random.Random) -> str:
    """Flip one bit of a file, or cut it; returns where."""
    content = bytearray(path.read_bytes())
    if not content:
        return "empty"
    at = draw.randrange(len(content))
    if way == "flip":
        bit = draw.randrange(8)
        content[at] ^= 1 << bit
        where = f"bit {bit} of byte {at}"
    else:
        del content[at:]
        where = f"cut to {at} bytes"
    path.unlink()  # it may be a hard link to the undamaged one
    path.write_bytes(content)
    return where


def looked_at(folder: Path) -> dict[str, Any]:
    """The numbers of a table and of a picture."""
    rows = {column.title: column.values for column in table(read_runs(folder.parent))}
    _, model, step = load_run(folder, torch.device("cpu"))
    weights = [
        float(parameter.detach().double().sum()) for module in model for parameter in module.parameters()
    ]
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    rows.pop("seconds", None)
    settings.pop("out")
    return {"rows": json.loads(json.dumps(rows)), "weights": weights, "step": step, "config": settings}


def checked(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """Look, give the command again, look again; returns the numbers (None: refused) and all that was said."""
    said, found = StringIO(), {}
    run_folder._say_damaged.cache_clear()  # it says the same once a process, and every case is another
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = said

    @one_sentence
    def look(when: str) -> int:
        found[when] = looked_at(folder)
        return 0

    try:
        first = look("before")
        code = children.train(folder, *SHORT)()
        if code == 0:
            look("after")
            found["end"] = outcome(folder)
    finally:
        sys.stdout, sys.stderr = before
    return (found if code == 0 and first == 0 else None if code == 2 else found), said.getvalue()


def campaign(
    places: int, seed: int, out: Path, only: str = "", states: Sequence[str] = ("ended", "stopped")
) -> list[dict[str, Any]]:
    """Damage every file of both runs (of those whose names hold `only`) at so many places in each way."""
    twins = {"ended": out / "twins/ended/run", "stopped": out / "twins/stopped/run"}
    emptied(out)
    assert run(children.train(twins["ended"], *SHORT), out / "said").code == 0
    assert run(stopped_half_way(twins["stopped"]), out / "said").code == 0
    found: list[dict[str, Any]] = []
    for state in states:
        twin = twins[state]

        def fresh(name: str, twin: Path = twin) -> Path:
            folder = out / name / "run"
            shutil.rmtree(folder.parent, ignore_errors=True)
            shutil.copytree(twin, folder, copy_function=os.link)
            for path in folder.rglob("*"):  # what is written in place must not reach the twin
                if path.is_file() and path.suffix in (".jsonl", ""):
                    content = path.read_bytes()
                    path.unlink()
                    path.write_bytes(content)
            return folder

        def whole(state: str = state) -> int:
            expected, _ = checked(fresh("as-it-was"))
            assert expected is not None
            (out / f"{state}.json").write_text(json.dumps(expected))
            return 0

        assert run(whole, out / "said").code == 0, (out / "said.err").read_text()[-2000:]
        names = [path.relative_to(twin).as_posix() for path in sorted(twin.rglob("*")) if path.is_file()]
        names = [name for name in names if only in name]

        def one_file(name: str, state: str = state) -> Callable[[], int]:
            def task() -> int:
                expected = json.loads((out / f"{state}.json").read_text())
                for way in WAYS:
                    for place in range(places):
                        folder = fresh("one-case")
                        where = damage(folder / name, way, random.Random(f"{seed} {name} {way} {place}"))
                        try:
                            numbers, said = checked(folder)
                        except Exception as error:
                            case = {"end": f"traceback: {type(error).__name__}: {error}", "right": False}
                        else:
                            given = json.loads(json.dumps(numbers))
                            equal = given == expected
                            if given and (state, name, way) == ("stopped", "metrics.jsonl", "cut"):
                                # A last row cut in half is what a kill leaves: not counted, and repeated.
                                equal = given | {"before": 0} == expected | {"before": 0}
                            words = (Path(name).name, "damaged", "broken", "is not what", "left out")
                            named = any(word in said for word in words)
                            if numbers is None:
                                case = {"end": "refused", "right": len(said) > 0}
                            elif equal:
                                case = {
                                    "end": "used or repaired" + (", said" if named else ""),
                                    "right": True,
                                }
                            else:
                                case = {"end": "other numbers" + (", said" if named else ""), "right": named}
                            case["said"] = said[-300:] if not case["right"] else ""
                        told = {"state": state, "file": name, "way": way, "where": where, **case}
                        with (out / "cases.jsonl").open("a") as file:
                            file.write(json.dumps(told) + "\n")
                return 0

            return task

        for name in names:
            ended = run(one_file(name), out / "said", limit=3600)
            if ended.code:
                found.append(
                    {"state": state, "file": name, "end": f"child ended {ended.code}", "right": False}
                )
                print(ended.err[-1500:], file=sys.stderr)
    return found + [json.loads(row) for row in (out / "cases.jsonl").read_text().splitlines()]


def main(arguments: list[str]) -> int:
    """Run the campaign and print its figures; 1 if a case was wrong."""
    given = {"places": "20", "seed": "0", "out": "/tmp/flips", "only": ""}
    given |= dict(argument.split("=", 1) for argument in arguments)
    found = campaign(int(given["places"]), int(given["seed"]), Path(given["out"]), given["only"])
    for case in found:
        if not case["right"]:
            print(json.dumps(case))
    right = sum(case["right"] for case in found)
    files = len({(case["state"], case["file"]) for case in found})
    print(f"{right} of {len(found)} right, in {files} files; {dict(Counter(case['end'] for case in found))}")
    return int(right < len(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
