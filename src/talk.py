"""What is said never decides what is done: a terminal that is gone, shut or of another alphabet is no error.

Output can end before the work does: `| head -1`, a closed window, `2>&-`, a full disk under a log.  Then the
rest is said to nobody, and the run goes on.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Talk:
    """A stream like the one that it wraps, but for errors of writing: the first one ends the talking."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an alphabet without the prompt's letters

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)

    def write(self, text: str) -> int:
        """Write, or be silent from now on."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # gone, or closed
            self._end()
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write line by line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, or be silent from now on."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._end()

    def _end(self) -> None:
        # Under the descriptor, so that what is buffered, and what children say, goes nowhere as well.
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def steady() -> Iterator[None]:
    """Let nothing that is printed within raise."""
    # A file that is opened while descriptor 2 is closed becomes descriptor 2, and gets what libraries say.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
    before, hook = (sys.stdout, sys.stderr), threading.excepthook

    def thread_failed(what: threading.ExceptHookArgs) -> None:
        # A thread that writes for others (TensorBoard's) has its error raised again where they write next.
        if not isinstance(what.exc_value, OSError):
            hook(what)

    threading.excepthook = thread_failed
    sys.stdout, sys.stderr = (
        stream if isinstance(stream, Talk) else Talk(stream or open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        for stream in before
    )
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        threading.excepthook = hook
        sys.stdout, sys.stderr = before


def say_at_once(text: str) -> None:
    """Say something from within a signal's handler, where Python's own streams must not be entered again."""
    with suppress(OSError):
        os.write(2, text.encode())
