"""Between a shell and Hydra: texts quoted, the preset chosen, and Hydra's errors put into one sentence."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from src.arguments import typed_path
from src.errors import UserError
from src.quoting import quoted
from src.scene.sketch import ENDINGS

# Commas, brackets, quotes and equals signs in these are the user's own and no grammar of Hydra's.
TEXTS = (
    *("prompt", "prompts.negative", "out", "prior.path", "prior.small_autoencoder", "video.path"),
    *("source", "source_prompt", "prior.lora", "sketch.mesh"),
)
KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}
LAUNCHERS = {name: f"hydra-{name}-launcher" for name in ("joblib", "submitit", "ray")}
# Hydra's, which it reads itself.
FLAGS = (
    "--help -h",
    "--hydra-help",
    "--version",
    "--resolve",
    "--run -r",
    "--multirun -m",
    "--shell-completion",
)
VALUED = (
    "--package -p",
    "--config-path -cp",
    "--config-name -cn",
    "--config-dir -cd",
    "--experimental-rerun",
)
SEE_HELP = "--help lists every setting"


def prepare(arguments: list[str], conf: Path) -> list[str]:
    """Return the arguments as Hydra wants them; raises UserError for flags and forms that it does not know.

    Texts are quoted, `prompts=NAME` becomes a sweep over conf/prompts/NAME.yaml or a file of the user's,
    `sweep=NAME` one in outputs/NAME, `from=RUN` that run's settings before all others, and `preset=` is added
    where the user named none.
    """
    overrides = _overrides(arguments)
    flags = [argument for argument in arguments if argument not in overrides]
    for override in overrides:
        # Launchers leave some of theirs to be added.
        if override.startswith(("+", "~")) and not override.startswith("+hydra."):
            raise UserError(
                f"{override}: settings are neither added nor removed here; write name=value, and {SEE_HELP}"
            )
        if "=" not in override:
            raise UserError(f"{override}: settings are written name=value, and {SEE_HELP}")
    named = dict(override.split("=", 1) for override in overrides)
    ours = ("prompts=", "sweep=", "from=")
    several = is_sweep(arguments)
    overrides = [_quote_text(override, several) for override in overrides if not override.startswith(ours)]
    if "from" in named:
        from src.again import settings_of

        repeated, gone = settings_of(named["from"], named, conf)
        overrides = [*repeated, *overrides]
        if gone:
            print(f"from={named['from']}: there is no {', '.join(gone)} any more", file=sys.stderr)
    if "prompts" in named:
        if "prompt" in named:
            raise UserError("prompt= and prompts= are both given: keep one of them")
        overrides.append(
            "prompt=" + ",".join(quoted(prompt) for prompt in prompt_list("prompts", named["prompts"], conf))
        )
        flags.append("--multirun")
    if (folder := sweep_folder(arguments)) is not None:
        if "sweep" in named:
            overrides.append(f"out={quoted(str(folder))}")
            flags.append("--multirun")
        overrides.append(f"hydra.sweep.dir={quoted(str(folder))}")  # what launchers and Hydra leave behind
    if "preset" not in named and "from" not in named:
        overrides.append(f"preset={choose_preset(named.get('device'))}")
    return [*overrides, *flags]


def sweep_folder(arguments: list[str]) -> Path | None:
    """The folder of a sweep that has one of its own, by sweep=NAME or by --multirun out=FOLDER.

    Raises UserError for a name that is no folder's, and where both are given.
    """
    named = dict(override.partition("=")[::2] for override in _overrides(arguments))
    name, out = named.get("sweep"), named.get("out")
    if name is None:
        several = "prompts" in named or is_sweep(arguments)
        return Path(typed_path(out, "out")) if out and out.strip() and several else None
    if out is not None:
        raise UserError("sweep= and out= are both given: sweep=NAME means out=outputs/NAME, keep one of them")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"sweep={name} is no name: use letters, digits, points, - and _, as in sweep=cfg")
    return Path("outputs") / name


def is_sweep(prepared: list[str]) -> bool:
    """Whether prepared arguments ask for one run for every combination."""
    return bool({"-m", "--multirun"} & set(prepared))


def swept(prepared: list[str]) -> list[str]:
    """The settings of which prepared arguments name several values; HydraException if they cannot be read."""
    parsed = OverridesParser.create().parse_overrides(_overrides(prepared))
    return [override.key_or_group for override in parsed if override.is_sweep_override()]


def choose_preset(device: str | None) -> str:
    """Choose the preset for this machine: the paper's needs CUDA, the laptop's needs nothing."""
    return "paper" if torch.cuda.is_available() and device != "cpu" else "laptop"


def why_preset(arguments: list[str]) -> str:
    """Say why a run has the preset it has."""
    if any(argument.startswith("preset=") for argument in arguments):
        return "as given"
    if again := [argument for argument in arguments if argument.startswith("from=")]:
        return f"that of {again[-1].removeprefix('from=')}"
    if "device=cpu" in arguments:
        return "device=cpu, so the bundled prior guides at a laptop's size"
    if torch.cuda.is_available():
        return "there is a CUDA device, so Stable Diffusion 2.1-base guides at the paper's settings"
    return "there is no CUDA device, so the bundled prior guides at a laptop's size"


def explain(error: Exception, keys: list[str]) -> str | None:
    """Put an error of Hydra's or OmegaConf's into one sentence; None for any other error."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, MissingMandatoryValue):
        name = cause.full_key or "prompt"
        return (
            f'{name} is missing: give it, as in prompt="a ceramic lion"'
            if name == "prompt"
            else f"{name} is missing"
        )
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        options = ", ".join(error.options or [])
        if group == "hydra/launcher" and (package := LAUNCHERS.get(option.partition("_")[0])):
            return f"{group}={option} is not installed: pip install {package}, or choose one of {options}"
        return f"{group}={option} does not exist: choose {group}= one of {options}"
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read as name=value: quote the value within the shell's quotes"
    if isinstance(error, ConfigCompositionException) and str(error).startswith("Ambiguous value"):
        override = str(error).splitlines()[0].split("argument ")[-1].strip("'")
        return f"{override} names several values: add --multirun to run them all, or keep one"
    if isinstance(cause, OmegaConfBaseException):
        return _explain_value(error, cause, keys)
    if isinstance(error, HydraException) or "Config group override" in str(error):
        return f"{_one_line(error)}: {SEE_HELP}"
    return None


