"""Does averaging over many answers blur?  Losses asked from "an object" to "a red car, front view", in 2-D.

    python -m src.evaluation.ambiguity
    python -m src.evaluation.ambiguity prior=sd21 device=cuda preset=paper judge=openai/clip-vit-base-patch32

Latents alone (generator=latents), by every loss from the same starts and draws, held against the prior's own
ancestral samples for the same words.  How many answers a question has is measured, not assumed: the spread of
those samples.  Every finished cell, a prompt by a loss, is kept in `cells`, so that the same command goes on
where it was stopped and another one takes what they share.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm import tqdm

from src.arguments import in_range, parse, to_write
from src.command_line import prompt_list
from src.config import RunConfig, check_device, identity
from src.door import CONF, one_sentence, settings
from src.errors import UserError
from src.evaluation.answers import GRADES, MARK, OWN, TITLES, Measured, as_csv, measured, short, table
from src.evaluation.distilled import distil
from src.evaluation.judge.judge import BUNDLED, load_judge
from src.evaluation.overshoot import overshoot, past, spread
from src.evaluation.paper.plate import Row, plate
from src.evaluation.paper.shown import decoded
from src.evaluation.plots import against, check_installed
from src.evaluation.suite.suite import methods
from src.export.picture import write_picture
from src.guidance.load import announce, load_prior
from src.guidance.losses import CSD
from src.guidance.prior import Prior
from src.guidance.sampling import ddim
from src.run.checkpoint import write_atomically
from src.run.folder import check_own
from src.streams import Streams

VERSION = 1  # of what cells hold: raise it with the losses, the step and the sampler, and all are made anew
SCALE, SAMPLER = 7.5, {"steps": 25, "eta": 1.0}


@dataclass
class Settings:
    """What the command line can change."""

    losses: str = "[sds@7.5,sds@30,sds,csd,nfsd,nfsd+loss.cut=600,vsd]"
    prior: str = "toybox"
    path: str = ""  # of the prior's files, where it is not the prior's own
    preset: str = "bench"  # whose losses and whose range of t
    steps: int = 300
    pictures: int = 4  # starts of each prompt
    samples: int = 16  # of each prompt, that methods are compared with
    lr: float = 0.03
    seed: int = 0
    device: str = "cpu"
    judge: str = BUNDLED
    cells: str = "outputs/cells-2d"  # what is distilled and sampled, whoever asked for it
    out: str = "outputs/ambiguity"

    def __post_init__(self) -> None:
        in_range(self, ["pictures", "samples"], 2, 1000)
        in_range(self, ["steps"], 1, 10**6)
        in_range(self, ["lr"], 1e-6, 10)
        in_range(self, ["seed"], 0, 2**31)
        check_device(self.device)


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
    said = [f"preset={cfg.preset}", f"prior={cfg.prior}", "generator=latents", f"batch_size={cfg.pictures}"]
    said += [f"prior.path={cfg.path}"] if cfg.path else []
    said += [f"steps={cfg.steps}", f"seed={cfg.seed}", f"optimizer.lr_latents={cfg.lr}"]
    said += [f"schedule.t_max_after={annealed}"]  # latents alone would not be annealed
    found = dict[str, dict[str, RunConfig]]()
    for method in methods(cfg.losses):
        if method.loss == "dds":
            raise UserError(f"losses={cfg.losses}: dds edits and does not generate: leave it out")
        run = settings(f"prompt={prompts[0]}", *said, *method.overrides())
        title = method.title(run)
        if twin := [other for other, of in found.items() if identity(of[prompts[0]]) == identity(run)]:
            raise UserError(f"{twin[0]} and {title} are the same runs: name each once")
        found[title] = {prompt: replace(run, prompt=prompt) for prompt in prompts}
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


def shown(prior: Prior, latents: Float[Tensor, "N C h w"]) -> Float[Tensor, "N 3 H W"]:
    """Pictures of latents; both lie in the host's memory, whatever the prior is on."""
    return decoded(prior, latents.to(prior.device)).cpu()


def _digests(prior: Prior) -> dict[str, object]:
    return {part: source["sha256"] for part, source in prior.provenance().items()}


def ambiguity(cfg: Settings, folder: Path) -> list[Measured]:
    """Distil what is not there yet, measure, write; returns every cell."""
    asked = questions()
    chosen = runs(cfg, list(asked))
    first = next(iter(next(iter(chosen.values())).values()))
    cells = to_write(Path(cfg.cells) / "cell", "cells", "choose another cells=FOLDER").parent
    prior, judge = load_prior(first.prior, cfg.device), load_judge(cfg.judge)
    announce(first.prior, prior)
    found, rows = list[Measured](), dict[str, list[Tensor]]()
    for prompt, grade in tqdm(asked.items(), desc="prompts"):
        own = samples_of(prompt, SCALE, cfg, prior, cells)
        samples = shown(prior, own)
        each = {method: latents_of(of[prompt], prior, cells) for method, of in chosen.items()} | {OWN: own}
        for method, latents in each.items():
            images = samples if method == OWN else shown(prior, latents)
            overshoots: tuple[float, float | None] = 0.0, 0.0
            if method != OWN:
                run = chosen[method][prompt]
                bad = samples_of(run.prompts.negative, 1.0, cfg, prior, cells)
                # Another loss's scale has another mean to rest at, and CSD's is no guidance scale.
                same = run.loss.guidance_scale == SCALE and not isinstance(run.loss, CSD)
                gone = past(latents, own, bad) if same else None
                overshoots = overshoot(run, prior, spread(own, len(own))), gone
            found.append(measured((prompt, grade, method), latents, images, own, samples, judge, overshoots))
            rows.setdefault(method, []).append(images[0])
    write_atomically(folder / "cells.csv", as_csv(found).encode())
    write_atomically(folder / "table.md", table(found).encode())
    write_atomically(folder / "short.md", short(found).encode())
    for index, grade in enumerate(GRADES, 1):
        here = [i for i, of in enumerate(asked.values()) if of == grade]
        pictures = [Row(method, [images[i] for i in here]) for method, images in rows.items()]
        sheet = plate([list(asked)[i] for i in here], pictures)
        write_picture(folder / f"sheet-{index}.webp", sheet, quality=90, method=6)
    return found


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    check_installed()
    folder = to_write(Path(cfg.out) / "table.md").parent
    ours = [
        *("cells.csv", "short.md", "plot.png", "overshoot.png"),
        *(f"sheet-{number}.webp" for number in range(1, len(GRADES) + 1)),
    ]
    check_own(folder, "out", {"table.md": MARK}, ours)
    print(table(ambiguity(cfg, folder)))
    for x, along, figures, name in PLOTS:
        titles = {figure: TITLES[figure] for figure in figures}
        print(against(folder / "cells.csv", x, along, titles, folder / name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
