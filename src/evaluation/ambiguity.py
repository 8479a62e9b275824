"""Does averaging over many answers blur?  Losses asked from "an object" to "a red car, front view", in 2-D.

`python -m src.evaluation.ambiguity`: latents alone (generator=latents), by every loss from the same starts
and draws, held against the prior's own ancestral samples for the same words.  How many answers a question
has is measured, not assumed: the spread of those samples.  Every finished cell, a prompt by a loss, is kept
in `cells`, so that the same command goes on where it was stopped and another one takes what they share.
"""

import csv
import hashlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm import tqdm

from src.arguments import in_range, parse, to_write
from src.command_line import prompt_list
from src.config import RunConfig, identity
from src.door import CONF, one_sentence, settings
from src.errors import UserError
from src.evaluation.distil_2d import overshoot, spread
from src.evaluation.distilled import distil
from src.evaluation.judge.judge import BUNDLED, Judge, load_judge
from src.evaluation.looks import object_pixels, saturation, spectrum_detail
from src.evaluation.paper.plate import Row, plate
from src.evaluation.paper.shown import decoded
from src.evaluation.plots import against, check_installed
from src.evaluation.prior.variety import kinds_seen
from src.evaluation.suite.intervals import Interval, mean_interval, paired
from src.evaluation.suite.suite import methods
from src.guidance.load import load_prior
from src.guidance.prior import Prior
from src.guidance.sampling import ddim
from src.run.checkpoint import write_atomically
from src.run.folder import check_own
from src.streams import Streams
from src.toybox.world.captions import covered, named

GRADES = ("anything", "a class", "a kind", "one thing")  # of conf/prompts/vague_1 ... 4
OWN = "the prior's samples"
VERSION = 1  # of what cells hold: raise it with the losses, the step and the sampler, and all are made anew
MARK = "In what share the prior's answers differ, by grade"  # by which a table of ours is known
SCALE, SAMPLER = 7.5, {"steps": 25, "eta": 1.0}
SOMETHING = 0.01  # of a picture's pixels: less is nothing
SHORT = "means of all prompts"  # by which the short table is known


@dataclass
class Settings:
    """What the command line can change."""

    losses: str = "[sds@7.5,sds@30,sds,csd,nfsd,nfsd+loss.cut=200,vsd]"
    preset: str = "bench"  # whose losses and whose range of t
    steps: int = 300
    pictures: int = 4  # starts of each prompt
    samples: int = 16  # of each prompt, that methods are compared with
    lr: float = 0.03
    seed: int = 0
    judge: str = BUNDLED
    cells: str = "outputs/cells-2d"  # what is distilled and sampled, whoever asked for it
    out: str = "outputs/ambiguity"

    def __post_init__(self) -> None:
        in_range(self, ["pictures", "samples"], 2, 1000)
        in_range(self, ["steps"], 1, 10**6)
        in_range(self, ["lr"], 1e-6, 10)
        in_range(self, ["seed"], 0, 2**31)


class Measured(NamedTuple):
    """One prompt by one method; of the samples themselves excesses are 0 and ratios 1."""

    prompt: str
    grade: str
    method: str
    answers: float  # in what share of their mean square the samples differ: 0 all alike, 1 nothing common
    R: float  # how far the loss should overshoot such a spread (src/evaluation/distil_2d.py)
    detail: float  # dB of power at fine scales over the samples'; excess is an error as lack is
    saturation: float  # chroma over the samples'
    size: float  # of latents, of the samples'
    fit: float  # share of pictures that show something, and that of a kind that the prompt covers
    diversity: float  # spread of the method's latents over its starts, of the samples'
    overshoot: float  # how far the latents' mean went past the samples' (`past`); theory: R


FIGURES = Measured._fields[5:]
TITLES = {
    "detail": "fine detail over samples' (dB)",
    "saturation": "saturation over samples'",
    "size": "size of latents, of samples'",
    "fit": "shows what was asked for",
    "diversity": "spread over starts, of samples'",
    "overshoot": "overshoot",
}
PLOTS = (
    ("answers", "how far the prior's answers differ", ("detail", "saturation", "size", "diversity"), "plot"),
    ("R", "R, by the theory", ("overshoot", "size", "saturation", "detail"), "overshoot"),
)


def questions() -> dict[str, str]:
    """The grade of every prompt."""
    lists = [prompt_list("prompts", f"vague_{number}", CONF) for number in range(1, len(GRADES) + 1)]
    return {prompt: grade for grade, prompts in zip(GRADES, lists, strict=True) for prompt in prompts}


