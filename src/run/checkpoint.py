"""Checkpoints that survive any kill: one safetensors file each, with everything else as json in its header.

A file is written under a temporary name, synced to the disk and renamed, and the folder is synced too, so
that a checkpoint either is there whole or is not there. The last ones are kept; a broken one is set aside
and the one before it is used, loudly. Nothing is ever unpickled.
"""

import errno
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from src.errors import UserError
from src.run.seal import sealed, unsealed

KEPT = 2  # a broken one must have another before it
NAME = re.compile(r"step-(\d{8,})\.safetensors")  # nothing else is ours, however alike
BREAKS = (SafetensorError, ValueError, KeyError, TypeError, EOFError)  # what a damaged file raises
UNSYNCABLE = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EACCES}


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
        save_file(checkpoint.tensors, temporary, metadata={"facts": json.dumps(sealed(facts))})
        sync(temporary)
        os.replace(temporary, path)
        sync(folder)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(
            f"out: the checkpoint of step {step} could not be written to {folder} ({error}); earlier ones "
            "are kept: free some space or choose another out=FOLDER, and give the same command again"
        ) from error
    for old in _files(folder)[:-kept]:
        try:
            old.unlink()
        except OSError as error:  # the new one is safe, and that is what counts
            print(f"{old} could not be removed ({error.strerror})", file=sys.stderr)
    return path


def load_latest(folder: Path, aside: bool = False) -> Checkpoint | None:
    """Read the newest whole checkpoint, or None when there is none; broken ones are named.

    With `aside` they are also renamed, so that they do not count among those kept.  Files that only look
    like checkpoints of ours are named and left alone.  Raises UserError if all are broken, or one cannot be
    read.
    """
    for path in sorted(folder.glob("step-*.safetensors")):
        if not NAME.fullmatch(path.name):
            print(f"{path} is no checkpoint of ours and is left alone", file=sys.stderr)
    broken: dict[Path, Exception] = {}
    for path in reversed(_files(folder)):
        try:
            found = _read(path)
        except BREAKS as error:
            broken[path] = error
            continue
        except OSError as error:
            raise UserError(
                f"out: {path} cannot be read ({error}): make it readable or choose fresh=true"
            ) from error
        for bad, why in broken.items():
            kept = _set_aside(bad) if aside else bad
            print(
                f"checkpoint {bad.name} is broken ({why}); it is kept as {kept.name}, and the one before "
                "it is used instead",
                file=sys.stderr,
            )
        return found
    if broken:
        said = "; ".join(f"{path.name}: {error}" for path, error in broken.items())
        raise UserError(
            f"out: {folder} holds no whole checkpoint ({said}): put one back, or start over with fresh=true"
        )
    return None


def _set_aside(path: Path) -> Path:
    """Rename a broken file to a name that nothing has."""
    free = (path.with_suffix(f".broken{number or ''}") for number in range(1000))
    kept = next(name for name in free if not name.exists())
    os.replace(path, kept)
    return kept


def _files(folder: Path) -> list[Path]:
    """The checkpoints that there are, the oldest first."""
    ours = [path for path in folder.glob("step-*.safetensors") if NAME.fullmatch(path.name)]
    return sorted(ours, key=_step)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def steps(folder: Path) -> list[int]:
    """Steps of the checkpoints that there are, the oldest first."""
    return [_step(path) for path in _files(folder)]


def load(folder: Path, step: int) -> Checkpoint:
    """Read one checkpoint; raises UserError if it is gone or broken."""
    try:
        return _read(folder / f"step-{step:08d}.safetensors")
    except (*BREAKS, OSError) as error:
        raise UserError(
            f"{folder} holds no whole checkpoint of step {step} ({error}): choose another step"
        ) from error


def sync(path: Path) -> None:
    """Force a file or folder to the disk; where a file system cannot, say so once."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise
        _cannot_sync(error.strerror)


@cache
def _cannot_sync(reason: str) -> None:
    """CIFS, 9p, virtiofs and their kin refuse; after a kill all is there, after a power cut it may not be."""
    print(
        f"this file system cannot sync ({reason}): a power cut, unlike a kill, may lose the last checkpoint",
        flush=True,
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a small file at once: readers see the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(content)
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        facts = unsealed(json.loads((file.metadata() or {})["facts"]))
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
