"""A run's folder: made, checked and cleared before step 0, with a manifest of what ran where.

config.yaml  manifest.json  metrics.jsonl  events/  checkpoints/  previews/  previews.png
turntable.mp4  turntable.webp  sheet.png
"""

import errno
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout
from torch import nn

from src.config import MOST_PARTICLES, RunConfig, as_dict, identity, later_defaults
from src.errors import UserError
from src.model import CHECKPOINTS
from src.run import checkpoint
from src.run.checkpoint import write_atomically
from src.run.machine import peak_rss_bytes
from src.run.seal import file_sha256, is_whole, sealed, sealed_text, unsealed

# Everything that a run writes, and nothing else, may be removed or replaced in its folder.
FILES = (
    *("config.yaml", "manifest.json", "metrics.jsonl", "previews.png", "turntable.mp4", "turntable.webp"),
    *("sheet.png", "picture.png", "handover.png", "sway.mp4", "sway.webp"),
    *(f"particle-{i}.webp" for i in range(1, MOST_PARTICLES)),
    *("evaluation.json", "evaluation.png", "evaluation.safetensors"),
)
OURS = (*FILES, "events", CHECKPOINTS, "previews")
INSIDE = {
    CHECKPOINTS: re.compile(r"\.?step-\d{8,}\.(safetensors|broken\d*|part)"),
    "previews": re.compile(r"(\.part\.)?step-\d{8,}\.png"),
    "events": re.compile(r"events\.out\.tfevents\..+"),
}
PLACES = ("prior.path", "prior.small_autoencoder", "prior.source", "prior.lora", "source", "sketch.mesh")
LOCK = ".lock"
PACKAGES = (
    *("torch", "diffusers", "transformers", "numpy", "safetensors", "hydra-core", "nfsd3d"),
    *("nerfacc", "tinycudann"),
)


