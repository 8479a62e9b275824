"""What a GPU makes of all this, in one file to send: python -m src.gpu_report [device=cuda] [out=FILE]

What one made of it is in docs/gpu.md.  This says what machine that is, runs the tests that need one, and
times training with every backend that works: 200 steps at 64x64 and 20 at 512x512 with a network of Stable
Diffusion 2.1's size and random weights (2.6 GB, made once in outputs/), and one run with the bundled prior.
What fails is written down, and the rest goes on.  With device=cpu everything is small, to see that it runs
through.
"""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from src.arguments import parse, to_write
from src.config import check_device
from src.door import one_sentence
from src.guidance import replica
from src.run.folder import provenance, read_manifest


@dataclass
class Settings:
    """On what, and where the report goes."""

    device: str = "cuda"
    out: str = "outputs/gpu-report.md"


SMALL = (
    "prior.latent_size=8", "schedule.resolution=16", "schedule.resolution_after=32",
    "field.hash_grid.levels=4", "field.hash_grid.log2_table=12", "field.hash_grid.max_resolution=64",
    "render.samples_per_ray=64", "video.size=64",
)  # fmt: skip
BACKENDS = (("torch", "torch"), ("torch", "triton"), ("torch", "tcnn"), ("nerfacc", "torch"))


def sections(device: str, scratch: Path) -> Iterator[tuple[str, list[str]]]:
    """What is run, each a title and the arguments of a Python process."""
    on_cuda = device != "cpu"
    if on_cuda:
        yield "tests that need a GPU", ["-m", "pytest", "-q", "-m", "gpu"]
    weights = Path("outputs") / ("replica-full" if on_cuda else "replica-tiny")
    if not weights.exists():
        replica.write(weights, "full" if on_cuda else "tiny")
    paper = ["preset=paper", f"prior.path={weights}", "video.views=2", *(() if on_cuda else SMALL)]
    lengths = (
        {"64x64": (200, 10**6), "512x512": (20, 0)} if on_cuda else {"16x16": (2, 10**6), "32x32": (2, 0)}
    )
    for render, encode in BACKENDS if on_cuda else BACKENDS[:1]:
        for name, (steps, switch) in lengths.items():
            backends = [f"render.backend={render}", f"field.hash_grid.backend={encode}"]
            length = [f"steps={steps}", f"schedule.switch_step={switch}", "logging.preview_every=1000000"]
            title = f"{steps} steps of preset=paper at {name}, march {render}, hash grid {encode}"
            yield title, train(device, scratch, *paper, *backends, *length)
    short = () if on_cuda else ("steps=3", "video.views=2")
    yield "the bundled prior", train(device, scratch, "preset=bench", *short)


def train(device: str, scratch: Path, *settings: str) -> list[str]:
    """Arguments of a training run in a folder of its own."""
    out = scratch / f"run-{len(list(scratch.iterdir()))}"
    out.mkdir()
    return ["-m", "src.train", "prompt=a ceramic lion", f"device={device}", f"out={out}", *settings]


def report(device: str, file: Path) -> None:
    """Run everything and write the file after each section, so that an interrupted report is one, too."""
    lines = ["# GPU report", "", *facts(device)]
    with TemporaryDirectory() as scratch:
        for title, arguments in sections(device, Path(scratch)):
            print(title, flush=True)
            began = time.perf_counter()
            done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
            seconds = time.perf_counter() - began
            said = (done.stdout + "\n" + (done.stderr if done.returncode else "")).strip().splitlines()
            lines += ["", f"## {title}", "", f"exit code {done.returncode} after {seconds:.0f} s", "", "```"]
            lines += [*said[-25:], "```", *spent(arguments)]
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{file}: please send it", flush=True)


def facts(device: str) -> list[str]:
    """The machine and the software, a line each."""
    found = [
        f"- {platform.platform()}, Python {platform.python_version()}, torch's CUDA {torch.version.cuda}"
    ]
    if device != "cpu":
        card = torch.cuda.get_device_properties(torch.device(device))
        found.append(f"- {card.name}, {card.total_memory / 1e9:.1f} GB, capability {card.major}.{card.minor}")
    told = provenance()
    return [*found, f"- commit {told['commit']}", f"- {json.dumps(told['versions'])}"]


def spent(arguments: list[str]) -> list[str]:
    """What a step of a training run took by part, from its manifest; nothing of a run that did not end."""
    out = next((Path(each[4:]) for each in arguments if each.startswith("out=")), None)
    told = {} if out is None or not (out / "manifest.json").is_file() else read_manifest(out)
    if not told.get("step"):
        return []
    seconds = dict(told["seconds"])
    rest = seconds.pop("rest", 0.0)
    parts = ", ".join(f"{part} {total / told['step']:.4f}" for part, total in seconds.items())
    memory = told["peak_rss_bytes"] / 1e9
    return [
        "",
        f"seconds a step: {parts}; besides, {rest:.0f} s for the whole run and {memory:.1f} GB of the host's "
        f"memory; parameters {told['parameters_sha256'][:16]}",
    ]


@one_sentence
def main(arguments: list[str]) -> int:
    """Report on what the arguments name; returns the exit code."""
    given = parse(Settings, arguments)
    device = given.device
    check_device(device)
    report(device, to_write(given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
