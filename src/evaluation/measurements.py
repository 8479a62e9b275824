"""One run's figures: every measure on its views, kept in the run's folder with what they were made with.

evaluation.json  evaluation.png  evaluation.safetensors (eight small views, for a suite's sheet and diversity)
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from safetensors.torch import load_file, save
from torch import Tensor

from src.arguments import to_write
from src.config import RunConfig
from src.errors import UserError
from src.evaluation import consistency, faces, failures, geometry, janus, looks
from src.evaluation.judge.judge import Judge, load_judge
from src.evaluation.solids import Pose
from src.evaluation.suite.figures import rows_of
from src.evaluation.suite.sheets import portrait, thumbnails
from src.evaluation.verdict import error_beside, of_views
from src.evaluation.views import Views, of_run
from src.export.picture import write_picture
from src.guidance.load import load_prior
from src.guidance.prior import Prior
from src.model import Scene, load_scene
from src.run.checkpoint import load_latest, write_atomically
from src.run.folder import read_manifest, say_what_changed
from src.run.seal import file_sha256, sealed, unsealed
from src.toybox.world.captions import Subject, named

VERSION = 6  # of the figures' definitions: raise it with them, and suites evaluate their runs anew
NAME = "evaluation"
ATTRIBUTES = ("kind", "color", "material", "base", "view")  # that the judge's own error is known for


@cache
def judge_named(name: str) -> Judge:
    """Load a judge, once a process."""
    return load_judge(name)


def made_with(folder: Path, judge_sha256: str) -> dict[str, Any]:
    """What an evaluation of this run, made now, would depend on."""
    parameters = read_manifest(folder).get("parameters_sha256")
    return {"version": VERSION, "parameters_sha256": parameters, "judge_sha256": judge_sha256}


def read(folder: Path, judge_sha256: str) -> dict[str, Any] | None:
    """A run's evaluation by this judge, if there is one and nothing that it depends on has changed since."""
    try:
        found = unsealed(json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8")))
        views = found.get("views_sha256") or file_sha256(folder / f"{NAME}.safetensors")
        current = found["made_with"] == made_with(folder, judge_sha256)
        return found if current and views == file_sha256(folder / f"{NAME}.safetensors") else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def thumbnails_of(folder: Path) -> UInt8[Tensor, "8 3 H W"]:
    """The small views that go with an evaluation."""
    return load_file(folder / f"{NAME}.safetensors")["views"]


def evaluate(folder: Path, judge_name: str) -> dict[str, Any]:
    """Measure a run and write its evaluation; returns what evaluation.json holds.

    What cannot be measured is left out, with the reason.  Raises UserError if the folder holds no run or the
    judge cannot be had.
    """
    cfg, model, step = load_scene(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    to_write(folder / f"{NAME}.json", "run", "make it writable, or evaluate a copy of the run")
    say_what_changed(folder)
    judge = judge_named(judge_name)
    views, subject = of_run(cfg, model), named(cfg.prompt)
    before = sorted(path.parent for path in folder.glob("*/manifest.json")) if cfg.system else []
    stages = [*before, folder]
    outline, pose = None, Pose()

    def shape() -> dict[str, Any]:
        nonlocal outline, pose
        if subject is None:
            raise UserError(f"the toy world has no solid that {cfg.prompt!r} names")
        found, truth, pose = geometry.beside_truth(views, subject)
        outline = truth.opacity
        return asdict(found)

    parameters = [parameter for module in model for parameter in module.parameters()]
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "geometry": shape,
        "judge": lambda: _judged(judge, views, cfg.prompt, subject),
        "consistency": lambda: asdict(consistency.measure(views)),
        "failures": lambda: asdict(failures.flags(views, [*map(_metrics, stages)], parameters, subject)),
        "cost": lambda: _cost(stages),
        "looks": lambda: _looks(folder, cfg, model),
    }
    if subject is not None and faces.place_of(subject.kind, subject.base) is not None:
        # After geometry, which finds how large the object is and where it stands.
        measures["faces"] = lambda: faces.of_views(judge, views, subject, pose)._asdict()
    figures: dict[str, dict[str, Any]] = {}
    not_measured: dict[str, str] = {}
    for group, measure in measures.items():
        try:
            figures[group] = _finite(measure())
        except UserError as error:
            not_measured[group] = str(error)
    found = {
        "prompt": cfg.prompt,
        "loss": cfg.loss_name,
        "guidance_scale": cfg.loss.guidance_scale,
        "seed": cfg.seed,
        "step": step + sum(read_manifest(stage).get("step", 0) for stage in before),  # of all stages
        "figures": figures,
        "not_measured": not_measured,
        "judge": {"name": judge.name, "errors": {name: error_beside(judge, name) for name in ATTRIBUTES}},
        "made_with": made_with(folder, judge.sha256),
    }
    method = cfg.system or f"{cfg.loss_name.upper()} {cfg.loss.guidance_scale:g}"
    title = f"{cfg.prompt} · {method} · seed {cfg.seed} · step {found['step']}"
    write_picture(folder / f"{NAME}.png", portrait(views, outline, title, rows_of(found)))
    write_atomically(folder / f"{NAME}.safetensors", save({"views": thumbnails(views)}))
    found["views_sha256"] = file_sha256(folder / f"{NAME}.safetensors")
    # Last: once it is there, everything is.
    write_atomically(folder / f"{NAME}.json", (json.dumps(sealed(found), indent=1) + "\n").encode())
    return found


def _judged(judge: Judge, views: Views, prompt: str, subject: Subject | None) -> dict[str, Any]:
    """Every rate as a share, with the counts that it is made of; questions that do not arise are left out."""
    verdict = of_views(judge, views, prompt, subject)
    turned = janus.measure(verdict, judge, subject)
    rates = {name: getattr(verdict, name) for name in ("r_precision", *ATTRIBUTES)}
    figures: dict[str, Any] = {"similarity": verdict.similarity}
    for name, rate in (rates | {"janus_raw": turned and turned.raw}).items():
        if rate is not None:
            figures |= {name: rate.share, f"{name}_right": rate.right, f"{name}_count": rate.count}
    if turned is not None and turned.corrected is not None:
        figures["janus"] = turned.corrected
        figures |= {"janus_sensitivity": turned.sensitivity, "janus_false_alarm": turned.false_alarm}
    return figures


def _cost(stages: Sequence[Path]) -> dict[str, int]:
    """What the UNet was asked in all stages, by what their checkpoints say."""
    rows = 0
    for stage in stages:
        saved = load_latest(stage / "checkpoints")
        if saved is None or "unet_rows" not in saved.facts:
            raise UserError(f"{stage} holds no checkpoint that says how often it asked the UNet")
        rows += saved.facts["unet_rows"]
    return {"unet_rows": rows}


def _metrics(folder: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, less a last one that a kill cut in half; none without such a file."""
    path, rows = folder / "metrics.jsonl", []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _looks(folder: Path, cfg: RunConfig, model: Scene) -> dict[str, Any]:
    trained_on = read_manifest(folder).get("prior")

    def load() -> Prior:
        return load_prior(cfg.prior, next(model.background.parameters()).device)

    if trained_on is None:  # a run from before manifests said so
        trained_on = load().provenance()
        print(
            f"{folder}: its manifest does not say which prior's files it used: those here are taken",
            flush=True,
        )
    samples = looks.samples_of(cfg, trained_on, load)
    return looks.measure(looks.pictures_of(cfg, model, samples), samples)._asdict()


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise UserError(f"{name} is {value}: the run's pictures are not finite")
    return figures
