"""A number that is none is named where it came up, with a remedy, and never saved."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import src.generators.nerf
from src.errors import UserError
from src.guidance.losses import NFSD
from src.guidance.prior import Prior
from src.run import checkpoint
from src.run.log import Log
from src.train import train
from tests.runs import tiny

STEP = 4


def spoilt(value: Any) -> Any:
    """A tensor with one NaN in it."""
    other = value.clone(memory_format=torch.contiguous_format)
    other.view(-1)[0] = torch.nan
    return other


def image(patch: pytest.MonkeyPatch, late: Callable[[], bool]) -> None:
    render = src.generators.nerf.render

    def rendered(*given: Any, **named: Any) -> Any:
        view = render(*given, **named)
        return view._replace(image=spoilt(view.image)) if late() else view

    patch.setattr(src.generators.nerf, "render", rendered)


def latents(patch: pytest.MonkeyPatch, late: Callable[[], bool]) -> None:
    encode = Prior.encode
    patch.setattr(Prior, "encode", lambda *given: spoilt(encode(*given)) if late() else encode(*given))


def prediction(patch: pytest.MonkeyPatch, late: Callable[[], bool]) -> None:
    predict = Prior.predict_noise
    patch.setattr(
        Prior, "predict_noise", lambda *given: spoilt(predict(*given)) if late() else predict(*given)
    )


def gradient(patch: pytest.MonkeyPatch, late: Callable[[], bool]) -> None:
    direction = NFSD.direction
    patch.setattr(
        NFSD, "direction", lambda *given: spoilt(direction(*given)) if late() else direction(*given)
    )


def penalty(patch: pytest.MonkeyPatch, late: Callable[[], bool]) -> None:
    regularize = src.generators.nerf.regularize
    patch.setattr(
        src.generators.nerf,
        "regularize",
        lambda *given: spoilt(regularize(*given)) if late() else regularize(*given),
    )


def parameter(patch: pytest.MonkeyPatch, late: Callable[[], bool]) -> None:
    step = torch.optim.AdamW.step

    def stepped(self: torch.optim.AdamW) -> None:
        step(self)
        if late():
            with torch.no_grad():
                self.param_groups[1]["params"][0].view(-1)[0] = torch.inf

    patch.setattr(torch.optim.AdamW, "step", stepped)


@pytest.mark.parametrize(
    ("stage", "remedy"),
    [
        (image, "optimizer.lr_encoding"),
        (latents, "prior.precision=float32"),
        (prediction, "prior.precision=float32"),
        (gradient, "loss.guidance_scale"),
        (penalty, "loss.guidance_scale"),
        (parameter, "optimizer.lr_encoding"),
    ],
)
def test_a_stage_that_makes_nan_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Callable[..., None], remedy: str
) -> None:
    """Oracle: the quantity into which it was put, the step, a remedy; a checkpoint of finite numbers."""
    logged: list[int] = []
    log_step = Log.step

    def noted(self: Log, step: int, *rest: Any) -> None:
        log_step(self, step, *rest)
        logged.append(step)

    monkeypatch.setattr(Log, "step", noted)
    stage(monkeypatch, lambda: len(logged) >= STEP)
    out = tmp_path / "run"
    with pytest.raises(UserError, match=rf"^step {STEP}: {stage.__name__}.* not finite.*{remedy}"):
        train(tiny(out))
    kept = checkpoint.load_latest(out / "checkpoints")
    assert kept is not None
    assert kept.facts["step"] == STEP
    assert all(value.isfinite().all() for value in kept.tensors.values() if value.is_floating_point())
    assert [json.loads(row)["step"] for row in (out / "metrics.jsonl").read_text().splitlines()] == logged
