"""A run's folder: made, checked and cleared before step 0, with a manifest of what ran where.

config.yaml  manifest.json  metrics.jsonl  events/  checkpoints/  previews/  previews.png
turntable.mp4  turntable.webp  sheet.png
"""

import errno
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout
from torch import nn

from src.config import RunConfig, as_dict, identity
from src.errors import UserError
from src.model import CHECKPOINTS
from src.run.checkpoint import write_atomically
from src.run.machine import peak_rss_bytes

OURS = (
    *("config.yaml", "manifest.json", "metrics.jsonl", "events", CHECKPOINTS, "previews", "previews.png"),
    *("turntable.mp4", "turntable.webp", "sheet.png", "picture.png"),
)
LOCK = ".lock"
PACKAGES = (
    *("torch", "diffusers", "transformers", "numpy", "safetensors", "hydra-core", "nfsd3d"),
    *("nerfacc", "tinycudann"),
)


def open_folder(cfg: RunConfig) -> Path:
    """Make the run's folder unless it is there; raises UserError if it cannot be made or written."""
    assert cfg.out is not None
    folder = Path(cfg.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        raise UserError(
            f"out={cfg.out} cannot be written ({error.strerror}): choose another folder with out=FOLDER"
        ) from error
    return folder


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other process from training the run in this folder; the system lets go after any kill.

    Raises UserError if another trains it already: a sweep's worker may outlive the command that started it.
    """
    lock = FileLock(folder / LOCK, timeout=0)
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


def begin(cfg: RunConfig, folder: Path) -> None:
    """Empty the folder of an earlier run's files if fresh, and write config.yaml; foreign files stay."""
    if cfg.fresh:
        for path in (folder / name for name in OURS):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    settings = yaml.safe_dump(as_dict(cfg), sort_keys=False, allow_unicode=True)
    write_atomically(folder / "config.yaml", settings.encode())


def check_same_run(cfg: RunConfig, saved: Mapping[str, Any]) -> None:
    """Refuse to continue a run with other settings; raises UserError naming the first that differs."""
    now = json.loads(json.dumps(identity(cfg)))
    for name, before in leaves(saved):
        after = dict(leaves(now)).get(name)
        if after != before:
            raise UserError(
                f"out={cfg.out} holds a run with {name}={before}, not {after}: choose another out=FOLDER, or "
                "fresh=true to start over in this one"
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
    """Read what the last sitting wrote; an empty dict if there is nothing to read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json whole."""
    write_atomically(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())


def provenance() -> dict[str, Any]:
    """Which software ran: versions, and the commit of the source checkout (None outside of one)."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {"versions": found, "commit": commit}


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
    if _digests(before.get("prior", prior)) != _digests(prior):
        print(f"{folder}: the prior's files are not those used so far: its numbers will differ", flush=True)
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


def _digests(prior: Mapping[str, Any]) -> dict[str, Any]:
    return {part: source["sha256"] for part, source in prior.items()}


def leaves(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Every setting by its full name, as it is typed: field.hash_grid.levels."""
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        found += leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return found
