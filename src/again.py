"""A run's settings as arguments: what a run wrote begins another, with whatever is changed beside it.

A mesh has to begin from something, so with generator=mesh a scene's run hands over its object as well.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from src.arguments import typed_path
from src.config import RunConfig, setting_names
from src.errors import UserError
from src.quoting import quoted, written
from src.run.folder import leaves, read_settings, say_what_changed

# Where and on what a run is computed, and what is said of it once, are not taken over.
LEFT = (
    *("preset", "out", "fresh", "plan", "plan_tflops", "device", "threads", "loss.name", "generator"),
    "system",  # a stage is repeated as a run of its own
)


def settings_of(place: str, named: Mapping[str, str], conf: Path) -> tuple[list[str], list[str]]:
    """Arguments that repeat a run's settings, and the names of those that there are no more.

    `place` is the run's folder or its config.yaml, `named` what else was given: a loss= or prior= of the
    user's own leaves out the run's.  Values are Hydra's.  Raises UserError where there is no run, and for
    preset= and experiment=, which would set everything anew.
    """
    path = Path(typed_path(place, "from"))
    folder = path.parent if path.name == "config.yaml" else path
    found = read_settings(folder)
    if found is None:
        raise UserError(f"from={place} is no run's folder: name one that holds a run's config.yaml")
    say_what_changed(folder)
    if clash := [name for name in ("preset", "experiment") if name in named]:
        raise UserError(f"from= and {clash[0]}= are both given: keep one of them")
    groups = {"loss": str(found["loss"]["name"]), "preset": str(found.get("preset", "smoke"))}
    before = str(found.get("generator", "nerf"))
    options = {"prior": str(found.get("prior", {}).get("name", "")), "generator": before}
    for group, option in options.items():  # a prior's name may be a label of the user's own
        if (conf / group / f"{option}.yaml").is_file():
            groups[group] = option
    chosen = [f"{group}={option}" for group, option in groups.items() if group not in named]
    values, gone, known = [], [], set(setting_names(RunConfig))
    skipped = {*LEFT, *named, *(["prompt"] if "prompts" in named else [])}
    if named.get("generator", before) != before:  # another's own settings are its own
        skipped |= _set_by(conf / "generator" / f"{named['generator']}.yaml") | {"source"}
        if named["generator"] == "mesh" and "source" not in named:
            chosen.append(f"source={quoted(str(path.parent if path.name == 'config.yaml' else path))}")
    for name, value in leaves(found):
        if name in skipped or name.partition(".")[0] in {"loss", "prior"} & set(named):
            continue
        if name in known:
            values.append(f"{name}={written(value)}")
        else:
            gone.append(name)
    return [*chosen, *values], gone


def _set_by(group: Path) -> set[str]:
    if not group.is_file():
        return set()  # Hydra says that there is no such
    return {name for name, _ in leaves(yaml.safe_load(group.read_text(encoding="utf-8")))}
