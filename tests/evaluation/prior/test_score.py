"""The score of a prior: which captions it is asked for, and that right and wrong pictures are told apart."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from src.evaluation.judge.judge import Judge
from src.evaluation.judge.wording import TEMPLATES, Saying
from src.evaluation.prior.score import ask, rate, table, wanted
from src.toybox.world.captions import unseen
from src.toybox.world.shapes import KINDS


class Reader(Judge):
    """A judge for whom a picture is the list of sentences that it hides: the first pixels are its number."""

    errors = None

    def __init__(self, shown: list[Saying]) -> None:  # no network behind it
        self.shown = shown

    def texts(self, texts: list[str]) -> Tensor:
        """Unit vectors that are nearly at right angles, one a sentence."""
        seeds = [int.from_bytes(hashlib.blake2b(t.encode(), digest_size=4).digest()) for t in texts]
        rows = np.stack([np.random.default_rng(seed).standard_normal(512) for seed in seeds])
        return torch.nn.functional.normalize(torch.from_numpy(rows).float(), dim=-1)

    def images(self, images: Tensor) -> Tensor:
        """The sum of all sentences that are true of what picture i shows."""
        rows = []
        for index in images[:, 0, 0, 0].long().tolist():
            said = self.shown[index]
            texts = [t.format(s.text()) for t in TEMPLATES for s in (said, Saying(said.subject))]
            rows.append(self.texts(texts).sum(0))
        return torch.stack(rows)


def pictures(count: int) -> Tensor:
    return torch.arange(float(count)).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def test_half_of_the_captions_are_held_out_and_fronts_have_views() -> None:
    """Oracle: the world's own rule; the same seed asks the same, another seed something else."""
    said = wanted(40, 0)
    assert [unseen(one.subject) for one in said] == [False, True] * 20
    assert all(bool(one.view) == KINDS[one.subject.kind].has_front for one in said)
    assert said == wanted(40, 0) != wanted(40, 1)


def test_true_pictures_score_full_marks() -> None:
    """Oracle: a judge that reads from each picture what it was to show."""
    said = wanted(30, 0)
    found = ask(Reader(said), pictures(30), said)
    assert all(answer.right for answer in found)
    assert {answer.attribute for answer in found} >= {"kind", "color", "material", "view"}
    assert rate(found, "kind", False).count == rate(found, "kind", True).count == 15


def test_a_wrong_kind_is_counted_where_it_belongs() -> None:
    """Oracle: a count; every held-out picture shows what the caption before it asked for."""
    said = wanted(20, 3)
    shown = [said[i - i % 2] for i in range(20)]
    found = ask(Reader(shown), pictures(20), said)
    same = sum(said[i].subject.kind == said[i - 1].subject.kind for i in range(1, 20, 2))
    assert rate(found, "kind", False).share == 1
    # A sentence that is in no picture is chosen by chance: 1 of 47 kinds.
    assert rate(found, "kind", True).right <= same + 2
    assert "| kind | 100.0% of 10 |" in table(found, Reader(shown))
