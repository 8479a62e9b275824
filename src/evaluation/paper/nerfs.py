"""Figure 8: radiance fields of the same prompts by SDS and by NFSD, by the same draws, t not annealed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from src.config import RunConfig
from src.errors import UserError
from src.evaluation.looks import spectrum_detail
from src.evaluation.paper.figure import Figure, Numbers
from src.evaluation.paper.guidance_ladder import clipped
from src.evaluation.paper.plate import Row, plate
from src.model import load_run, look
from src.scene.cameras import orbit

VIEWS = 8  # around, that are measured
SHOWN = (0, 3)  # of them, that are looked at: from the front, and from behind to one side
SIZE = 160  # pixels
GREY = 0.8  # of what is behind: white would count among the clipped channels

CAPTION = """**Figure 8: NeRFs by {titles}**, {steps} steps, t drawn from [{t_min}, {t_max}] to the end (no
annealing, as in the paper). Cameras, backgrounds, t and noises of every step are the same in both rows:
{digests}.

The paper: "NFSD allows better distillation", with finer details. Measured on {views} views of each object
before light grey: fine detail of {second} beside {first}: {detail}. Detail is power in the finer half of
the spectrum: it counts hard edges of burnt-out colour too, of which the share of clipped channels tells
({clipped})."""


def figure(runs: Mapping[str, Sequence[RunConfig]]) -> Figure:
    """Look at finished runs; `runs` has one for each prompt, by title.

    Raises UserError where two methods' runs of a prompt saw different draws.
    """
    views = {title: [around(Path(cfg.out or "")) for cfg in each] for title, each in runs.items()}
    first = next(iter(runs.values()))
    prompts = [cfg.prompt for cfg in first]
    digests = [shared_digest([each[i] for each in runs.values()]) for i in range(len(prompts))]
    (one, base), (other, compared) = list(views.items())[:2]
    numbers: Numbers = []
    for i, prompt in enumerate(prompts):
        row: dict[str, object] = {"prompt": prompt, "draws": digests[i]}
        row[f"fine detail of {other} beside {one} (dB)"] = spectrum_detail(compared[i], base[i])
        row |= {f"clipped channels, {title}": float(clipped(each[i]).mean()) for title, each in views.items()}
        numbers.append(row)
    rows = [
        Row(title, [picture for each in shown for picture in each[list(SHOWN)]])
        for title, shown in views.items()
    ]
    columns = [prompt if view == SHOWN[0] else "" for prompt in prompts for view in SHOWN]
    stage = first[0].schedule.at(first[0].steps - 1)
    caption = CAPTION.format(
        titles=" and ".join(runs),
        steps=first[0].steps,
        t_min=stage.t_min,
        t_max=stage.t_max,
        digests=", ".join(f"{prompt} {digest}" for prompt, digest in zip(prompts, digests, strict=True)),
        views=VIEWS,
        first=one,
        second=other,
        detail=", ".join(
            f"{row['prompt']} {row[f'fine detail of {other} beside {one} (dB)']:+.1f} dB" for row in numbers
        ),
        clipped=", ".join(
            f"{title} {sum(float(row[f'clipped channels, {title}']) for row in numbers) / len(numbers):.0%}"
            for title in runs
        ),
    )
    return Figure(plate(columns, rows), numbers, caption)


def around(folder: Path) -> Float[Tensor, "V 3 S S"]:
    """A finished run's object before light grey, from cameras all around it."""
    cfg, model, _ = load_run(folder, torch.device("cpu"))
    video = cfg.video
    cameras = orbit(VIEWS, video.elevation_degrees, video.distance, video.fov_degrees, SIZE)
    seen = [look(cfg, model, cameras.one(i)) for i in range(VIEWS)]
    return torch.cat([view.foreground + GREY * (1 - view.opacity) for view in seen]).clamp(0, 1)


def shared_digest(runs: Sequence[RunConfig]) -> str:
    """The digest of all draws of these runs, from their metrics; UserError unless they are the same."""
    digests = set()
    for cfg in runs:
        lines = (Path(cfg.out or "") / "metrics.jsonl").read_text("utf-8").splitlines()[: cfg.steps]
        drawn = "".join(json.loads(line)["draws"] for line in lines)
        digests.add(hashlib.blake2b(drawn.encode(), digest_size=6).hexdigest())
    if len(digests) > 1:
        raise UserError(
            f"{runs[0].out} and {runs[1].out} saw different draws: delete both, and draw the figure anew"
        )
    return digests.pop()