def open_folder(cfg: RunConfig) -> Path:
    """Make the run's folder unless it is there; raises UserError if it cannot be made or written, or holds
    files under our names that no run of ours left.
    """
    assert cfg.out is not None
    folder = Path(cfg.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        foreign = [name for name in OURS if os.path.lexists(folder / name)]
        if foreign and not holds_run(folder):
            raise UserError(
                f"out={cfg.out} holds {', '.join(foreign)}, which no run of this program left there: choose "
                "another folder with out=FOLDER, or move them away"
            )
    except OSError as error:
        raise UserError(
            f"out={cfg.out} cannot be written ({error.strerror}): choose another folder with out=FOLDER"
        ) from error
    return folder


def holds_run(folder: Path) -> bool:
    """Whether a run of ours began here: by its manifest, settings or checkpoint, whichever is whole."""
    told = {"prompt", "versions"} <= set(read_manifest(folder))
    return told or read_settings(folder) is not None or _has_checkpoint(folder)


def read_settings(folder: Path) -> dict[str, Any] | None:
    """What a run's config.yaml says; None where there is none of ours, or it cannot be read."""
    try:
        found = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    ours = isinstance(found, dict) and isinstance(found.get("loss"), dict) and "name" in found["loss"]
    return found if ours and {"prompt", "seed", "steps", "batch_size"} <= set(found) else None


def _has_checkpoint(folder: Path) -> bool:
    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            return checkpoint.load_latest(folder / CHECKPOINTS) is not None
    except UserError:
        return False


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other process from training the run in this folder; the system lets go after any kill.

    Raises UserError if another trains it already: a sweep's worker may outlive the command that started it.
    """
    lock = FileLock(folder / LOCK, timeout=0.2)  # whoever only looks (src/studio) lets go at once
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"out={folder} is being trained by another process: wait for it, or stop it first"
        ) from error
    except (OSError, NotImplementedError) as error:  # some network file systems lock nothing
        print(f"{folder} cannot be locked ({error}): no second process may train it", flush=True)
    try:
        yield
    finally:
        lock.release()


def check_own(folder: Path, setting: str, marks: Mapping[str, str], beside: Sequence[str] = ()) -> None:
    """Raise UserError where a file that a command would replace is not one of its own.

    `marks` are names, each with a text that our own file of that name holds; `beside` names what has no text
    and is ours wherever one of those is.
    """
    there = [name for name in marks if os.path.lexists(folder / name)]
    foreign = [name for name in there if not _holds(folder / name, marks[name])]
    foreign += [] if there else [name for name in beside if os.path.lexists(folder / name)]
    if foreign:
        raise UserError(
            f"{setting}={folder} holds {', '.join(foreign)}, which this command did not write and will not "
            "replace: move it away, or name another folder"
        )


def _holds(path: Path, mark: str) -> bool:
    try:
        return mark in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def clear(folder: Path) -> None:
    """Empty the folder of an earlier run's files; foreign files stay."""
    for path in left_by_a_run(folder):
        path.unlink(missing_ok=True)
    for name in INSIDE:
        with suppress(OSError):  # something of the user's is in it, or it is a link to elsewhere
            (folder / name).rmdir()


def write_settings(cfg: RunConfig, folder: Path) -> None:
    """Write config.yaml; after open_manifest, whose record of the settings before is then gone."""
    settings = yaml.safe_dump(as_dict(cfg), sort_keys=False, allow_unicode=True)
    write_atomically(folder / "config.yaml", sealed_text(settings).encode())


def left_by_a_run(folder: Path) -> list[Path]:
    """The files that a run wrote into its folder, checkpoints first: by their names, and by nothing else."""
    inside = [
        path
        for name, ours in INSIDE.items()
        for path in (folder / name).glob("*")
        if ours.fullmatch(path.name)
    ]
    hidden = [form.format(name) for name in FILES for form in (".{}.part", ".part.{}")]
    top = [folder / name for name in (*hidden, *FILES)]
    return [path for path in (*inside, *top) if path.is_file() or path.is_symlink()]


def check_same_run(cfg: RunConfig, saved: Mapping[str, Any]) -> bool:
    """Refuse to continue a run with other settings; raises UserError naming the first that differs.

    Where the prior's files and the source lie is no difference: `check_same_prior` and `check_same_source`
    compare what is in them.  Returns whether they now lie elsewhere.
    """
    defaults, moved = dict(leaves(later_defaults())), False
    now = defaults | dict(leaves(json.loads(json.dumps(identity(cfg)))))
    for name, before in (defaults | dict(leaves(saved))).items():
        after = now.get(name)
        if after != before and name in PLACES:
            moved = True
        elif after != before:
            raise UserError(
                f"out={cfg.out} holds a run with {name}={before}, not {after}: choose another out=FOLDER, or "
                "fresh=true to start over in this one"
            )
    return moved


def check_same_prior(cfg: RunConfig, prior: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuse to continue a run with other weights, wherever they lie; UserError names the first that differ.

    Both are as `Prior.provenance` has them; a run from before manifests said so is taken at its word.
    """
    for part in sorted({*prior, *before} if before else ()):
        now, then = (each.get(part, {}).get("sha256") or {} for each in (prior, before))
        for file in sorted({*now, *then}):
            if now.get(file) != then.get(file):
                same = {"small_autoencoder": "prior.small_autoencoder=FOLDER", "lora": "prior.lora=FILE"}
                was, is_now = (f"{each[file][:12]}…" if file in each else "absent" for each in (then, now))
                what = "LoRA" if part == "lora" else file
                raise UserError(
                    f"out={cfg.out} holds a run whose prior's {what} has the sha256 {was}, not {is_now}: "
                    f"name the same weights with {same.get(part, 'prior.path=FOLDER')}, choose another "
                    "out=FOLDER, or fresh=true to start over in this one"
                )


def source_sha256(cfg: RunConfig) -> str | None:
    """Digest of what this run begins from: a run's parameters, a sketch's file; None if from none, or it is
    gone.
    """
    digest = read_manifest(Path(cfg.source)).get("parameters_sha256") if cfg.source else None
    sketch = file_sha256(Path(cfg.sketch.mesh)) if cfg.sketch.mesh else None
    return "+".join(str(each) for each in (digest, sketch) if each is not None) or None


def check_same_source(cfg: RunConfig, before: str | None) -> None:
    """Refuse to continue a run that began from what has changed since; raises UserError."""
    now = source_sha256(cfg)
    named = {"source": cfg.source, "sketch.mesh": cfg.sketch.mesh}
    began = [f"{name}={value}" for name, value in named.items() if value]
    if None not in (before, now) and before != now:
        raise UserError(
            f"out={cfg.out} began from {' and '.join(began)} as it no longer is: fresh=true starts over from "
            "what it is now, or choose another out=FOLDER"
        )


def check_nothing_lost(folder: Path) -> None:
    """Raise UserError where a run got somewhere, and its checkpoints are gone: a restart would replace it."""
    manifest = read_manifest(folder)
    if manifest.get("step") or manifest.get("resumed_from_steps"):
        reached = f"step {manifest['step']}" if manifest.get("step") else "some step"
        raise UserError(
            f"out={folder} holds the results of a run that reached {reached}, but no checkpoint to go on "
            "from: fresh=true trains it anew and replaces them, or choose another out=FOLDER"
        )


def check_space(folder: Path, modules: Mapping[str, nn.Module], kept: int) -> None:
    """Raise UserError unless the checkpoints (those kept, one being written) and pictures fit the disk."""
    size = sum(p.numel() * p.element_size() for module in modules.values() for p in module.parameters())
    needed = (kept + 1) * 3 * size + 50_000_000  # parameters and two moments each
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"out={folder} has {free / 1e6:.0f} MB left where {needed / 1e6:.0f} MB are needed: free some "
            "space or choose another out=FOLDER"
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what the last sitting wrote; an empty dict if there is nothing to read, said if it is damaged."""
    path = folder / "manifest.json"
    try:
        return unsealed(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        return {}
    except (ValueError, AttributeError) as error:
        _say_damaged(path, str(error))
        return {}


@cache
def _say_damaged(path: Path, why: str) -> None:
    print(f"{path} is damaged and not used ({why})", file=sys.stderr)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json whole, with digests of the files beside it whose numbers somebody will read."""
    digests = {name: file_sha256(folder / name) for name in ("config.yaml", "metrics.jsonl")}
    whole = {**manifest, "files_sha256": digests} if "step" in manifest else dict(manifest)
    write_atomically(folder / "manifest.json", (json.dumps(sealed(whole), indent=2) + "\n").encode())


def say_what_changed(folder: Path) -> None:
    """Say which files of a run are no longer those that it wrote; rows only where it has ended."""
    digests = read_manifest(folder).get("files_sha256", {})
    for name in dict.fromkeys(["config.yaml", *digests]):
        same = name not in digests or file_sha256(folder / name) == digests[name]
        if not (same and (name != "config.yaml" or is_whole(folder / name))):
            print(f"{folder / name} is not what the run wrote: its numbers may be wrong", file=sys.stderr)


def provenance() -> dict[str, Any]:
    """Which software ran: versions, and the commit of the source checkout (None outside of one)."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"versions": found, "commit": commit_of(Path(__file__).parents[2])}


def commit_of(checkout: Path) -> str | None:
    """The commit of a source checkout, marked if dirty; None if no repository has exactly this top level."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(checkout), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A copy inside somebody else's repository would otherwise be given that one's commit.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != checkout.resolve():
            return None
        return git("describe", "--always", "--dirty", "--abbrev=40")
    except (OSError, subprocess.CalledProcessError):
        return None


def open_manifest(
    cfg: RunConfig,
    device: torch.device,
    threads: int,
    folder: Path,
    before: Mapping[str, Any],
    resumed_from: int | None,
    prior: Mapping[str, Any],
) -> dict[str, Any]:
    """Begin or continue manifest.json, so that even a sitting that gets killed leaves its mark.

    `prior` says where the prior's files came from (Prior.provenance).
    """
    manifest = {
        "prompt": cfg.prompt,
        "preset": cfg.preset,
        "device": str(device),
        "threads": threads,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "render_backend": cfg.render.backend.name,
        "hash_grid_backend": cfg.field.hash_grid.backend.name,
        **provenance(),
        "prior": prior,
        "resumed_from_steps": before.get("resumed_from_steps", []),
        "peak_rss_bytes": max(before.get("peak_rss_bytes", 0), peak_rss_bytes()),
        "finished": False,
    }
    if resumed_from is not None:
        manifest["resumed_from_steps"] = [*manifest["resumed_from_steps"], resumed_from]
    write_manifest(folder, manifest)
    return manifest


def leaves(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Every setting by its full name, as it is typed: field.hash_grid.levels."""
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        found += leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return found
