"""A judge's own error: what it says of true solids that it never saw, clean ones and half-degraded ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from src.evaluation.degrade import degrade
from src.evaluation.judge import BACKGROUND, Judge
from src.evaluation.verdict import answers, chosen
from src.evaluation.wording import BACK, FRONT, Question, question, view_of
from src.streams import Streams
from src.toybox.portraits import Facts, to_batch

ATTRIBUTES = ("kind", "color", "material", "view")


def tally(judge: Judge, images: Float[Tensor, "N 3 H W"], facts: list[Facts]) -> dict[str, Any]:
    """Right answers and questions by attribute; confusions; what is called front, by kind."""
    seen = judge.images(images)
    counts: dict[str, dict[str, int]] = {name: {"right": 0, "count": 0} for name in ATTRIBUTES}
    confused: dict[str, dict[str, int]] = {name: {} for name in ATTRIBUTES}
    fronts: dict[str, dict[str, int]] = {}
    cache: dict[Question, Tensor] = {}
    for row, fact in zip(seen, facts, strict=True):
        view = view_of(fact.azimuth, fact.elevation) or ""
        for name in ATTRIBUTES:
            asked = question(name, fact.subject(), view)
            if asked is None or (name == "material" and fact.soft):  # a soft volume shows no material
                continue
            if asked not in cache:
                cache[asked] = answers(judge, asked)
            said = chosen(row[None], cache[asked])[0]
            counts[name]["count"] += 1
            counts[name]["right"] += said == asked.right
            if said != asked.right:
                words = [_word(name, asked, index) for index in (asked.right, said)]
                key = f"{words[0]} called {words[1]}"
                confused[name][key] = confused[name].get(key, 0) + 1
            if name == "view" and view in (FRONT, BACK):
                mine = fronts.setdefault(fact.kind, {})
                side = "front" if view == FRONT else "back"
                mine[side] = mine.get(side, 0) + 1
                mine[f"{side}_called_front"] = mine.get(f"{side}_called_front", 0) + (
                    said >= 0 and asked.options[said].view == FRONT
                )
    worst = {
        name: dict(sorted(pairs.items(), key=lambda pair: -pair[1])[:12]) for name, pairs in confused.items()
    }
    return {"counts": counts, "confused": worst, "fronts": fronts}


def _word(name: str, asked: Question, index: int) -> str:
    if index < 0:
        return "nothing"
    option = asked.options[index]
    return option.view if name == "view" else str(getattr(option.subject, name))


def measure(
    judge: Judge, pixels: Sequence[np.ndarray], facts: list[list[Facts]], draw: Streams
) -> dict[str, Any]:
    """`tally` of clean solids (hard surfaces alone) and of half-degraded ones (soft ones too)."""
    everything = [fact for shard in facts for fact in shard]
    rgba = torch.cat([to_batch(list(shard)) for shard in pixels])
    background = torch.tensor(BACKGROUND)[:, None, None]
    hard = [i for i, fact in enumerate(everything) if not fact.soft]
    report = {}
    bad = torch.cat([degrade(part, draw(f"errors/{i}")) for i, part in enumerate(rgba.split(64))])
    for name, which, solids in (("clean", hard, rgba), ("degraded", list(range(len(rgba))), bad)):
        images = solids[which][:, :3] + (1 - solids[which][:, 3:]) * background
        report[name] = tally(judge, images.clamp(0, 1), [everything[i] for i in which])
    return report


def table(errors: dict[str, Any]) -> str:
    """The shares as Markdown."""
    lines = ["| question | clean | half-degraded |", "|---|---|---|"]
    for name in ATTRIBUTES:
        cells = []
        for state in ("clean", "degraded"):
            count = errors[state]["counts"][name]
            cells.append(f"{count['right'] / max(count['count'], 1):.1%} of {count['count']}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