def _explain_value(error: Exception, cause: OmegaConfBaseException, keys: list[str]) -> str:
    name, said = cause.full_key or "", str(cause).splitlines()[0]
    where = re.match(r"In '([^']+)'", str(error))
    place = f"conf/{where.group(1)}.yaml: " if where else ""
    if re.match(r"Key '.*' (not in|is not in)", said):
        if name in keys:  # only losses differ in their settings
            return f"{place}{name} is no setting of this loss: leave it out or choose the loss that has it"
        near = nearest(name, keys)
        known = f"did you mean {' or '.join(near)}? " if near else ""
        return f"{place}there is no setting {name}: {known}{SEE_HELP}"
    typed = re.match(
        r"Value '(.*)' (?:of type '.*' could not be converted to|is not a valid) (\w+)", said, re.DOTALL
    )
    if typed and typed[2] in KINDS:
        return f"{place}{name}={typed[1]} is of the wrong kind: give {KINDS[typed[2]]}"
    choice = re.match(r"Invalid value '(.*)', expected one of \[(.*)\]", said, re.DOTALL)
    if choice:
        return f"{place}{name}={choice[1]} is unknown: choose one of {choice[2]}"
    return f"{place}{name}: {said}; {SEE_HELP}"


def nearest(name: str, keys: Iterable[str]) -> list[str]:
    """Return up to three settings whose names look like `name`, most alike first."""
    group, _, last = name.rpartition(".")

    def likeness(key: str) -> float:
        key_group, _, key_last = key.rpartition(".")
        by_last = difflib.SequenceMatcher(None, last, key_last).ratio() - 0.1 * (group != key_group)
        return max(by_last, difflib.SequenceMatcher(None, name, key).ratio())

    alike = [key for key in dict.fromkeys(keys) if likeness(key) >= 0.6]
    return sorted(alike, key=likeness, reverse=True)[:3]


def _quote_text(override: str, several: bool) -> str:
    name, value = override.split("=", 1)
    if name == "prompt" and re.fullmatch(r"""("[^"]*"|'[^']*')(\s*,\s*("[^"]*"|'[^']*'))+""", value):
        each = [text[1:-1] for text in re.findall(r"""\"[^"]*"|'[^']*'""", value)]
        if not several:
            raise UserError(
                f"prompt={value} is {len(each)} prompts: add --multirun to run them all, or keep one"
            )
        return "prompt=" + ",".join(map(quoted, each))
    if name == "prior.source" and "[" not in value:  # one id, or several runs' ids
        return f"{name}={','.join(f'[{each}]' for each in value.split(','))}"
    pair = name == "video.size" and re.fullmatch(r"\d+, *\d+", value)  # one size, not two values
    stage = re.fullmatch(r"stage\.[^.]+\.(.*)", name)  # a system's own: Hydra cannot know its stages
    setting = stage[1] if stage else name
    is_text = setting in TEXTS and not (value == "null" and setting not in ("prompt", "prompts.negative"))
    written = f"{name}={quoted(value)}" if is_text or pair else override
    if several and name == "sketch.mesh" and all(each.endswith(ENDINGS) for each in value.split(",")):
        written = f"{name}={','.join(map(quoted, value.split(',')))}"
    return f"++{written}" if name.startswith("stage.") else written


def prompt_list(setting: str, name: str, conf: Path) -> list[str]:
    """Read conf/prompts/NAME.yaml or the file at a path, which `setting` names: a list of texts.

    Raises UserError if it is none.
    """
    lists = {path.stem: path for path in sorted((conf / "prompts").glob("*.yaml"))}
    if name.endswith((".yaml", ".yml")):
        lists[name] = Path(typed_path(name, setting))
    if name not in lists:
        raise UserError(
            f"{setting}={name} does not exist: choose {setting}= one of {', '.join(lists)}, or a FILE.yaml"
        )
    try:
        prompts = yaml.safe_load(lists[name].read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"{setting}={name} cannot be read ({_one_line(error)}): name a list of texts"
        ) from error
    if not (isinstance(prompts, list) and prompts and all(isinstance(prompt, str) for prompt in prompts)):
        raise UserError(f"{setting}={name}: {lists[name]} must be a list of texts, each in quotes")
    return prompts


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _overrides(arguments: list[str]) -> list[str]:
    """What is left when Hydra's own flags are taken away, wherever they stand."""
    parser = argparse.ArgumentParser(add_help=False)
    for flag in FLAGS:
        parser.add_argument(*flag.split(), action="store_true")
    for flag in VALUED:
        parser.add_argument(*flag.split())
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--info", "-i", nargs="?")
    parser.add_argument("overrides", nargs="*")

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}: settings are written name=value, and {SEE_HELP}")

    parser.error = refuse  # type: ignore[method-assign]
    return list(parser.parse_intermixed_args(arguments).overrides)
