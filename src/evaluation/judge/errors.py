"""A judge's own error: what it says of true solids that it never saw, clean ones and half-degraded ones."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from src.evaluation.judge.degrade import degrade
from src.evaluation.judge.judge import BACKGROUND, Judge
from src.evaluation.judge.wording import BACK, FRONT, Question, distractors, question, view_of
from src.evaluation.verdict import answers, chosen
from src.streams import Streams
from src.toybox.world.captions import Subject
from src.toybox.world.portraits import Facts, to_batch

ATTRIBUTES = ("kind", "color", "material", "base", "view")
QUESTIONS = (*ATTRIBUTES, "r_precision")
STATES = ("clean", "degraded")
WORST = 12  # confusions that are kept


def tally(judge: Judge, images: Float[Tensor, "N 3 H W"], facts: list[Facts]) -> dict[str, Any]:
    """Right answers by question, the commonest confusions, and by kind who is called front.

    A soft volume is not asked for its material: it shows no gloss, no grain and no rings.
    """
    counts = {name: {"right": 0, "count": 0} for name in QUESTIONS}
    confused = {name: Counter[str]() for name in ATTRIBUTES}
    fronts: dict[str, Counter[str]] = {}
    options: dict[Question, Tensor] = {}
    prompts: dict[Subject, Tensor] = {}
    for row, fact in zip(judge.images(images), facts, strict=True):
        subject, view = fact.subject(), view_of(fact.azimuth, fact.elevation) or ""
        for name in ATTRIBUTES:
            asked = question(name, subject, view)
            if asked is None or (name == "material" and fact.soft):
                continue
            if asked not in options:
                options[asked] = answers(judge, asked)
            said = chosen(row[None], options[asked])[0]
            _count(counts[name], said == asked.right)
            if said != asked.right:
                confused[name][f"{_word(name, asked, asked.right)} called {_word(name, asked, said)}"] += 1
            if name == "view" and view in (FRONT, BACK):
                side = view.removesuffix(" view")
                mine = fronts.setdefault(fact.kind, Counter())
                mine[side] += 1
                mine[f"{side}_called_front"] += _word(name, asked, said) == FRONT
        if not (fact.soft and subject.material):
            if subject not in prompts:
                prompt = subject.phrase()
                prompts[subject] = judge.texts([prompt, *distractors(prompt, subject)])
            _count(counts["r_precision"], chosen(row[None], prompts[subject])[0] == 0)
    return {
        "counts": counts,
        "confused": {name: dict(pairs.most_common(WORST)) for name, pairs in confused.items()},
        "fronts": {kind: dict(mine) for kind, mine in fronts.items()},
    }


def _count(counter: dict[str, int], right: bool) -> None:
    counter["right"] += right
    counter["count"] += 1


def _word(name: str, asked: Question, index: int) -> str:
    if index < 0:
        return "nothing"
    option = asked.options[index]
    return option.view if name == "view" else str(getattr(option.subject, name))


def measure(
    judge: Judge, pixels: Sequence[np.ndarray], facts: list[list[Facts]], draw: Streams
) -> dict[str, Any]:
    """`tally` of clean solids (hard surfaces alone) and of half-degraded ones (soft ones too).

    `pixels` are shards of premultiplied RGBA [n, H, W, 4] uint8; shown as the evaluation shows a run.
    """
    everything = [fact for shard in facts for fact in shard]
    rgba = torch.cat([to_batch(list(shard)) for shard in pixels])
    bad = torch.cat([degrade(part, draw(f"errors/{i}")) for i, part in enumerate(rgba.split(64))])
    background = torch.tensor(BACKGROUND)[:, None, None]
    hard = [i for i, fact in enumerate(everything) if not fact.soft]
    report = {}
    for state, which, solids in zip(STATES, (hard, list(range(len(rgba)))), (rgba, bad), strict=True):
        images = solids[which][:, :3] + (1 - solids[which][:, 3:]) * background
        report[state] = tally(judge, images.clamp(0, 1), [everything[i] for i in which])
    return report


def table(errors: dict[str, Any]) -> str:
    """The shares as Markdown."""
    lines = ["| question | clean | half-degraded |", "|---|---|---|"]
    for name in QUESTIONS:
        counts = [errors[state]["counts"][name] for state in STATES]
        cells = [f"{c['right'] / max(c['count'], 1):.1%} of {c['count']}" for c in counts]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
