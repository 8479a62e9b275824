"""Command lines without Hydra: `name=value` in, one checked dataclass of settings out; and what a path is."""

import errno
import inspect
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from src.errors import UserError

Settings = TypeVar("Settings")
# A setting that came after the first runs counts only where it differs from its default: it renames none.
LATER = {"later": True}
# Wherever they occur, these settings name files.
PATHS = ("run", "out", "sweep", "folder", "weights", "path", "start", "judge", "cells")


def parse(kind: Callable[..., Settings], arguments: Sequence[str]) -> Settings:
    """Make a dataclass of str, int and float fields from arguments; texts are taken as they were typed.

    Raises UserError for a name that is none of its fields and for a value that is not of the field's type.
    """
    types = inspect.get_annotations(kind)
    given: dict[str, str | int | float] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name not in types:
            raise UserError(f"{argument}: no such setting; write name=value with one of {', '.join(types)}")
        try:
            given[name] = typed_path(value, name) if name in PATHS and value else types[name](value)
        except ValueError:
            number = "a whole number" if types[name] is int else "a number"
            raise UserError(f"{name}={value} is no number: give {name}= {number}") from None
    return kind(**given)


def typed_path(text: str, setting: str) -> str:
    """A path as the user means it, everywhere: ~ is home, and neither a slash at its end nor ./ counts.

    Shells leave ~ alone behind an equals sign.  Links and .. keep what they mean.  Raises UserError, which
    names `setting`, where there is no such home or no such path can be.
    """
    try:
        if "\0" in text:
            raise ValueError("it holds a NUL")
        path = Path(os.path.expanduser(text))
        if text.startswith("~") and str(path).startswith("~"):
            raise ValueError("there is no such home")
    except ValueError as error:
        raise UserError(f"{setting}={text!r} is no path ({error}): write it out") from error
    if not text.strip():
        raise UserError(f"{setting} is empty: name a file or folder, or leave {setting}= away")
    return os.path.join(".", path) if str(path).startswith("~") else str(path)  # read twice, it is the same


def to_write(path: str | Path, setting: str = "out", remedy: str = "choose another") -> Path:
    """The path of a file that a command will write, found writable before the work; its folder is made.

    Raises UserError, which names `setting` and the remedy.
    """
    path = Path(typed_path(str(path), setting))
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with suppress(FileExistsError):  # a file, which makedirs calls so, has no room for another
            path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(f"{setting}={path} cannot be written ({error.strerror}): {remedy}") from error
    return path


def in_range(settings: object, names: Sequence[str], low: int | float, high: int | float) -> None:
    """Raise UserError unless every named setting lies in [low, high]."""
    for name in names:
        value = getattr(settings, name)
        if not low <= value <= high:  # also true of nan
            raise UserError(f"{name}={value} is out of range: choose {low} to {high}")


def timesteps(times: str) -> list[int]:
    """Read times=200,500,800; raises UserError where one of them is no timestep."""
    found = [int(t) if t.strip().isdecimal() else -1 for t in times.split(",")]
    if not all(1 <= t <= 999 for t in found):
        raise UserError(f"times={times}: write timesteps from 1 to 999, as in times=200,500,800")
    return found
