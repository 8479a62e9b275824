"""3-D quality in numbers: of one object, or of a suite of prompts × losses × seeds.

    python -m src.evaluate run=outputs/<run> [run=...] [judge=FOLDER or hub id]
    python -m src.evaluate suite=toybench losses=[nfsd,sds@7.5,sds] seeds=3 [preset=bench] [workers=2]
                           [systems=[nfsd,magic3d]] [train=false] [out=FOLDER] [judge=...]

A run's folder gets evaluation.json, evaluation.png and evaluation.safetensors.  A suite is a list of prompts,
conf/prompts/NAME.yaml; losses are those of src.train, with @SCALE for another guidance scale than their own
and +NAME=VALUE for any other setting; systems=, in their place, are those of conf/systems.  It trains what is
not trained yet (train=false: makes do with what is) and evaluates what is not evaluated yet, `workers` runs
at once on one thread each; stopped at any time, the same command goes on.  OUT (outputs/NAME) gets
suite.json, suite.md, runs.csv (a line a run) and a sheet of all runs for each seed.
"""

import json
import shlex
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch

from src.arguments import in_range, parse, to_write, typed_path
from src.door import one_sentence
from src.errors import UserError
from src.evaluation import measurements
from src.evaluation.judge.judge import BUNDLED
from src.evaluation.looks import diversity
from src.evaluation.suite import suite
from src.evaluation.suite.figures import LEGEND, in_short, rows_of
from src.evaluation.suite.intervals import Cases
from src.evaluation.suite.report import document
from src.evaluation.suite.sheets import Cell, contact_sheet
from src.evaluation.suite.suite import Case
from src.evaluation.suite.summary import Evaluated, as_csv, as_json, summarise
from src.export.picture import write_picture
from src.run.checkpoint import write_atomically
from src.run.folder import check_own, read_manifest

SHEETS = "sheet-seed*.png"


@dataclass
class Suite:
    """What the command line can say of a suite."""

    suite: str = ""
    losses: str = "nfsd,sds"
    systems: str = ""  # in place of losses
    preset: str = "bench"
    seeds: int = 3  # 0, 1, 2
    workers: int = 2
    judge: str = BUNDLED
    train: str = "true"  # false: only what is trained already
    out: str = ""  # default: outputs/<suite>

    def __post_init__(self) -> None:
        in_range(self, ["seeds"], 1, 1000)
        in_range(self, ["workers"], 1, 64)
        if self.train not in ("true", "false"):
            raise UserError(f"train={self.train} is of the wrong kind: give true or false")


def evaluate_runs(folders: list[Path], judge: str) -> int:
    """Evaluate runs one by one; one that cannot be evaluated is named and does not stop the others."""
    code = 0
    for folder in folders:
        try:
            found = measurements.evaluate(folder, judge)
        except UserError as error:
            print(error, file=sys.stderr)
            code = 2
            continue
        print(f"{folder} at step {found['step']}")
        for row in rows_of(found):
            print(f"  {row.title:35} {row.value:>12}   {row.remark}")
        print(folder / "evaluation.png", flush=True)
    return code


