"""Commands of ours in processes of their own, which find the heavy imports done.

A run of a minute spends a fifth of it importing torch, diffusers and transformers.  So one process imports
them, does nothing else, and is forked for each command.
"""

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

IMPORTS = [
    "src.train",
    "src.evaluation.measurements",
    "torch._dynamo",  # which the first optimiser imports
    "transformers.models.clip.modeling_clip",
    "transformers.models.clip.tokenization_clip",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.schedulers.scheduling_ddim",
]


class Forked:
    """`python -m MODULE ARGUMENTS` on one thread, in a session of its own, its words in a file."""

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTS)
        with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):
            forkserver.ensure_running()
        self._process = context.Process(target=_command, args=(module, list(arguments), str(log)))
        self._process.start()

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        return self._process.exitcode

    def interrupt(self) -> None:
        """Send SIGINT."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def _command(module: str, arguments: list[str], log: str) -> None:
    os.setsid()  # a terminal's Ctrl-C then reaches it once, through whoever began it
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for end, here in ((0, nothing), (1, said), (2, said)):
        os.dup2(here, end)
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # it is run anew, as "__main__"
    runpy.run_module(module, run_name="__main__", alter_sys=True)
