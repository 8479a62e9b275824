"""One run's figures: every measure on its views, kept in the run's folder with what they were made with.

evaluation.json  evaluation.png  evaluation.safetensors (eight small views, for a suite's sheet and diversity)
"""

import json
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from safetensors.torch import load_file, save
from torch import Tensor

from src.checkpoint import write_atomically
from src.config import RunConfig
from src.errors import UserError
from src.evaluation import looks
from src.evaluation.figures import in_words
from src.evaluation.sheets import portrait, thumbnails
from src.evaluation.views import of_run
from src.guidance.prior import Prior, load_prior
from src.model import Model, load_run
from src.run_folder import read_manifest

VERSION = 1  # of the figures' definitions: raise it with them, and suites evaluate their runs anew
NAME = "evaluation"


def made_with(folder: Path) -> dict[str, Any]:
    """What an evaluation of this run, made now, would depend on."""
    return {"version": VERSION, "parameters_sha256": read_manifest(folder).get("parameters_sha256")}


def read(folder: Path) -> dict[str, Any] | None:
    """A run's evaluation, if there is one and nothing that it was made with has changed since."""
    try:
        found = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
        return found if found["made_with"] == made_with(folder) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def thumbnails_of(folder: Path) -> UInt8[Tensor, "8 3 H W"]:
    """The small views that go with an evaluation."""
    return load_file(folder / f"{NAME}.safetensors")["views"]


def evaluate(folder: Path) -> dict[str, Any]:
    """Measure a run and write its evaluation; returns what evaluation.json holds.

    Raises UserError if the folder holds no run.  What cannot be measured is left out, with the reason.
    """
    cfg, model, step = load_run(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    views = of_run(cfg, model)
    figures: dict[str, dict[str, float]] = {}
    not_measured: dict[str, str] = {}
    groups = {"looks": lambda: _looks(folder, cfg, model)}
    for group, measure in groups.items():
        try:
            figures[group] = _finite(measure())
        except UserError as error:
            not_measured[group] = str(error)
    found = {
        "prompt": cfg.prompt,
        "loss": cfg.loss_name,
        "guidance_scale": cfg.loss.guidance_scale,
        "seed": cfg.seed,
        "step": step,
        "figures": figures,
        "not_measured": not_measured,
        "made_with": made_with(folder),
    }
    title = (
        f"{cfg.prompt} · {cfg.loss_name.upper()} {cfg.loss.guidance_scale:g} · seed {cfg.seed} · step {step}"
    )
    picture = BytesIO()
    portrait(views, None, title, in_words(found)).save(picture, "PNG")
    write_atomically(folder / f"{NAME}.png", picture.getvalue())
    write_atomically(folder / f"{NAME}.safetensors", save({"views": thumbnails(views)}))
    # Last: once it is there, everything is.
    write_atomically(folder / f"{NAME}.json", (json.dumps(found, indent=1) + "\n").encode())
    return found


def _looks(folder: Path, cfg: RunConfig, model: Model) -> dict[str, float]:
    trained_on = read_manifest(folder).get("prior")

    def load() -> Prior:
        return load_prior(cfg.prior, model.occupancy.bits.device)

    if trained_on is None:  # a run from before manifests said so
        trained_on = load().provenance()
        print(
            f"{folder}: its manifest does not say which prior's files it used: those here are taken",
            flush=True,
        )
    samples = looks.samples_of(cfg, trained_on, load)
    return looks.measure(looks.pictures_of(cfg, model, samples), samples)._asdict()


def _finite(figures: dict[str, float]) -> dict[str, float]:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise UserError(f"{name} is {value}: the run's pictures are not finite")
    return figures
