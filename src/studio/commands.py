"""From what is asked for on the page to a job, and from a run back to the shortest command that makes it."""

import shlex
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.config import LOSSES, NOT_IDENTITY, as_dict, run_name
from src.door import CONF, explain, settings
from src.errors import UserError
from src.quoting import written
from src.run.folder import leaves
from src.studio.trainings import Job

OUTPUTS = "outputs"  # where runs go that nobody tells otherwise
OFFERED = tuple(name for name in LOSSES if name != "dds")  # an edit begins from another run
LOOKS = 25  # at a run while it trains, at least: so often it saves
_composing = threading.Lock()  # Hydra composes one at a time


def compose(arguments: Sequence[str]) -> Any:
    """The settings that arguments lead to; raises UserError with the one sentence about what is wrong."""
    with _composing:
        try:
            return settings(*arguments)
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                raise
            raise UserError(sentence) from error


def job_for(asked: Mapping[str, Any], outputs: Path) -> Job:
    """The job for a prompt, loss, scale, seed and preset; raises UserError for anything else.

    There are no other settings here: some of them name files, and the page may touch no others than runs.
    """
    if unknown := set(asked) - {"prompt", "loss", "scale", "seed", "preset"}:
        raise UserError(f"{min(unknown)} is no setting of this page: give such a command in a terminal")
    prompt, loss = str(asked.get("prompt", "")), str(asked.get("loss", "nfsd"))
    preset, seed, scale = (str(asked.get(name, "")).strip() for name in ("preset", "seed", "scale"))
    if loss not in OFFERED:
        raise UserError(f"loss={loss} is not offered here: choose one of {', '.join(OFFERED)}")
    if seed and not seed.isdecimal():
        raise UserError(f"seed={seed} is of the wrong kind: give a whole number from 0 up")
    if preset and not preset.isalnum():
        raise UserError(f"preset={preset} does not exist")
    arguments = [f"prompt={prompt}", f"loss={loss}"]
    if scale:
        try:
            arguments.append(f"loss.guidance_scale={float(scale):g}")
        except ValueError:
            raise UserError(f"scale={scale} is of the wrong kind: give a number") from None
    arguments += [f"seed={int(seed)}"] if seed else []
    arguments += [f"preset={preset}"] if preset else []
    cfg = compose(arguments)
    name = run_name(cfg)
    where = [] if outputs == Path(OUTPUTS) else [f"out={outputs / name}"]
    shows = {"prompt": cfg.prompt, "loss": loss, "scale": cfg.loss.guidance_scale, "seed": cfg.seed}
    shows |= {"preset": cfg.preset, "steps": cfg.steps}
    often = min(cfg.logging.checkpoint_every, max(1, cfg.steps // LOOKS))
    return Job(name, [*arguments, *where, f"logging.checkpoint_every={often}"], shows)


def job_again(name: str, folder: Path, found: Mapping[str, Any]) -> Job:
    """The job that goes on with a run, whoever began it, from its own settings."""
    shows = {key: found.get(key) for key in ("prompt", "seed", "preset", "steps")}
    shows |= {"loss": found["loss"]["name"], "scale": found["loss"].get("guidance_scale")}
    return Job(name, [f"from={folder}", f"out={folder}"], shows)


def command_of(folder: Path, found: Mapping[str, Any]) -> str:
    """The shortest command line that makes a run with these settings (those of its config.yaml)."""
    arguments = [f"prompt={found['prompt']}", f"loss={found['loss']['name']}"]
    if found.get("generator", "nerf") != "nerf":
        arguments.append(f"generator={found['generator']}")
    arguments.append(f"preset={found['preset']}")
    prior = found.get("prior", {}).get("name", "")
    usual = compose([f"prompt={found['prompt']}", f"preset={found['preset']}"]).prior.name
    if prior != usual and (CONF / "prior" / f"{prior}.yaml").is_file():
        arguments.append(f"prior={prior}")
    needed = [f"source={found['source']}"] if found.get("source") else []
    before = dict(leaves(as_dict(compose([*arguments, *needed]))))
    arguments += needed
    arguments += [
        f"{name}={value if isinstance(value, str) else written(value)}"
        for name, value in leaves(dict(found))
        if name in before and before[name] != value and (name == "steps" or not _beside_the_point(name))
    ]
    if folder != Path(OUTPUTS) / run_name(compose(arguments)):
        arguments.append(f"out={folder}")
    return "python -m src.train " + shlex.join(arguments)


def _beside_the_point(name: str) -> bool:
    return (
        name.partition(".")[0] in NOT_IDENTITY or name.endswith(".backend") or name in ("prompt", "loss.name")
    )