def runs(cfg: Settings, prompts: Sequence[str]) -> dict[str, dict[str, RunConfig]]:
    """The settings of each method's run of each prompt, by the method's name."""
    annealed = settings("prompt=any", f"preset={cfg.preset}").schedule.t_max_after
    said = [f"preset={cfg.preset}", "prior=toybox", "generator=latents", f"batch_size={cfg.pictures}"]
    said += [f"steps={cfg.steps}", f"seed={cfg.seed}", f"optimizer.lr_latents={cfg.lr}"]
    said += [f"schedule.t_max_after={annealed}"]  # latents alone would not be annealed
    found = {}
    for method in methods(cfg.losses):
        if method.loss == "dds":
            raise UserError(f"losses={cfg.losses}: dds edits and does not generate: leave it out")
        each = {prompt: settings(f"prompt={prompt}", *said, *method.overrides()) for prompt in prompts}
        found[method.title(each[prompts[0]])] = each
    return found


def kept(folder: Path, key: Mapping[str, object]) -> Path:
    """Where latents that depend on all of `key` lie."""
    whole = {"version": VERSION, **key}
    name = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"{name}.safetensors"


def latents_of(run: RunConfig, prior: Prior, folder: Path) -> Float[Tensor, "N C h w"]:
    """What a run ends with; taken once, then read."""
    path = kept(folder, {"prior": _digests(prior), "run": identity(run), "steps": run.steps})
    if not path.is_file():
        write_atomically(path, save({"latents": distil(run, prior).latents.cpu()}))
    return load_file(path)["latents"]


def samples_of(
    prompt: str, scale: float, cfg: Settings, prior: Prior, folder: Path
) -> Float[Tensor, "N C h w"]:
    """Ancestral samples for a prompt; drawn once, then read."""
    key = {"prior": _digests(prior), "prompt": prompt, "seed": cfg.seed, "samples": cfg.samples}
    path = kept(folder, {**key, "guidance_scale": scale, **SAMPLER})
    if not path.is_file():
        noise = Streams(cfg.seed, 0)(f"ambiguity/{prompt}")
        drawn = ddim(prior, [prompt] * cfg.samples, scale, int(SAMPLER["steps"]), noise, eta=1.0)
        write_atomically(path, save({"latents": drawn.cpu()}))
    return load_file(path)["latents"]


def _digests(prior: Prior) -> dict[str, object]:
    return {part: source["sha256"] for part, source in prior.provenance().items()}


def past(
    latents: Float[Tensor, "N C h w"], own: Float[Tensor, "M C h w"], bad: Float[Tensor, "M C h w"]
) -> float:
    """How far past the samples' mean the latents' mean lies: x of z* = mu_g + x (mu_g - mu_neg).

    `bad` are samples of the negative prompt, unguided.  For Gaussians NFSD's x is R
    (src/evaluation/distil_2d.py); across that line latents may be anywhere.
    """
    goal = own.mean(0)
    way = goal - bad.mean(0)
    return float(((latents.mean(0) - goal) * way).sum() / way.square().sum())


