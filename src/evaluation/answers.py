"""What is measured of latents that a loss made for a prompt, beside the prior's own samples; its tables."""

import csv
import io
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from src.errors import UserError
from src.evaluation.judge.judge import Judge
from src.evaluation.looks import object_pixels, saturation, spectrum_detail
from src.evaluation.overshoot import spread
from src.evaluation.prior.variety import kinds_seen
from src.evaluation.suite.intervals import Cases, Interval, mean_interval, paired, written
from src.toybox.world.captions import covered, named

GRADES = ("anything", "a class", "a kind", "one thing")  # of conf/prompts/vague_1 ... 4
OWN = "the prior's samples"
MARK = "In what share the prior's answers differ, by grade"  # by which a table of ours is known
SOMETHING = 0.01  # of a picture's pixels: less is nothing
SHORT = "means of all prompts"  # by which the short table is known


class Measured(NamedTuple):
    """One prompt by one method; of the samples themselves excesses are 0 and ratios 1."""

    prompt: str
    grade: str
    method: str
    answers: float  # in what share of their mean square the samples differ: 0 all alike, 1 nothing common
    R: float  # how far the loss should overshoot such a spread (src/evaluation/overshoot.py)
    detail: float  # dB of power at fine scales over the samples'; excess is an error as lack is
    saturation: float  # chroma over the samples'
    size: float  # of latents, of the samples'
    fit: float  # share of pictures that show something, and that of a kind that the prompt covers
    diversity: float  # spread of the method's latents over its starts, of the samples'
    overshoot: float | None  # how far the latents' mean went past the samples' (`past`); theory: R


FIGURES = Measured._fields[5:]
TITLES = {
    "detail": "fine detail over samples' (dB)",
    "saturation": "saturation over samples'",
    "size": "size of latents, of samples'",
    "fit": "shows what was asked for",
    "diversity": "spread over starts, of samples'",
    "overshoot": "overshoot",
}


def measured(
    question: tuple[str, str, str],
    latents: Float[Tensor, "N C h w"],
    images: Float[Tensor, "N 3 H W"],
    own: Float[Tensor, "M C h w"],
    samples: Float[Tensor, "M 3 H W"],
    judge: Judge,
    overshoots: tuple[float, float | None],
) -> Measured:
    """A method's latents and pictures beside the prior's own; `question` is prompt, grade, method.

    `overshoots` are R and what is measured, where the samples are of the method's own scale.
    """
    prompt, grade, method = question
    return Measured(
        prompt=prompt,
        grade=grade,
        method=method,
        answers=spread(own, len(own)) ** 2 / float(own.square().mean()),
        R=overshoots[0],
        detail=spectrum_detail(images, samples),
        saturation=saturation(images) - saturation(samples),
        size=float(latents.square().mean().sqrt() / own.square().mean().sqrt()),
        fit=fit(judge, images, asked_for(prompt)),
        diversity=spread(latents, len(latents)) / spread(own, len(own)),
        overshoot=overshoots[1],
    )


def fit(judge: Judge, images: Float[Tensor, "N 3 H W"], kinds: Sequence[str]) -> float:
    """Share of pictures in which something stands out, and the judge sees one of these kinds.

    A judge that is shown nothing names some kind all the same.
    """
    shown = object_pixels(images).float().mean((1, 2)) >= SOMETHING
    return fmean(
        float(there) * (kind in kinds) for there, kind in zip(shown, kinds_seen(judge, images), strict=True)
    )


def asked_for(prompt: str) -> tuple[str, ...]:
    """The kinds that answer a prompt of the toy world; raises UserError for any other prompt."""
    subject = named(prompt)
    kinds = covered(prompt) or ((subject.kind,) if subject else ())
    if not kinds:
        raise UserError(f"{prompt!r} asks for nothing of the toy world, so no judge can say what fits it")
    return kinds


def table(found: Sequence[Measured]) -> str:
    """Every figure by grade and method, means over prompts with 95% intervals, in Markdown."""
    names = list(dict.fromkeys(each.method for each in found))
    parts = []
    for figure in FIGURES:
        lines = [f"| {TITLES[figure]} | {' | '.join(GRADES)} |", "|---" + "|---:" * len(GRADES) + "|"]
        for method in names:
            cells = [_cell(found, figure, method, grade) for grade in GRADES]
            lines.append(f"| {method} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    spreads = [fmean(each.answers for each in found if each.grade == grade) for grade in GRADES]
    answers = "; ".join(f"{grade} {spread:.2f}" for grade, spread in zip(GRADES, spreads, strict=True))
    return "\n\n".join([f"{MARK}: {answers}.", *parts]) + "\n"


def short(found: Sequence[Measured]) -> str:
    """Means over all prompts, and differences from the first method at the same prompts, in Markdown."""
    names = list(dict.fromkeys(each.method for each in found))
    values = {
        (figure, method): _cases([e for e in found if e.method == method], figure)
        for figure in FIGURES
        for method in names
    }
    titles = " | ".join(TITLES[figure] for figure in FIGURES)
    lines = [f"| {SHORT} | R | {titles} |", "|---" + "|---:" * (len(FIGURES) + 1) + "|"]
    for method in names:
        R = fmean(e.R for e in found if e.method == method)  # CSD's is infinite
        cells = [written(_mean(values[figure, method]), "{:.2f}".format) for figure in FIGURES]
        lines.append(f"| {method} | {R:.2g} | {' | '.join(cells)} |")
    first, *others = [name for name in names if name != OWN]
    lines += ["", f"Less {first} at the same prompts; bold: the interval leaves out 0.", ""]
    lines += [f"| | {titles} |", "|---" + "|---:" * len(FIGURES) + "|"]
    signed = "{:+.2f}".format
    for method in others:
        differences = [
            written(_mean(paired(values[figure, method], values[figure, first])), signed, bold=True)
            for figure in FIGURES
        ]
        lines.append(f"| {method} − {first} | {' | '.join(differences)} |")
    return "\n".join(lines) + "\n"


def _cell(found: Sequence[Measured], figure: str, method: str, grade: str) -> str:
    chosen = [each for each in found if (each.method, each.grade) == (method, grade)]
    return written(_mean(_cases(chosen, figure)), "{:.2f}".format)


def _cases(found: Sequence[Measured], figure: str) -> Cases:
    """A figure by prompt, where it was measured."""
    values = {(each.prompt, 0): getattr(each, figure) for each in found}
    return {case: value for case, value in values.items() if value is not None}


def _mean(values: Cases) -> Interval | None:
    return mean_interval(values) if values else None


def as_csv(found: Sequence[Measured]) -> str:
    """One line a prompt and method."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Measured._fields)
    writer.writerows(found)
    return file.getvalue()
