"""Checkpoints that survive any kill: one safetensors file each, with everything else as json in its header.

A file is written under a temporary name, synced to the disk and renamed, and the folder is synced too, so
that a checkpoint either is there whole or is not there. The last ones are kept; a broken one is set aside
and the one before it is used, loudly. Nothing is ever unpickled.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from src.errors import UserError

KEPT = 2  # a broken one must have another before it


class Checkpoint(NamedTuple):
    """What one file holds: tensors by name, and facts (step, settings, timings) that json can write."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def gather(modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> dict[str, Tensor]:
    """Name every tensor that a run's future depends on: parameters, buffers, moments and steps."""
    tensors = {
        f"module/{part}/{name}": value
        for part, module in modules.items()
        for name, value in module.state_dict().items()
    }
    for which, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{which}/{index}/{name}": value for name, value in state.items()}
    return {name: value.detach().contiguous() for name, value in tensors.items()}


def restore(
    modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer], tensors: Mapping[str, Tensor]
) -> None:
    """Put gathered tensors back, in place; raises RuntimeError when they belong to another model."""
    for part, module in modules.items():
        prefix = f"module/{part}/"
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        module.load_state_dict(own)
    for which, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(f"{which}/"):
                _, index, key = name.split("/")
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def parameters_sha256(modules: Mapping[str, nn.Module]) -> str:
    """Hex digest of all parameters, in the order of their names: equal for bit-identical runs only."""
    named = {f"{part}.{name}": p for part, m in modules.items() for name, p in m.named_parameters()}
    return _digest({name: parameter.detach() for name, parameter in named.items()})


def save(folder: Path, checkpoint: Checkpoint, kept: int = KEPT) -> Path:
    """Write a checkpoint whose facts name its `step`, and drop all but the last `kept` of its folder.

    Raises UserError when the disk is full or refuses.
    """
    step = checkpoint.facts["step"]
    path, temporary = folder / f"step-{step:08d}.safetensors", folder / f".step-{step:08d}.part"
    facts = checkpoint.facts | {"sha256": _digest(checkpoint.tensors)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(checkpoint.tensors, temporary, metadata={"facts": json.dumps(facts)})
        sync(temporary)
        os.replace(temporary, path)
        sync(folder)
        for old in sorted(folder.glob("step-*.safetensors"))[:-kept]:
            old.unlink()
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"out: the checkpoint of step {step} could not be written to {folder} ({error}); earlier ones "
            "are kept: free some space or choose another out=FOLDER, and give the same command again"
        ) from error
    return path


def load_latest(folder: Path) -> Checkpoint | None:
    """Read the newest whole checkpoint, or None when there is none; broken ones are set aside and named."""
    for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
        try:
            return _read(path)
        except (SafetensorError, ValueError, KeyError, EOFError) as error:
            aside = path.with_suffix(".broken")
            os.replace(path, aside)
            print(
                f"checkpoint {path.name} is broken ({error}); it is kept as {aside.name}, and the one "
                "before it is used instead",
                file=sys.stderr,
            )
        except OSError as error:
            raise UserError(
                f"out: {path} cannot be read ({error}): make it readable or choose fresh=true"
            ) from error
    return None


def steps(folder: Path) -> list[int]:
    """Steps of the checkpoints that there are, the oldest first."""
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.safetensors"))


def load(folder: Path, step: int) -> Checkpoint:
    """Read one checkpoint; raises UserError if it is gone or broken."""
    try:
        return _read(folder / f"step-{step:08d}.safetensors")
    except (SafetensorError, ValueError, KeyError, EOFError, OSError) as error:
        raise UserError(
            f"{folder} holds no whole checkpoint of step {step} ({error}): choose another step"
        ) from error


def sync(path: Path) -> None:
    """Force a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a small file at once: readers see the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync(path.parent)


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {})["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    # safetensors notices a file that is too short, but not a flipped bit.
    if _digest(tensors) != facts.pop("sha256"):
        raise ValueError("its content differs from its checksum")
    return Checkpoint(tensors, facts)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    whole = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous().cpu()
        whole.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        whole.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()
