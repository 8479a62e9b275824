"""How different a prior's answers to one vague question are: `python -m src.evaluation.prior.variety`.

"An animal" covers twelve kinds; how many of them are drawn?  Samples by DDIM; the judge says which of all
kinds it sees.  On a prior whose answers to a question are all alike, one loss looks like another.
"""

import math
import sys
from collections import Counter
from dataclasses import dataclass

import torch
from tqdm import tqdm

from src.arguments import in_range, parse, to_write
from src.door import one_sentence
from src.errors import UserError
from src.evaluation.judge.judge import BUNDLED, Judge, load_judge
from src.evaluation.judge.wording import Question, Saying
from src.evaluation.prior.score import BATCH
from src.evaluation.verdict import answers, chosen
from src.export.picture import write_picture
from src.guidance.load import load_prior
from src.guidance.prior import Prior, PriorConfig
from src.guidance.sampling import ddim
from src.run.checkpoint import write_atomically
from src.streams import Streams
from src.toybox.sample import grid
from src.toybox.world.captions import Subject, covered
from src.toybox.world.shapes import KINDS

COLUMNS = 16


@dataclass
class Settings:
    """What the command line can change."""

    prompt: str = "an animal|a vehicle|a building|some food|a toy|a vessel"
    n: int = 48  # samples a prompt
    path: str = "src/toybox/weights"
    guidance_scale: float = 7.5
    steps: int = 50
    seed: int = 0
    judge: str = BUNDLED
    out: str = "outputs/prior-variety"  # .md and .png

    def __post_init__(self) -> None:
        in_range(self, ["n"], 1, 10**4)
        in_range(self, ["steps"], 1, 1000)
        in_range(self, ["guidance_scale"], 0, 1000)
        in_range(self, ["seed"], 0, 2**63 - 1)
        for prompt in self.prompts():
            if not covered(prompt):
                raise UserError(f"prompt={prompt} is no vague question: try an animal, or some red food")

    def prompts(self) -> list[str]:
        """The prompts, one by one."""
        return [prompt.strip() for prompt in self.prompt.split("|")]


def samples(prior: Prior, prompt: str, cfg: Settings) -> torch.Tensor:
    """Pictures [n, 3, H, W] in [0, 1]."""
    found = []
    for start in range(0, cfg.n, BATCH):
        noise = Streams(cfg.seed, start)(f"prior-variety/{prompt}")
        texts = [prompt] * min(BATCH, cfg.n - start)
        found.append(prior.decode(ddim(prior, texts, cfg.guidance_scale, cfg.steps, noise)))
    return torch.cat(found)


def kinds_seen(judge: Judge, images: torch.Tensor) -> list[str]:
    """Which of all kinds the judge sees in each picture."""
    options = answers(judge, Question(tuple(Saying(Subject(kind)) for kind in KINDS), 0))
    return [list(KINDS)[index] for index in chosen(judge.images(images), options)]


def row(prompt: str, seen: list[str]) -> str:
    """A line of the table: how many covered kinds were drawn, how evenly, and what else was."""
    wanted = covered(prompt)
    counts = Counter(kind for kind in seen if kind in wanted)
    total = sum(counts.values())
    entropy = -sum(n / total * math.log(n / total) for n in counts.values())
    missing = ", ".join(kind for kind in wanted if kind not in counts) or "-"
    share = f"{total / len(seen):.0%} of {len(seen)}"
    return f"| {prompt} | {share} | {len(counts)} of {len(wanted)} | {math.exp(entropy):.1f} | {missing} |"


def measure(cfg: Settings) -> str:
    """Draw, ask, write; returns the table."""
    written, picture = to_write(f"{cfg.out}.md"), to_write(f"{cfg.out}.png")
    judge, prior = load_judge(cfg.judge), load_prior(PriorConfig(path=cfg.path), "cpu")
    lines = [
        "| question | answers it | kinds drawn | as many even ones | never drawn |",
        "|---|---|---|---|---|",
    ]
    sheet = []
    for prompt in tqdm(cfg.prompts(), desc="questions"):
        images = samples(prior, prompt, cfg)
        lines.append(row(prompt, kinds_seen(judge, images)))
        sheet.append(images[:COLUMNS])
    text = "\n".join(lines) + "\n"
    write_atomically(written, text.encode())
    write_picture(picture, grid(torch.cat(sheet), min(cfg.n, COLUMNS), enlarge=1))
    return text


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    print(measure(parse(Settings, arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
