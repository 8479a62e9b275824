"""Fits: what a step does, and that a killed fit goes on as if nothing had happened."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from src.errors import UserError
from src.run.checkpoint import load_latest
from src.toybox.prior.fitting import Fit, Networks, Recipe, Team

RECIPE = Recipe(steps=120, learning_rate=0.3, ema=0.9, checkpoint_seconds=1000)


def line(start: float = 0.0) -> Networks:
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, start)
    nn.init.constant_(network.bias, start)
    return {"line": network}


def fit(folder: Path, recipe: Recipe = RECIPE, networks: Networks | None = None) -> Fit:
    return Fit(folder, recipe, Team(0, 1), networks or line())


def loss_of(networks: Networks, stop_at: int | None = None) -> Callable[[int], Tensor]:
    """Squared error of the line 2 x + 1 at a point that the step decides."""

    def loss(step: int) -> Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.tensor([[step % 7 / 7 - 0.5]])
        return (networks["line"](x) - (2 * x + 1)).square().mean()

    return loss


def test_it_fits_a_line_and_the_mean_follows(tmp_path: Path) -> None:
    """Oracle: the line that makes the loss zero. 0.1: weights decay, the mean lags and Muon swings."""
    one = fit(tmp_path)
    one.run(loss_of(one.networks))
    for network in (one.networks["line"], one.mean["line"]):
        assert network.weight.item() == pytest.approx(2, abs=0.1)
        assert network.bias.item() == pytest.approx(1, abs=0.1)
    logged = [json.loads(row) for row in (tmp_path / "loss.jsonl").read_text().splitlines()]
    assert [row["step"] for row in logged] == [50, 100]
    assert logged[1]["loss"] < logged[0]["loss"]


def test_no_step_is_logged_twice(tmp_path: Path) -> None:
    """Oracle: the steps of a fit that was never killed; this one loses 60 steps, one of them logged."""
    killed = fit(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        killed.run(loss_of(killed.networks, stop_at=60))
    again = fit(tmp_path)
    assert again.step == 0
    again.run(loss_of(again.networks))
    rows = [json.loads(row)["step"] for row in (tmp_path / "loss.jsonl").read_text().splitlines()]
    assert rows == [50, 100]


def test_a_killed_fit_ends_bit_identical(tmp_path: Path) -> None:
    """Oracle: the checkpoint of a fit that was never killed, tensor by tensor."""
    whole = fit(tmp_path / "whole")
    whole.run(loss_of(whole.networks))
    often = Recipe(RECIPE.steps, RECIPE.learning_rate, RECIPE.ema, checkpoint_seconds=-1)
    killed = fit(tmp_path / "killed", often)
    with pytest.raises(KeyboardInterrupt):
        killed.run(loss_of(killed.networks, stop_at=60))
    resumed = fit(tmp_path / "killed", networks=line(5.0))
    assert resumed.step == 60
    resumed.run(loss_of(resumed.networks))
    one, other = load_latest(tmp_path / "whole"), load_latest(tmp_path / "killed")
    assert one is not None
    assert other is not None
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


def test_the_names_in_a_checkpoint(tmp_path: Path) -> None:
    """Oracle: the names that earlier checkpoints carry; what is only published is not among them."""
    published = []
    one = fit(tmp_path, Recipe(1, 0.1, 0.9, 1000))
    one.publish = lambda mean, step: published.append((sorted(mean), step))
    one.run(loss_of(one.networks))
    found = load_latest(tmp_path)
    assert found is not None
    parts = {name.rsplit("/", 1)[0] for name in found.tensors if name.startswith("module/")}
    assert parts == {"module/line", "module/mean-line"}
    assert found.facts == {"step": 1}
    assert published == [(["line"], 1)]


def test_a_deadline_ends_the_fit_and_its_descent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a clock of a second a step: 200 of 10,000 steps, the rate level for 70% and then down to 0."""
    now = [0.0]
    monkeypatch.setattr("src.toybox.prior.fitting.time.monotonic", lambda: now[0])
    one = fit(tmp_path, Recipe(10_000, 0.3, 0.9, checkpoint_seconds=10**6, deadline=200.0))
    loss, rates = loss_of(one.networks), []

    def a_second_later(step: int) -> Tensor:
        rates.append(one.optimizer.param_groups[0]["lr"])
        now[0] += 1
        return loss(step)

    one.run(a_second_later)
    assert one.step == 200
    assert rates[101:140] == [0.3] * 39
    assert rates[171] == pytest.approx(0.3 * 29 / 60)  # of the step before: 29 of the last 60 seconds left
    assert one.optimizer.param_groups[0]["lr"] == 0


def test_a_finished_fit_publishes_again(tmp_path: Path) -> None:
    """Oracle: the same command with other weights=FOLDER must write them, though no step is left."""
    steps: list[int] = []
    for _ in range(2):
        one = Fit(tmp_path, Recipe(2, 0.1, 0.9, 1000), Team(0, 1), line(), lambda _, step: steps.append(step))
        one.run(loss_of(one.networks))
    assert steps == [2, 2]


def test_a_checkpoint_of_other_networks_is_a_sentence(tmp_path: Path) -> None:
    """Oracle: UserError, with the folder and the remedy."""
    one = fit(tmp_path)
    one.run(loss_of(one.networks))
    with pytest.raises(UserError, match=r"holds checkpoints of other networks: remove it or choose"):
        fit(tmp_path, networks={"line": nn.Linear(2, 1)})


def test_a_loss_that_is_no_number_ends_the_fit(tmp_path: Path) -> None:
    """Oracle: SystemExit that names the step, and no checkpoint with broken networks."""
    one = fit(tmp_path)
    with pytest.raises(SystemExit, match="the loss of step 0 is nan"):
        one.run(lambda step: one.networks["line"].weight.sum() * torch.nan)
    assert load_latest(tmp_path) is None
