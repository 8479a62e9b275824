"""Rebuild the bundled judge from nothing: `python -m src.evaluation.judge.train [name=value ...]`.

Three stages, each resumable by the same command: render the judge's own pictures of the toy world, fit a
small CLIP to what is true of them, measure its error on pictures it never saw and write it beside the
weights.  Every few minutes the current weights are exported, so a judge half-way through can be tried
(`python -m src.evaluate judge=...`).  Wants the extra `toybox` (numba).
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from src.arguments import in_range, parse
from src.door import one_sentence
from src.evaluation.judge import errors as judge_errors
from src.evaluation.judge.degrade import before_any_background, degrade, jittered
from src.evaluation.judge.judge import BACKGROUND, ERRORS, load_judge
from src.evaluation.judge.network import SIZE, network, refuse_to_replace, save, tokenizer
from src.evaluation.judge.wording import TEMPLATES, Saying, question, true_of, view_of
from src.export.picture import write_picture
from src.streams import Streams
from src.toybox.prior.fitting import Fit, Networks, Recipe, Team
from src.toybox.sample import grid
from src.toybox.world.captions import Subject
from src.toybox.world.portraits import FRESH, Facts, read_shards, to_batch, write_shard
from src.toybox.world.shapes import KINDS


@dataclass
class Settings:
    """What the command line can change."""

    folder: str = "outputs/judge"  # pictures, checkpoints, logs
    weights: str = "outputs/judge/weights"  # as exported; src/evaluation/judge/weights is what ships
    shards: int = 60  # of 500 pictures
    fresh_shards: int = 8  # the same, for measuring
    steps: int = 16000
    batch_size: int = 32
    learning_rate: float = 1e-3
    ema: float = 0.998
    degraded: float = 0.4  # share of the pictures
    seed: int = 0
    checkpoint_seconds: int = 180

    def __post_init__(self) -> None:
        in_range(self, ["shards", "fresh_shards"], 1, 9999)  # four digits name a shard
        in_range(self, ["steps"], 1, 10**8)
        in_range(self, ["batch_size"], 1, 10**5)
        in_range(self, ["learning_rate", "ema", "degraded"], 0, 1)
        in_range(self, ["seed"], 0, FRESH - 1)
        in_range(self, ["checkpoint_seconds"], 0, 10**6)
        refuse_to_replace(Path(self.weights))


def render(folder: Path, seed: int, shards: int) -> None:
    """Render the shards that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in tqdm(range(shards), desc=folder.name):
        if not (folder / f"{index:04d}.json").exists():
            write_shard(folder, seed, index)


