"""Figures 7 and 8: rows that saw the same draws, and the refusal of those that did not."""

from pathlib import Path

import pytest
import torch

from src.config import RunConfig
from src.errors import UserError
from src.evaluation.paper import in_2d, nerfs
from src.guidance.gaussian import gaussian_prior
from src.train import train
from tests.runs import settings, tiny

PRIOR = gaussian_prior(size=16, deviation=0.5)


def latents(*said: str) -> RunConfig:
    return settings("prompt=a lion", "preset=smoke", "generator=latents", "batch_size=1", "steps=4", *said)


def test_2d_rows_are_the_methods_and_the_priors_samples() -> None:
    """Oracle: the titles in their order; CSD three times as strong takes other steps by the same draws."""
    runs = {"weak": [latents("loss=csd")], "strong": [latents("loss=csd", "loss.guidance_scale=30")]}
    found = in_2d.figure(PRIOR, runs, seed=0)
    assert [row["row"] for row in found.numbers] == ["weak", "strong", "samples"]
    assert "4 steps, lr 0.03" in " ".join(found.caption.split())
    assert found.numbers[-1]["size of latents, of samples'"] == pytest.approx(1, abs=0.2)


def test_2d_rows_with_other_draws_are_refused() -> None:
    """Oracle: two seeds."""
    runs = {"one": [latents("loss=csd")], "other": [latents("loss=csd", "seed=1")]}
    with pytest.raises(ValueError, match="saw different draws"):
        in_2d.figure(PRIOR, runs, seed=0)


def test_nerfs_are_compared_by_their_draws(tmp_path: Path) -> None:
    """Oracle: runs of one seed have one digest, whatever the loss; another seed is refused by name."""
    runs: dict[str, list[RunConfig]] = {}
    for title, said in {"SDS": ("loss=sds",), "NFSD": ("loss=nfsd",), "other": ("seed=1",)}.items():
        runs[title] = [tiny(tmp_path / title, "schedule.law=none", *said)]
        train(runs[title][0])
    found = nerfs.figure({"SDS": runs["SDS"], "NFSD": runs["NFSD"]})
    said = " ".join(found.caption.split())
    assert "7 steps, t drawn from [20, 980] to the end (no annealing" in said
    assert str(found.numbers[0]["draws"]) in said
    assert torch.isfinite(torch.tensor(found.numbers[0]["fine detail of NFSD beside SDS (dB)"]))
    with pytest.raises(UserError, match="saw different draws: delete both"):
        nerfs.figure({"SDS": runs["SDS"], "other": runs["other"]})
