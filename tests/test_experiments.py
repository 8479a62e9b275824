"""The paper's experiments in conf/: its prompts word for word, its settings, their labels and their cost."""

import dataclasses
import functools
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from src import door
from src.config import RunConfig, as_dict
from src.guidance.schedule import Stage
from tests.runs import settings

CONF = Path(__file__).parent.parent / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
LABELLED = [CONF / "preset" / "paper.yaml", *sorted((CONF / "experiment").glob("*.yaml"))]

# As the paper prints them: captions of figures 2 and 9, A.1 to A.4, and below the pictures.
PRINTED = {
    "paper_fig2": "with the prompts “A photo of a horse in a meadow” and “A statue of Buddha”.",
    "paper_fig3": "using DDIM sampling with the prompts “a pretty cat on a sand” and “a cow in a field”.",
    "paper_fig6": "“A huge Hedgehog”, “a soldier iron decor pen holder”, “a trunk up statue of an Elephant"
    " with Thailand Decoration, side view”, “a photo of a vase with sunflowers”, “a brass statue of a"
    " dragonfly” and “a rainbow colored wings spread parrot”.",
    "paper_fig7": "“A metal lying Buddha” “A cake made of ice” “A photo of sunset, winter, river” “A white"
    " dog sleeping” “A fire with smoke”",
    "paper_fig8": "“a eagle catching a snake”, “a golden statue of a fairy angel with white wings”, “a metal"
    " gargoyle statue with white wings, “a silver metal running horse on a table glass”, “a huge Hystrix”"
    " and “a phoenix in golden cage”.",
    "paper_fig9": "In the top row we used the prompt “A plate piled high with chocolate chip cookies”, and in"
    " the bottom one we used “A 3D model of an adorable cottage with a thatched roof”.",
    "paper_fig10": "“Michelangelo style statue of dog reading news on a cellphone” “pink flamingo in"
    " paradise” “Orangutan eating a banana” “[*] a baby bunny sitting on top of a stack of pancakes” “A rat"
    " driving a car” “A two headed fire dragon with small wings”",
    "paper_fig11": "“A highly detailed statue of a dinosaur made of leaves” “Decorative mosaic of the"
    " mythological Chinese dragon” “[...] Tower Bridge made out of gingerbread and candy” “A camel with a"
    " colorful saddle” “a ceramic lion” “A golden statue of a fairy angel with white wings” “A sculpture of"
    " cleopatra with ceremonial decoration” “A ripe strawberry” “A robotic butterfly on a metal flower” “A"
    " DSLR photo of a classic Packard car” “A small saguaro cactus planted in a clay pot” “A white cat"
    " sleeping” “Railing tangga mewah” “A tumbaga pendant depicting a cat”",
    "paper_fig13": "“A marble bust of a mouse” “A car made of sushi”",
    "paper_fig14": "“A ripe strawberry” “A small saguaro cactus planted in a clay pot” “A rabbit, animated"
    " movie character, high detail 3d mode”",
    "paper_fig15": "“A stack of pancakes covered in maple syrup” “A delicious croissan” “An ice cream sundae”"
    " “A baby bunny sitting on top of a stack of pancakes” “A hamburger”",
    "paper_fig16": "“Baby dragon hatching out of a stone egg” “An iguana holding a balloon” “A blue tulip” “a"
    " cauldron full of gold coins”",
    "paper_fig17": "“Bagel filled with cream cheese and lox” “A plush dragon toy” “A ceramic lion” “Tower"
    " Bridge made out of gingerbread and candy”",
}
ABBREVIATED = {
    "[*]": "A zoomed out DSLR photo of",
    "[...]": "A wide angle zoomed out DSLR photo of zoomed out view of",
}


@functools.cache
def composed(*arguments: str) -> RunConfig:
    return settings("prompt=a", "preset=paper", *arguments)


def unet_passes(cfg: RunConfig) -> float:
    """How many rows the UNet is expected to evaluate in a run: each stage's mean over its range of t."""
    stages = Counter(cfg.schedule.at(step) for step in range(cfg.steps))

    def rows(stage: Stage) -> float:
        t = torch.arange(stage.t_min, stage.t_max + 1)
        return float(sum(mask.sum() for mask in cfg.loss.needs(t).values())) / len(t)

    learnt = cfg.steps if cfg.loss_name == "vsd" else 0  # by the critic
    return cfg.batch_size * (sum(steps * rows(stage) for stage, steps in stages.items()) + learnt)


