"""What is not finite is found before the optimiser has touched anything."""

import math
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from src.assemble import assemble, make_guide
from src.errors import UserError
from src.guidance.prior import load_prior
from src.run.checkpoint import parameters_sha256
from src.step import Run, take_step
from src.streams import Streams
from src.train import train
from tests.runs import tiny

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    cfg = tiny(tmp_path)
    return assemble(cfg, make_guide(cfg, load_prior(cfg.prior, "cpu")), CPU)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_an_overflow_in_the_prior_changes_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """Oracle: parameters and moments bit for bit as before; the sentence names quantity, step and remedy."""
    before = parameters_sha256(run.generator.modules())
    predict = run.guide.prior.predict_noise
    monkeypatch.setattr(run.guide.prior, "predict_noise", lambda *asked: predict(*asked) * wrong)
    with pytest.raises(
        UserError, match=r"^step 1: prediction \(cond\) is not finite.*prior\.precision=float32"
    ):
        take_step(run, 1, Streams(0, 1), lambda _: nullcontext())
    assert parameters_sha256(run.generator.modules()) == before
    assert run.optimizer.state_dict()["state"] == {}


def test_an_overflow_on_the_way_back_is_found_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: latents and their gradient are finite, the parameters' gradient is not."""
    encode = run.guide.prior.encode

    def overflow(image: torch.Tensor, stream: object) -> torch.Tensor:
        image.register_hook(lambda gradient: gradient * math.inf)
        return encode(image, stream)

    monkeypatch.setattr(run.guide.prior, "encode", overflow)
    before = parameters_sha256(run.generator.modules())
    with pytest.raises(UserError, match=r"^step 1: gradient of the parameters is not finite"):
        take_step(run, 1, Streams(0, 1), lambda _: nullcontext())
    assert parameters_sha256(run.generator.modules()) == before


def test_no_checkpoint_is_made_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the last checkpoint is that of step 2, though step 3 was begun."""
    cfg = tiny(tmp_path)
    monkeypatch.setattr("src.step.surrogate", broken_from_the_fourth())
    with pytest.raises(UserError, match=r"^step 3: "):
        train(cfg)
    assert [path.stem for path in tmp_path.glob("checkpoints/*")] == ["step-00000002"]


def broken_from_the_fourth() -> object:
    calls = iter(range(100))

    def surrogate(latents: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        return (latents * grad).sum() * (math.nan if next(calls) >= 3 else 1.0)

    return surrogate
