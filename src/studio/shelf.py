"""The runs below a folder, as the page shows them: whoever trained them, and however far they came."""

import json
import statistics
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from src.errors import UserError
from src.model import CHECKPOINTS
from src.run import checkpoint
from src.run.folder import LOCK, read_manifest, read_settings
from src.run.log import METRICS

RUNS = 200  # shown at most, the newest first
# What may be read of a run's folder through the page.
FILES = ("turntable.mp4", "turntable.webp", "sheet.png", "previews.png", "picture.png", "mesh.glb")
CURVES = ("opacity", "gradient", "latents_std", "penalty")
POINTS = 120  # of a curve


class Shelf:
    """Runs by their names, which are their paths below the outputs."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self._settings: dict[Path, tuple[int, dict[str, Any] | None]] = {}
        self._manifests: dict[Path, tuple[int, dict[str, Any] | None]] = {}

    def names(self) -> list[str]:
        """Every run's name, the newest first; those of sweeps lie one folder deeper."""
        found = [*self.outputs.glob("*/config.yaml"), *self.outputs.glob("*/*/config.yaml")]
        dated = sorted(((_changed(path), path.parent) for path in found), reverse=True)
        runs = [path for _, path in dated[:RUNS] if self._is_run(path) and _within(path, self.outputs)]
        return [path.relative_to(self.outputs).as_posix() for path in runs]

    def entries(self) -> list[dict[str, Any]]:
        """What the page tells of every run."""
        found = []
        for name in self.names():
            with suppress(UserError, OSError):  # it went while it was looked at
                found.append(self.entry(name))
        return found

    def folder(self, name: str) -> Path:
        """A run's folder; raises UserError for everything that is none, wherever it may lead."""
        folder = self.outputs / name
        parts = Path(name).parts
        plain = 1 <= len(parts) <= 2 and not {"..", ".", "/"} & set(parts) and not Path(name).is_absolute()
        if not (plain and _within(folder, self.outputs) and self._is_run(folder)):
            raise UserError(f"there is no run {name!r} in {self.outputs}")
        return folder

    def file(self, name: str, file: str) -> Path:
        """A file of a run that the page may show; raises UserError for any other."""
        path = self.folder(name) / file
        if file not in FILES or not path.is_file() or not _within(path, self.outputs):
            raise UserError(f"{name} has no {file}")
        return path

    def preview(self, name: str) -> Path:
        """The newest picture that a run made of itself while training; raises UserError before the first."""
        found = sorted(self.folder(name).glob("previews/step-*.png"))
        if not found or not _within(found[-1], self.outputs):
            raise UserError(f"{name} has no preview yet")
        return found[-1]

    def settings(self, name: str) -> dict[str, Any]:
        """What a run's config.yaml says."""
        settings = self._read_settings(self.folder(name))
        assert settings is not None
        return settings

    def entry(self, name: str) -> dict[str, Any]:
        """What the page tells of a run."""
        folder, settings = self.folder(name), self.settings(name)
        manifest = self._manifest(folder)
        steps = checkpoint.steps(folder / CHECKPOINTS)
        finished = manifest.get("finished") is True and manifest.get("step", 0) >= settings["steps"]
        files = {file: _changed(folder / file) for file in FILES if (folder / file).is_file()}
        return {
            "name": name,
            "prompt": settings["prompt"],
            "loss": settings["loss"]["name"],
            "scale": settings["loss"].get("guidance_scale"),
            "seed": settings["seed"],
            "preset": settings.get("preset", ""),
            "generator": settings.get("generator", "nerf"),
            "steps": settings["steps"],
            "step": max([*steps[-1:], manifest.get("step", 0) if finished else 0], default=0),
            "shape": steps[-1] if steps and settings.get("generator") != "latents" else None,
            "finished": finished,
            "trains": not finished and is_trained(folder),
            "seconds": sum(manifest.get("seconds", {}).values()) or None,
            "files": files,
            "preview": next((path.stem for path in sorted(folder.glob("previews/step-*.png"))[-1:]), None),
            "stale_mesh": bool(steps) and "mesh.glb" in files and files["mesh.glb"] < _newest(folder),
        }

    def in_training(self) -> str:
        """The name of a run that some process trains just now; empty if there is none."""
        unfinished = (
            name for name in self.names() if not self._manifest(self.outputs / name).get("finished")
        )
        return next((name for name in unfinished if is_trained(self.outputs / name)), "")

    def curves(self, name: str) -> dict[str, list[tuple[int, float]]]:
        """What a run logged at every step, as medians of up to POINTS stretches: [step, value] pairs."""
        rows = list(_rows(self.folder(name) / METRICS))
        stride = max(1, -(-len(rows) // POINTS))
        found: dict[str, list[tuple[int, float]]] = {}
        for quantity in CURVES:
            pairs = [
                (row["step"], float(row[quantity]))
                for row in rows
                if isinstance(row.get(quantity), int | float)
            ]
            if any(value for _, value in pairs):
                found[quantity] = [
                    (part[len(part) // 2][0], statistics.median(value for _, value in part))
                    for start in range(0, len(pairs), stride)
                    if (part := pairs[start : start + stride])
                ]
        return found

    def _is_run(self, folder: Path) -> bool:
        return self._read_settings(folder) is not None

    def _read_settings(self, folder: Path) -> dict[str, Any] | None:
        return self._cached(self._settings, folder / "config.yaml", lambda: read_settings(folder))

    def _manifest(self, folder: Path) -> dict[str, Any]:
        path = folder / "manifest.json"
        return self._cached(self._manifests, path, lambda: read_manifest(folder)) or {}

    @staticmethod
    def _cached(cache: dict[Path, tuple[int, Any]], path: Path, read: Any) -> Any:
        """What a file says, read again when it has changed."""
        changed = _changed(path)
        if path not in cache or cache[path][0] != changed:
            cache[path] = (changed, read() if changed else None)
        return cache[path][1]


def is_trained(folder: Path) -> bool:
    """Whether some process trains the run in a folder now; the lock is tried for a moment."""
    path = folder / LOCK
    if not path.is_file():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # some network file systems lock nothing
        return False
    lock.release()
    return False


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):  # the last one may be on its way
                row = json.loads(line)
                if isinstance(row, dict) and isinstance(row.get("step"), int):
                    yield row


def _newest(folder: Path) -> int:
    return max((_changed(path) for path in (folder / CHECKPOINTS).glob("step-*.safetensors")), default=0)


def _changed(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _within(path: Path, folder: Path) -> bool:
    """Whether a path, all links followed, leads into a folder."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False