def header(experiment: str) -> str:
    lines = (CONF / "experiment" / f"{experiment}.yaml").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith("#"))


@pytest.mark.parametrize("prompts", PRINTED)
def test_prompts_are_the_papers(prompts: str) -> None:
    """Oracle: the paper's own print, its quotation marks and abbreviations resolved."""
    pieces = re.findall("“([^“”]*)", PRINTED[prompts])  # one closing mark is missing in the paper
    expected = [piece.strip(" ,") for piece in pieces]
    for mark, words in ABBREVIATED.items():
        expected = [prompt.replace(mark, words) for prompt in expected]
    assert yaml.safe_load((CONF / "prompts" / f"{prompts}.yaml").read_text("utf-8")) == expected


def test_every_figure_with_prompts_is_there() -> None:
    """Oracle: the figures of the paper that name prompts; 1, 4, 5 and 12 name none of their own."""
    lists = {path.stem for path in (CONF / "prompts").glob("paper_fig*.yaml")}
    assert lists == set(PRINTED) == {f"paper_fig{n}" for n in (2, 3, *range(6, 12), *range(13, 18))}


def test_every_nerf_figure_is_there() -> None:
    """Oracle: the figures of the paper that show NeRFs of named prompts."""
    assert set(EXPERIMENTS) == {f"paper_fig{figure}" for figure in (6, *range(8, 18))}


@pytest.mark.parametrize("figure", [6, 9, 10, 11, 12])
def test_figures_of_nfsd_alone_are_the_preset(figure: int) -> None:
    """Oracle: the preset itself, which is the paper's section 6."""
    assert as_dict(composed(f"experiment=paper_fig{figure}")) == as_dict(composed())


def test_the_papers_nfsd_stays_the_papers_with_another_prior() -> None:
    """Oracle: the preset paper's loss, where the bundled prior has a cut and a w(t) of its own."""
    elsewhere = settings("prompt=a", "preset=laptop")
    assert elsewhere.loss != composed().loss
    assert settings("prompt=a", "preset=laptop", "experiment=paper_fig6").loss == composed().loss


@pytest.mark.parametrize(("loss", "scale"), [("nfsd", 7.5), ("sds", 100.0)])
def test_figure_8_differs_in_annealing_alone(loss: str, scale: float) -> None:
    """Oracle: the paper: no annealing there, the same seed for both losses, SDS at 100, NFSD at 7.5."""
    cfg, plain = composed("experiment=paper_fig8", f"loss={loss}"), composed(f"loss={loss}")
    assert (cfg.loss_name, cfg.loss.guidance_scale, cfg.seed) == (loss, scale, 0)
    assert cfg.schedule.at(24_999) == Stage(512, 20, 980)
    schedule = dataclasses.replace(cfg.schedule, t_max_after=plain.schedule.t_max_after)
    assert dataclasses.replace(cfg, schedule=schedule, out=plain.out) == plain


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_header_gives_command_and_cost(experiment: str) -> None:
    """Oracle: the passes summed over the composed schedule, to the hundred that the header rounds to; the
    command names this experiment and a list of prompts that exists.
    """
    said = header(experiment)
    (command,) = re.findall(r"python -m src\.train (.*)", said)
    assert f" experiment={experiment} " in command
    (prompts,) = re.findall(r"prompts=(\w+)", command)
    count = len(yaml.safe_load((CONF / "prompts" / f"{prompts}.yaml").read_text("utf-8")))
    columns = (re.findall(r"(loss|system)=(\S+)", said) or [("loss", "nfsd")])[0]
    each = [
        sum(
            map(
                unet_passes,
                door.stages("prompt=a", "preset=paper", f"{columns[0]}={name}", f"experiment={experiment}"),
            )
        )
        for name in columns[1].split(",")
    ]
    cost = said[said.index("Cost: ") :].split(".\n")[0]
    named = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*,\d00(?!\d)", cost)]
    for passes in (*each, count * sum(each)):
        assert any(abs(number - passes) <= 50 for number in named), (passes, named)


@pytest.mark.parametrize("file", LABELLED, ids=lambda file: file.stem)
def test_every_value_says_where_it_is_from(file: Path) -> None:
    """Oracle: a line that sets a value ends in a comment that begins with its source."""
    lines = [line for line in file.read_text("utf-8").splitlines() if re.match(r"[^#]*\w: *[^\s#]", line)]
    assert [
        line
        for line in lines
        if not re.search(r"# (paper|closest public config|ours)\b", line) and line != "preset: paper"
    ] == []
