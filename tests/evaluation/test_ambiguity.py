"""Losses asked vague and precise questions: every prompt has an answer, and measures are known."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.errors import UserError
from src.evaluation import ambiguity, answers
from src.evaluation.distilled import distil
from src.evaluation.judge.judge import Judge
from src.evaluation.overshoot import overshoot, past
from src.evaluation.plots import against
from src.guidance.gaussian import gaussian_prior
from src.guidance.prior import Prior
from src.guidance.prompts import NEGATIVE_PROMPT
from src.toybox.world.shapes import KINDS

WORDS = {"an animal": 0.2, "a lion": 0.5, "": 0.3}


def gaussian() -> Prior:
    """Means of 0.3 without words and 0 of the negative prompt, in every number."""
    means = {word: torch.full((3, 16, 16), mean) for word, mean in WORDS.items()}
    return gaussian_prior(size=16, deviation=0.5, means={**means, NEGATIVE_PROMPT: torch.zeros(3, 16, 16)})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ambiguity.Settings:
    """Two questions to a Gaussian, judged as lions."""
    prior = gaussian()
    monkeypatch.setattr(ambiguity, "questions", lambda: {"an animal": "a class", "a lion": "a kind"})
    for room in (ambiguity, answers):
        monkeypatch.setattr(room, "GRADES", ("a class", "a kind"))
    monkeypatch.setattr(ambiguity, "load_prior", lambda *_: prior)
    monkeypatch.setattr(ambiguity, "load_judge", lambda _: Judge.__new__(Judge))  # never asked
    monkeypatch.setattr(answers, "kinds_seen", lambda _, images: ["lion"] * len(images))
    return ambiguity.Settings("[sds@7.5,csd]", steps=2, pictures=2, samples=3, cells=str(tmp_path / "cells"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("losses=[dds]", "losses=[dds]: dds edits and does not generate"),
        ("losses=[sds,nfsd,nfsd+loss.cut=200]", "NFSD 7.5 and NFSD 7.5 + loss.cut=200 are the same runs"),
        ("device=tpu", "device=tpu is unknown: choose cpu, cuda or cuda:0"),
        ("path=nowhere", "prior.path=nowhere is no folder"),
        ("prior=nosuch", "prior=nosuch does not exist"),
        ("pictures=1", "pictures=1 is out of range"),
    ],
)
def test_a_slip_is_one_sentence(
    wrong: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the sentence, alone, and exit code 2."""
    assert ambiguity.main([f"out={tmp_path}", f"cells={tmp_path / 'cells'}", wrong]) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_every_question_has_answers() -> None:
    """Oracle: the grades' own order: more kinds answer a vaguer question, one alone the precise ones."""
    asked = ambiguity.questions()
    counts = {
        grade: {len(answers.asked_for(p)) for p, of in asked.items() if of == grade}
        for grade in asked.values()
    }
    assert counts["anything"] == {len(KINDS)}
    assert min(counts["a class"]) >= 3
    assert max(counts["a class"]) < len(KINDS)
    assert counts["a kind"] == counts["one thing"] == {1}
    with pytest.raises(UserError, match="a unicorn"):
        answers.asked_for("a unicorn")


def test_every_run_asks_its_own_prompt() -> None:
    """Oracle: the prompts that were given, by every method."""
    prompts = ["an animal", "a lion"]
    for each in ambiguity.runs(ambiguity.Settings("[sds,nfsd]"), prompts).values():
        assert [(prompt, run.prompt) for prompt, run in each.items()] == [(said, said) for said in prompts]


def test_samples_beside_themselves(small: ambiguity.Settings, tmp_path: Path) -> None:
    """Oracle: an excess over oneself is 0 and a ratio 1, exactly; the CSV reads back as what was returned."""
    found = ambiguity.ambiguity(small, tmp_path)
    own = [each for each in found if each.method == answers.OWN]
    figures = [(e.detail, e.saturation, e.size, e.diversity, e.fit, e.R, e.overshoot) for e in own]
    assert figures == [(0, 0, 1, 1, 1, 0, 0)] * 2
    rows = list(csv.DictReader(io.StringIO((tmp_path / "cells.csv").read_text("utf-8"))))
    assert [float(row["size"]) for row in rows] == [each.size for each in found]
    assert len(rows) == 2 * 3


