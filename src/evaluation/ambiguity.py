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
from src.evaluation.looks import saturation, spectrum_detail
from src.evaluation.paper.plate import Row, plate
from src.evaluation.paper.shown import decoded
from src.evaluation.plots import against, check_installed
from src.evaluation.prior.variety import kinds_seen
from src.evaluation.suite.intervals import Interval, mean_interval
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
MARK = "Spread of the prior's answers by grade"  # by which a table of ours is known
SAMPLER = {"guidance_scale": 7.5, "steps": 25, "eta": 1.0}


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
    answers: float  # spread of the prior's samples: root mean square deviation of their latents
    R: float  # how far the loss should overshoot such a spread (src/evaluation/distil_2d.py)
    detail: float  # dB of power at fine scales over the samples'; excess is an error as lack is
    saturation: float  # chroma over the samples'
    size: float  # of latents, of the samples'
    fit: float  # share of pictures in which the judge sees a kind that the prompt covers
    diversity: float  # spread of the method's latents over its starts, of the samples'


FIGURES = Measured._fields[5:]
TITLES = {
    "detail": "fine detail over samples' (dB)",
    "saturation": "saturation over samples'",
    "size": "size of latents, of samples'",
    "fit": "shows what was asked for",
    "diversity": "spread over starts, of samples'",
}


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


def samples_of(prompt: str, cfg: Settings, prior: Prior, folder: Path) -> Float[Tensor, "N C h w"]:
    """Ancestral samples for a prompt; drawn once, then read."""
    key = {"prior": _digests(prior), "prompt": prompt, "seed": cfg.seed, "samples": cfg.samples, **SAMPLER}
    path = kept(folder, key)
    if not path.is_file():
        noise = Streams(cfg.seed, 0)(f"ambiguity/{prompt}")
        drawn = ddim(
            prior, [prompt] * cfg.samples, SAMPLER["guidance_scale"], int(SAMPLER["steps"]), noise, eta=1.0
        )
        write_atomically(path, save({"latents": drawn.cpu()}))
    return load_file(path)["latents"]


def _digests(prior: Prior) -> dict[str, object]:
    return {part: source["sha256"] for part, source in prior.provenance().items()}


def measured(
    question: tuple[str, str, str],
    latents: Float[Tensor, "N C h w"],
    images: Float[Tensor, "N 3 H W"],
    own: Float[Tensor, "M C h w"],
    samples: Float[Tensor, "M 3 H W"],
    judge: Judge,
    expected: float,
) -> Measured:
    """A method's latents and pictures beside the prior's own; `question` is prompt, grade, method.

    `expected` is R.
    """
    prompt, grade, method = question
    return Measured(
        prompt=prompt,
        grade=grade,
        method=method,
        answers=spread(own, len(own)),
        R=expected,
        detail=spectrum_detail(images, samples),
        saturation=saturation(images) - saturation(samples),
        size=float(latents.square().mean().sqrt() / own.square().mean().sqrt()),
        fit=sum(kind in asked_for(prompt) for kind in kinds_seen(judge, images)) / len(images),
        diversity=spread(latents, len(latents)) / spread(own, len(own)),
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


def _cell(found: Sequence[Measured], figure: str, method: str, grade: str) -> str:
    chosen = [each for each in found if (each.method, each.grade) == (method, grade)]
    interval = _mean({each.prompt: getattr(each, figure) for each in chosen})
    bounds = "" if interval.low is None else f" [{interval.low:.2f}, {interval.high:.2f}]"
    return f"{interval.mean:.2f}{bounds}"


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
        own = samples_of(prompt, cfg, prior, cells)
        samples = decoded(prior, own)
        each = {method: latents_of(of[prompt], prior, cells) for method, of in chosen.items()} | {OWN: own}
        for method, latents in each.items():
            images = samples if method == OWN else decoded(prior, latents)
            R = 0.0 if method == OWN else overshoot(chosen[method][prompt], prior, spread(own, len(own)))
            found.append(measured((prompt, grade, method), latents, images, own, samples, judge, R))
            rows.setdefault(method, []).append(images[0])
    write_atomically(folder / "cells.csv", as_csv(found).encode())
    write_atomically(folder / "table.md", table(found).encode())
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
        *("cells.csv", "plot.png", "overshoot.png"),
        *(f"sheet-{number}.png" for number in range(1, len(GRADES) + 1)),
    ]
    check_own(folder, "out", {"table.md": MARK}, ours)
    print(table(ambiguity(cfg, folder)))
    print(against(folder / "cells.csv", "answers", TITLES, folder / "plot"))
    print(against(folder / "cells.csv", "R", TITLES, folder / "overshoot"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