def evaluate_suite(chosen: Suite, command: str) -> int:
    """Train and evaluate what is missing, then write the table and the sheets; 1 if a run failed."""
    out = Path(chosen.out or f"outputs/{Path(chosen.suite).stem}")
    ours = ["suite.md", "runs.csv", *(path.name for path in out.glob(SHEETS))]
    check_own(out, "out", {"suite.json": '"suite": '}, ours)
    methods = suite.chosen_systems(chosen.systems) if chosen.systems else suite.methods(chosen.losses)
    cases = suite.cases(chosen.suite, chosen.preset, methods, chosen.seeds, out)
    to_write(out / "suite.json")
    judge = measurements.judge_named(chosen.judge).sha256
    untrained = [case for case in cases if not suite.is_trained(case)]
    print(f"{out}: {len(cases)} runs, {len(untrained)} of them not trained yet", flush=True)
    train = [suite.training(case) for case in untrained if chosen.train == "true"]
    failed = suite.work_off(train, chosen.workers, suite.is_trained, _opacity, "trained")
    todo = [
        case for case in cases if suite.is_trained(case) and measurements.read(case.folder, judge) is None
    ]
    failed |= suite.work_off(
        suite.evaluations(todo, chosen.judge),
        chosen.workers,
        lambda case: measurements.read(case.folder, judge) is not None,
        lambda case: " ".join(in_short(measurements.read(case.folder, judge) or {})),
        "evaluated",
    )
    evaluations = [(case, measurements.read(case.folder, judge)) for case in cases]
    runs = [
        Evaluated(case.prompt, case.method, case.seed, case.folder.name, found)
        for case, found in evaluations
        if found is not None
    ]
    for folder, reason in failed.items():
        print(f"{folder} failed: {reason}", file=sys.stderr)
    if runs:
        _write(out, chosen.suite, command, cases, runs, failed)
    return 1 if failed else 0


def _write(
    out: Path, name: str, command: str, cases: list[Case], runs: list[Evaluated], failed: dict[Path, str]
) -> None:
    """suite.json, suite.md, runs.csv and sheet-seed<N>.png."""
    found = summarise(runs, _diversity(runs, out))
    why = {folder.name: reason for folder, reason in failed.items()}
    planned = Counter(case.method for case in cases)
    text = document(name, command, planned, runs, found, why)
    rows = [run._asdict() for run in runs]
    whole = {"suite": name, "command": command, **as_json(found), "evaluations": rows, "failed": why}
    write_atomically(out / "suite.json", (json.dumps(whole, indent=1) + "\n").encode())
    write_atomically(out / "suite.md", text.encode())
    write_atomically(out / "runs.csv", as_csv(runs).encode())
    print(text)
    prompts = list(dict.fromkeys(case.prompt for case in cases))
    methods = list(dict.fromkeys(case.method for case in cases))
    for seed in sorted({case.seed for case in cases}):
        cells = {
            (run.prompt, run.method): Cell(
                measurements.thumbnails_of(out / run.name), in_short(run.evaluation)
            )
            for run in runs
            if run.seed == seed
        }
        path = out / SHEETS.replace("*", str(seed))
        write_picture(path, contact_sheet(prompts, methods, cells, f"{name}, seed {seed}", LEGEND))
        print(path)
    print(out / "suite.md")


def _diversity(runs: list[Evaluated], out: Path) -> dict[str, Cases]:
    """By method: each prompt that has two seeds or more, keyed as if it were one case."""
    groups: dict[tuple[str, str], list[Evaluated]] = defaultdict(list)
    for run in runs:
        groups[run.method, run.prompt].append(run)
    found: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    for (method, prompt), seeds in groups.items():
        if len(seeds) > 1:
            views = torch.stack([measurements.thumbnails_of(out / run.name) for run in seeds])
            found[method][prompt, 0] = diversity(views.float() / 255)
    return dict(found)


def _opacity(case: Case) -> str:
    return f"opacity {read_manifest(case.folder)['opacity']:.2f}"


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if runs of a suite failed; 2 after one sentence about what the user can put right."""
    runs = [argument.removeprefix("run=") for argument in arguments if argument.startswith("run=")]
    others = [argument for argument in arguments if not argument.startswith("run=")]
    if not runs:
        if not any(argument.startswith("suite=") for argument in others):
            raise UserError("neither run= nor suite= is given: write run=outputs/NAME or suite=toybench")
        return evaluate_suite(parse(Suite, others), shlex.join(["python", "-m", "src.evaluate", *arguments]))
    if not all(runs):
        raise UserError("run= names no folder: write run=outputs/NAME")
    if wrong := [argument for argument in others if not argument.startswith("judge=")]:
        raise UserError(f"{wrong[0]} does not go with run=: leave it out")
    judges = [argument.removeprefix("judge=") for argument in others]
    return evaluate_runs([Path(typed_path(run, "run")) for run in runs], judges[-1] if judges else BUNDLED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
