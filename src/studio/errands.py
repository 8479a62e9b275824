"""Meshes asked for on the page: each by the ordinary command, after everybody else."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from src.errors import UserError
from src.studio.drawing import be_patient

MESH = (sys.executable, "-m", "src.export.mesh")
MAKING = "making"


class Errands:
    """What is being made for which run, and what went wrong."""

    def __init__(self, command: Sequence[str] = MESH) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._state: dict[str, str] = {}

    def mesh(self, name: str, folder: Path) -> None:
        """Begin to write a run's mesh.glb; raises UserError while one is being made."""
        if busy := [other for other, state in self._state.items() if state == MAKING]:
            raise UserError(f"the mesh of {busy[0]} is being made: wait until it is there")
        self._process = subprocess.Popen(
            [*self._command, f"run={folder}", f"out={folder / 'mesh.glb'}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with suppress(psutil.Error):
            be_patient(psutil.Process(self._process.pid))
        self._state[name] = MAKING
        threading.Thread(target=self._see_to, args=(name, self._process), daemon=True).start()

    def state(self) -> dict[str, str]:
        """For every run that was asked for: "making", empty once its mesh is there, or why it is not."""
        return dict(self._state)

    def close(self) -> None:
        """Leave nothing running."""
        if self._process is not None:
            self._process.kill()

    def _see_to(self, name: str, process: "subprocess.Popen[str]") -> None:
        _, said = process.communicate()
        last = (said.strip().splitlines() or ["it ended at once"])[-1]
        self._state[name] = f"No mesh: {last}" if process.returncode else ""
