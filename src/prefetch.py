"""Fetch and check a prior's files without training: python -m src.prefetch prior=sd21

    python -m src.prefetch prior.path=/models/sd21-base

Takes the settings of src.train, of which only those of the prior matter; without prior= it is the paper's.
Files that are there already are not fetched again. Prints where they lie and how large they are.
"""

import sys
from dataclasses import replace

from hydra import compose, initialize_config_dir

from src import command_line
from src.door import CONF, from_hydra, one_sentence, register
from src.errors import UserError
from src.guidance.load import announce, load_prior
from src.guidance.prior import Precision, PriorConfig


def prefetch(cfg: PriorConfig) -> None:
    """Fetch what is missing, load all of it once, and print where it lies; raises UserError."""
    # Half precision is that of the files, which are then mapped into memory instead of being converted.
    prior = load_prior(replace(cfg, precision=Precision.float16), "cpu")
    announce(cfg, prior)
    if not prior.sources:
        print(f"prior={cfg.name} is computed: there is nothing to fetch")
    for source in prior.sources.values():
        print(source.folder)
        files = source.weights()
        for file in files:
            print(f"  {file.stat().st_size / 1e6:8.1f} MB  {file.relative_to(source.folder)}")
        print(f"  {sum(file.stat().st_size for file in files) / 1e6:8.1f} MB  in all")


@one_sentence
def main(arguments: list[str]) -> int:
    """Prefetch what the arguments name; returns the exit code, 2 after one sentence on stderr."""
    if any(argument.startswith("-") for argument in arguments):
        raise UserError("src.prefetch takes settings only, as in prior=sd21 or prior.path=FOLDER")
    register()
    # A run's settings want a prompt and a preset; the prompt changes nothing here.
    given = [argument for argument in arguments if not argument.startswith(("prompt=", "prompts="))]
    given.append("prompt=none")
    if not any(argument.startswith("preset=") for argument in given):
        given.append("preset=paper")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = from_hydra(compose("train", command_line.prepare(given, CONF)))
    prefetch(cfg.prior)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