def caption_loss(logits: Float[Tensor, "A B"], truth: Int[Tensor, "A B"]) -> Float[Tensor, ""]:
    """Mean of -log p over true pairs, p among the pair and its row's false ones.

    InfoNCE without false negatives, for a world in which many pictures have one caption.

    -log p = log(1 + sum_false exp(l_false - l_true)): van den Oord et al. 2018, eq. 4, with every other true
    pair left out of the denominator. `truth` is 1, 0, or -1 where nobody can say; rows without a
    true pair are left out. CLIP (Radford et al. 2021) takes this of the logits and of their transpose.
    """
    rest = logits.masked_fill(truth != 0, -torch.inf).logsumexp(1, keepdim=True)
    each = F.softplus(rest - logits) * (truth == 1)
    count = (truth == 1).sum(1)
    return (each.sum(1) / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def sayings_of(facts: Facts, view: str | None, u: Float[Tensor, "5"]) -> list[Saying]:
    """A caption of a picture, some of what is true left out, and all answers to one question about it.

    The question is of colour, material, base or (twice as often) view, whichever the picture answers.
    """
    color, material = facts.color if u[0] < 0.85 else "", facts.material if u[1] < 0.85 else ""
    subject = Subject(facts.kind, color, material, facts.base if u[4] < 0.85 else "")
    said = Saying(subject, view if view and KINDS[facts.kind].has_front and u[2] < 0.6 else "")
    names = ("color", "material", "base", "view", "view")
    asked = [found for name in names if (found := question(name, facts.subject(), view or ""))]
    return [said, *asked[int(u[3] * len(asked))].options] if asked else [said]


def fit(cfg: Settings) -> None:
    """Fit the judge; exports to cfg.weights."""
    pixels, facts = read_shards(Path(cfg.folder) / "world")
    pool = [(s, i) for s in range(len(pixels)) for i in range(len(facts[s]))]
    tokens = tokenizer(Path(cfg.folder) / "tokenizer")
    model = network(tokens, Streams(cfg.seed, 0))
    kinds = [Saying(Subject(kind)) for kind in KINDS]

    def loss(step: int) -> Tensor:
        draw = Streams(cfg.seed, step)
        u = draw("judge/pictures").uniform(cfg.batch_size, 7).double()
        picks = [pool[int(p * len(pool))] for p in u[:, 0]]
        shown = [facts[s][i] for s, i in picks]
        rgba = jittered(to_batch([pixels[s][i] for s, i in picks]), SIZE, draw("judge/jitter"))
        bad = (u[:, 1] < cfg.degraded).nonzero()[:, 0]
        rgba[bad] = degrade(rgba[bad], draw("judge/degrade"))
        image = before_any_background(rgba, draw("judge/background")).clamp(0, 1)
        views = [view_of(f.azimuth, f.elevation) for f in shown]
        said = [s for f, v, row in zip(shown, views, u[:, 2:], strict=True) for s in sayings_of(f, v, row)]
        said = list(dict.fromkeys(kinds + said))
        truth = torch.tensor([[_code(s, f, v) for s in said] for f, v in zip(shown, views, strict=True)])
        template = TEMPLATES[step % len(TEMPLATES)]
        ids = tokens([template.format(s.text()) for s in said], padding=True, return_tensors="pt")
        pooled = model.vision_model(pixel_values=image * 2 - 1).pooler_output
        seen = F.normalize(model.visual_projection(pooled), dim=-1)
        pooled = model.text_model(input_ids=ids.input_ids, attention_mask=ids.attention_mask).pooler_output
        read = F.normalize(model.text_projection(pooled), dim=-1)
        logits = model.logit_scale.exp() * seen @ read.T
        return (caption_loss(logits, truth) + caption_loss(logits.T, truth.T)) / 2

    def publish(mean: Networks, step: int) -> None:
        save(mean["clip"], tokens, Path(cfg.weights), {"samples": step * cfg.batch_size})

    recipe = Recipe(cfg.steps, cfg.learning_rate, cfg.ema, cfg.checkpoint_seconds)
    Fit(Path(cfg.folder) / "judge", recipe, Team(0, 1), {"clip": model}, publish).run(loss)


def _code(said: Saying, facts: Facts, view: str | None) -> int:
    if facts.soft and said.subject.material and said.subject.kind == facts.kind:
        return -1  # a soft volume shows no gloss, no grain and no rings
    answer = true_of(said, facts.subject(), view)
    return -1 if answer is None else int(answer)


def measure(cfg: Settings) -> dict[str, Any]:
    """Errors of the exported judge on fresh pictures, written beside it."""
    pixels, facts = read_shards(Path(cfg.folder) / "fresh")
    errors = judge_errors.measure(load_judge(cfg.weights), pixels, facts, Streams(cfg.seed + FRESH, 0))
    (Path(cfg.weights) / ERRORS).write_text(json.dumps(errors, indent=1) + "\n")
    return errors


def show(cfg: Settings) -> Path:
    """Draw what the judge learns from, a row each: clean, degraded, and before any background."""
    pixels, _ = read_shards(Path(cfg.folder) / "world")
    draw = Streams(cfg.seed, 0)
    picks = (draw("judge/shown").uniform(1, 16)[0] * len(pixels[0])).long().tolist()
    clean = to_batch([pixels[0][i] for i in picks])
    bad = degrade(clean, draw("judge/shown bad"))
    plain = torch.tensor(BACKGROUND)[:, None, None]
    rows = [rgba[:, :3] + (1 - rgba[:, 3:]) * plain for rgba in (clean, bad)]
    rows.append(before_any_background(bad, draw("judge/shown background")))
    path = Path(cfg.folder) / "pictures.png"
    write_picture(path, grid(torch.cat(rows).clamp(0, 1), len(picks), enlarge=1))
    return path


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    torch.set_num_threads(1)
    render(Path(cfg.folder) / "world", cfg.seed, cfg.shards)
    render(Path(cfg.folder) / "fresh", cfg.seed + FRESH, cfg.fresh_shards)
    print(show(cfg))
    fit(cfg)
    print(judge_errors.table(measure(cfg)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
