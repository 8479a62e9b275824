"""What a judge says of an object seen from all sides, each figure as a count of views."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from src.evaluation.judge.judge import BACKGROUND, Judge
from src.evaluation.judge.wording import (
    BACK,
    FRONT,
    TEMPLATES,
    VIEWS,
    Question,
    Saying,
    distractors,
    question,
    view_of,
)
from src.evaluation.views import Views
from src.toybox.world.captions import Subject
from src.toybox.world.shapes import KINDS


@dataclass(frozen=True)
class Rate:
    """So many of so many views."""

    right: int
    count: int

    @property
    def share(self) -> float:
        """In [0, 1]; raises ZeroDivisionError where nothing was counted."""
        return self.right / self.count


@dataclass(frozen=True)
class Verdict:
    """Counts of views; None for a question that the prompt does not answer."""

    r_precision: Rate  # the prompt is nearer than every distractor (Park et al. 2021, of all views)
    similarity: float  # mean cosine of views and prompt; NaN where a view is not finite
    kind: Rate | None
    color: Rate | None
    material: Rate | None
    base: Rate | None
    view: Rate | None  # against the camera's azimuth, away from the borders between two words
    called_front: Rate | None  # of the views from behind, away from those borders


def answers(judge: Judge, asked: Question) -> Float[Tensor, "options D"]:
    """Mean unit vector of each option over TEMPLATES."""
    texts = [template.format(option.text()) for template in TEMPLATES for option in asked.options]
    return judge.texts(texts).view(len(TEMPLATES), len(asked.options), -1).mean(0)


def chosen(seen: Float[Tensor, "N D"], read: Float[Tensor, "P D"]) -> list[int]:
    """The index of each picture's nearest sentence; -1 where two are equally near or nothing is finite."""
    top = (seen @ read.T).topk(2, dim=1)
    tied = ~(top.values[:, 0] > top.values[:, 1])
    return torch.where(tied, -1, top.indices[:, 0]).tolist()


def of_views(judge: Judge, views: Views, prompt: str, subject: Subject | None) -> Verdict:
    """Judge an object before BACKGROUND; `subject` is what the prompt names, None outside the toy world."""
    images = views.over(torch.tensor(BACKGROUND)).clamp(0, 1)
    seen = judge.images(images)
    texts = [prompt, *distractors(prompt, subject)]
    nearest = chosen(seen, judge.texts(texts))
    azimuth, elevation = views.camera.azimuth.rad2deg().tolist(), views.camera.elevation.rad2deg().tolist()
    counted = {name: _ask(judge, seen, name, subject) for name in ("kind", "color", "material", "base")}
    sides: list[tuple[str, str]] = []
    if subject is not None and KINDS[subject.kind].has_front:
        read = answers(judge, Question(tuple(Saying(subject, view) for view in VIEWS), 0))
        for said, turn, up in zip(chosen(seen, read), azimuth, elevation, strict=True):
            word = VIEWS[said] if said >= 0 else ""
            expected = view_of(turn, up)
            if expected:
                sides.append((expected, word))
    behind = [word == FRONT for expected, word in sides if expected == BACK]
    return Verdict(
        r_precision=Rate(nearest.count(0), len(nearest)),
        similarity=float((seen @ judge.texts([prompt]).T).mean()),
        kind=counted["kind"],
        color=counted["color"],
        material=counted["material"],
        base=counted["base"],
        view=Rate(sum(a == b for a, b in sides), len(sides)) if sides else None,
        called_front=Rate(sum(behind), len(behind)) if behind else None,
    )


def _ask(judge: Judge, seen: Float[Tensor, "N D"], name: str, subject: Subject | None) -> Rate | None:
    asked = question(name, subject) if subject is not None else None
    if asked is None:
        return None
    said = chosen(seen, answers(judge, asked))
    return Rate(said.count(asked.right), len(said))


def error_beside(judge: Judge, name: str) -> str:
    """The judge's own error in one of its questions or in r_precision, to stand beside its figures."""
    shares = []
    for state in ("clean", "degraded"):
        count = judge.errors[state]["counts"].get(name) if judge.errors else None
        if not count or not count["count"]:
            return f"the error of judge={judge.name} is unmeasured"
        shares.append(f"{count['right'] / count['count']:.1%} of {state}")
    return f"the judge is right on {' and '.join(shares)} true solids"