def measured(
    question: tuple[str, str, str],
    latents: Float[Tensor, "N C h w"],
    images: Float[Tensor, "N 3 H W"],
    own: Float[Tensor, "M C h w"],
    samples: Float[Tensor, "M 3 H W"],
    judge: Judge,
    overshoots: tuple[float, float],
) -> Measured:
    """A method's latents and pictures beside the prior's own; `question` is prompt, grade, method.

    `overshoots` are R and what is measured.
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
        lines = [f"**{TITLES[figure]}**", "", f"| | {' | '.join(GRADES)} |", "|---" * (len(GRADES) + 1) + "|"]
        for method in names:
            cells = [_cell(found, figure, method, grade) for grade in GRADES]
            lines.append(f"| {method} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    spreads = [_mean({each.prompt: each.answers for each in found if each.grade == g}) for g in GRADES]
    answers = "; ".join(f"{g} {spread.mean:.2f}" for g, spread in zip(GRADES, spreads, strict=True))
    return "\n\n".join([f"{MARK}: {answers}.", *parts]) + "\n"


def short(found: Sequence[Measured]) -> str:
    """Means over all prompts, and differences from the first method at the same prompts, in Markdown."""
    names = list(dict.fromkeys(each.method for each in found))
    values = {
        (figure, method): {(e.prompt, 0): float(getattr(e, figure)) for e in found if e.method == method}
        for figure in FIGURES
        for method in names
    }
    titles = " | ".join(TITLES[figure] for figure in FIGURES)
    lines = [f"| {SHORT} | R | {titles} |", "|---" + "|---:" * (len(FIGURES) + 1) + "|"]
    for method in names:
        R = fmean(e.R for e in found if e.method == method)  # CSD's is infinite
        cells = [written(mean_interval(values[figure, method])) for figure in FIGURES]
        lines.append(f"| {method} | {R:.2g} | {' | '.join(cells)} |")
    first, *others = [name for name in names if name != OWN]
    lines += ["", f"Less {first} at the same prompts; bold: the interval leaves out 0.", ""]
    lines += [f"| | {titles} |", "|---" + "|---:" * len(FIGURES) + "|"]
    for method in others:
        differences = [
            written(mean_interval(paired(values[figure, method], values[figure, first])), difference=True)
            for figure in FIGURES
        ]
        lines.append(f"| {method} − {first} | {' | '.join(differences)} |")
    return "\n".join(lines) + "\n"


def _cell(found: Sequence[Measured], figure: str, method: str, grade: str) -> str:
    chosen = [each for each in found if (each.method, each.grade) == (method, grade)]
    return written(_mean({each.prompt: getattr(each, figure) for each in chosen}))


def written(found: Interval, difference: bool = False) -> str:
    """A mean and its interval; a difference has signs, and is bold where the interval leaves out 0."""
    form = "+.2f" if difference else ".2f"
    if found.low is None or found.high is None:
        return f"{found.mean:{form}}"
    bold = "**" if difference and not found.low <= 0 <= found.high else ""
    return f"{bold}{found.mean:{form}}{bold} [{found.low:{form}}, {found.high:{form}}]"


def _mean(values: Mapping[str, float]) -> Interval:
    return mean_interval({(prompt, 0): value for prompt, value in values.items()})


def as_csv(found: Sequence[Measured]) -> str:
    """One line a prompt and method."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Measured._fields)
    writer.writerows(found)
    return file.getvalue()


def ambiguity(cfg: Settings, folder: Path) -> list[Measured]:
    """Distil what is not there yet, measure, write; returns every cell."""
    asked = questions()
    chosen = runs(cfg, list(asked))
    first = next(iter(next(iter(chosen.values())).values()))
    cells = to_write(Path(cfg.cells) / "cell", "cells", "choose another cells=FOLDER").parent
    judge, prior = load_judge(cfg.judge), load_prior(first.prior, "cpu")
    found, rows = list[Measured](), dict[str, list[Tensor]]()
    for prompt, grade in tqdm(asked.items(), desc="prompts"):
        own = samples_of(prompt, SCALE, cfg, prior, cells)
        samples = decoded(prior, own)
        each = {method: latents_of(of[prompt], prior, cells) for method, of in chosen.items()} | {OWN: own}
        for method, latents in each.items():
            images = samples if method == OWN else decoded(prior, latents)
            overshoots = 0.0, 0.0
            if method != OWN:
                run = chosen[method][prompt]
                bad = samples_of(run.prompts.negative, 1.0, cfg, prior, cells)
                overshoots = overshoot(run, prior, spread(own, len(own))), past(latents, own, bad)
            found.append(measured((prompt, grade, method), latents, images, own, samples, judge, overshoots))
            rows.setdefault(method, []).append(images[0])
    write_atomically(folder / "cells.csv", as_csv(found).encode())
    write_atomically(folder / "table.md", table(found).encode())
    write_atomically(folder / "short.md", short(found).encode())
    for index, grade in enumerate(GRADES, 1):
        here = [i for i, of in enumerate(asked.values()) if of == grade]
        pictures = [Row(method, [images[i] for i in here]) for method, images in rows.items()]
        plate([list(asked)[i] for i in here], pictures).save(folder / f"sheet-{index}.png")
    return found


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    check_installed()
    folder = to_write(Path(cfg.out) / "table.md").parent
    ours = [
        *("cells.csv", "short.md", "plot.png", "overshoot.png"),
        *(f"sheet-{number}.png" for number in range(1, len(GRADES) + 1)),
    ]
    check_own(folder, "out", {"table.md": MARK}, ours)
    print(table(ambiguity(cfg, folder)))
    for x, along, figures, name in PLOTS:
        titles = {figure: TITLES[figure] for figure in figures}
        print(against(folder / "cells.csv", x, along, titles, folder / name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