def test_a_picture_of_nothing_fits_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: made by hand: of four pictures that the judge calls lions one is empty, and one has a speck."""
    monkeypatch.setattr(answers, "kinds_seen", lambda _, images: ["lion"] * len(images))
    pictures = torch.full((4, 3, 32, 32), 0.5)
    pictures[:2, :, 8:24, 8:24] = 1.0
    pictures[2, :, 16, 16] = 1.0
    judge = Judge.__new__(Judge)
    assert answers.fit(judge, pictures, ["lion", "car"]) == 0.5
    assert answers.fit(judge, pictures, ["car"]) == 0.0


def test_what_is_there_is_not_distilled_again(
    small: ambiguity.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: with no distillation at all the second command finds the same; another loss is asked for.

    A third, with its table elsewhere, takes what it shares with the first.
    """
    first = ambiguity.ambiguity(small, tmp_path)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(ambiguity, "distil", never)
    assert ambiguity.ambiguity(small, tmp_path) == first
    with pytest.raises(AssertionError):
        ambiguity.ambiguity(replace(small, losses="[sds,csd]"), tmp_path)
    (tmp_path / "other").mkdir()
    shared = ambiguity.ambiguity(replace(small, losses="[csd]"), tmp_path / "other")
    assert shared == [each for each in first if "SDS" not in each.method]


def test_rows_tell_how_far_they_should_overshoot(small: ambiguity.Settings, tmp_path: Path) -> None:
    """Oracle: R by the theory: 0 for what pulls back at every t, more above the cut or less below.

    Nothing below is endless, and not drawn.
    """
    cuts = (
        "[sds@7.5,nfsd+loss.cut=400,nfsd+loss.cut=200,nfsd+loss.cut=200+loss.sigma_power=2,nfsd+loss.cut=0]"
    )
    found = ambiguity.ambiguity(replace(small, losses=cuts), tmp_path)
    sds, far, near, weighed, endless, own = (each.R for each in found if each.prompt == "a lion")
    assert sds == own == 0 < far < near < weighed < endless == np.inf
    assert against(tmp_path / "cells.csv", "R", "R", {"size": "size"}, tmp_path / "plot").is_file()


def test_a_gaussian_overshoots_by_R(small: ambiguity.Settings) -> None:
    """Oracle: the theory, exact for Gaussians in expectation: latents come to rest R past the guided mean.

    Within 15%, because some hundred t are drawn and Adam remembers the last: seeds 0 to 2 are within 9.
    """
    prior = gaussian()
    run = ambiguity.runs(
        replace(small, losses="[nfsd+loss.cut=200]", steps=150, pictures=4, lr=0.1), ["a lion"]
    )
    (nfsd,) = (each["a lion"] for each in run.values())
    guided, bad = torch.full((2, 3, 16, 16), 0.3 + 7.5 * (0.5 - 0.3)), torch.zeros(2, 3, 16, 16)
    latents = distil(nfsd, prior).latents
    assert past(latents, guided, bad) == pytest.approx(overshoot(nfsd, prior, 0.5), rel=0.15)


def test_the_short_table_pairs_prompts(small: ambiguity.Settings, tmp_path: Path) -> None:
    """Oracle: means and differences over the two prompts, by hand from what was returned."""
    sds, csd, own, *_ = found = ambiguity.ambiguity(small, tmp_path)
    again = [each for each in found if each.prompt == "a lion"]
    text = (tmp_path / "short.md").read_text("utf-8")
    lines = {line.split(" | ")[0]: line for line in text.splitlines()}
    assert f"| {(sds.size + again[0].size) / 2:.2f} |" in lines[f"| {sds.method}"]
    assert (
        f"{(csd.size - sds.size + again[1].size - again[0].size) / 2:+.2f}"
        in lines[f"| {csd.method} − {sds.method}"]
    )
    assert text.count(own.method) == 1


def test_a_plot_shows_every_method(tmp_path: Path) -> None:
    """Oracle: the first two colours of the palette are in the picture, and the third is not."""
    table = tmp_path / "cells.csv"
    table.write_text("method,answers,size\na,0.1,1\na,0.4,2\nb,0.2,1.5\n")
    path = against(table, "answers", "answers", {"size": "size"}, tmp_path / "plot")
    with Image.open(path) as picture:
        pixels = torch.from_numpy(np.array(picture.convert("RGB"))).long()

    def shown(color: tuple[int, int, int]) -> bool:
        return bool((pixels - torch.tensor(color)).abs().amax(-1).le(40).any())

    assert shown((0x00, 0x72, 0xB2))
    assert shown((0xD5, 0x5E, 0x00))
    assert not shown((0x00, 0x9E, 0x73))
