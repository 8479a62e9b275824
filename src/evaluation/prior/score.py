"""How well a prior of the toy world draws what it is asked for: `python -m src.evaluation.prior.score`.

Samples by DDIM, one a caption, half of the captions naming combinations that no training caption named; the
judge says what it sees in them.  Kinds with a face are drawn from the front as well, and their faces compared
with true ones.  Writes tables and a sheet of the samples, in the order of the captions, faces last.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from src.arguments import in_range, parse, to_write
from src.door import one_sentence
from src.evaluation.faces import Faces, of_samples, place_of
from src.evaluation.judge.judge import BUNDLED, Judge, load_judge
from src.evaluation.judge.wording import FRONT, VIEWS, Saying, question
from src.evaluation.verdict import Rate, answers, chosen
from src.export.picture import write_picture
from src.guidance.load import load_prior
from src.guidance.prior import Prior, PriorConfig
from src.guidance.sampling import ddim
from src.run.checkpoint import write_atomically
from src.streams import Streams
from src.toybox.sample import grid
from src.toybox.world.captions import Subject, subjects, unseen
from src.toybox.world.shapes import KINDS

ATTRIBUTES = ("kind", "color", "material", "base", "view")
COLUMNS = 20
BATCH = 20


@dataclass
class Settings:
    """What the command line can change."""

    path: str = "src/toybox/weights"
    captions: int = 300
    faces: int = 8  # samples of each kind with a face, from the front; 0: none
    guidance_scale: float = 7.5
    steps: int = 50
    seed: int = 0
    judge: str = BUNDLED
    out: str = "outputs/prior-score"  # .md and .png

    def __post_init__(self) -> None:
        in_range(self, ["captions"], 2, 10**5)
        in_range(self, ["faces"], 0, 10**4)
        in_range(self, ["steps"], 1, 1000)
        in_range(self, ["guidance_scale"], 0, 1000)
        in_range(self, ["seed"], 0, 2**63 - 1)


def wanted(count: int, seed: int) -> list[Saying]:
    """`count` captions, seen and held out in turn; front, side or back of kinds with a front."""
    sides = (3 * Streams(seed, 0)("prior-score/view").uniform(count)).long().tolist()
    return [
        Saying(subject, VIEWS[side] if KINDS[subject.kind].has_front else "")
        for subject, side in zip(subjects(count, seed), sides, strict=True)
    ]


def draw(prior: Prior, said: list[Saying], cfg: Settings) -> Float[Tensor, "N 3 H W"]:
    """One sample a caption, in [0, 1]."""
    pictures = []
    for start in tqdm(range(0, len(said), BATCH), desc="samples"):
        texts = [one.text() for one in said[start : start + BATCH]]
        noise = Streams(cfg.seed, start)("prior-score/noise")
        pictures.append(prior.decode(ddim(prior, texts, cfg.guidance_scale, cfg.steps, noise)))
    return torch.cat(pictures)


class Answer(NamedTuple):
    """What the judge said of one sample when it was asked one question."""

    attribute: str
    held_out: bool
    right: bool


def ask(judge: Judge, images: Float[Tensor, "N 3 H W"], said: list[Saying]) -> list[Answer]:
    """Put every question that a caption answers to the judge."""
    found = []
    for row, (what, view) in zip(judge.images(images), said, strict=True):
        for attribute in ATTRIBUTES:
            asked = question(attribute, what, view)
            if asked is not None:
                right = chosen(row[None], answers(judge, asked))[0] == asked.right
                found.append(Answer(attribute, unseen(what), right))
    return found


def rate(found: Iterable[Answer], attribute: str, held_out: bool) -> Rate:
    """So many right of so many asked."""
    mine = [one.right for one in found if one.attribute == attribute and one.held_out == held_out]
    return Rate(sum(mine), len(mine))


def table(found: list[Answer], judge: Judge) -> str:
    """Markdown; the judge's own error on clean true solids stands beside."""
    lines = ["| question | seen in training | held out | the judge, of true solids |", "|---|---|---|---|"]
    counts = judge.errors["clean"]["counts"] if judge.errors else {}
    for attribute in ATTRIBUTES:
        rates = [rate(found, attribute, held_out) for held_out in (False, True)]
        own = counts.get(attribute)
        rates.append(Rate(own["right"], own["count"]) if own else Rate(0, 0))
        cells = [f"{r.share:.1%} of {r.count}" if r.count else "-" for r in rates]
        lines.append(f"| {attribute} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def fronts(count: int) -> list[Saying]:
    """`count` times the front view of each kind with a face."""
    kinds = [kind for kind in KINDS if place_of(kind) is not None]
    return [Saying(Subject(kind), FRONT) for kind in kinds for _ in range(count)]


def face_table(judge: Judge, images: Float[Tensor, "N 3 H W"], said: list[Saying]) -> str:
    """Markdown: by kind, how far the faces are from true ones (`src.evaluation.faces`)."""
    found: dict[str, Faces] = {}
    for kind in dict.fromkeys(one.subject.kind for one in said):
        which = [i for i, one in enumerate(said) if one.subject.kind == kind]
        found[kind] = of_samples(judge, images[which], kind)
    lines = ["| face | distance | floor | excess |", "|---|---:|---:|---:|"]
    means = Faces(*(sum(column) / len(found) for column in zip(*found.values(), strict=True)))
    for kind, (far, floor) in [*found.items(), ("**mean**", means)]:
        lines.append(f"| {kind} | {far:.3f} | {floor:.3f} | {far - floor:.3f} |")
    return "\n".join(lines) + "\n"


def score(cfg: Settings) -> str:
    """Draw, ask, write; returns the table."""
    written, sheet = to_write(f"{cfg.out}.md"), to_write(f"{cfg.out}.png")
    judge, prior = load_judge(cfg.judge), load_prior(PriorConfig(path=cfg.path), "cpu")
    said, faces = wanted(cfg.captions, cfg.seed), fronts(cfg.faces)
    images = draw(prior, said + faces, cfg)
    text = table(ask(judge, images[: len(said)], said), judge)
    if faces:
        text += "\n" + face_table(judge, images[len(said) :], faces)
    write_atomically(written, text.encode())
    write_picture(sheet, grid(images, COLUMNS, enlarge=1))
    return text


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    print(score(parse(Settings, arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
