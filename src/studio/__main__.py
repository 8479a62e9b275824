"""A page to make objects in: type a prompt, watch its shape form, turn it, hold two losses side by side.

    python -m src.studio [port=8100] [outputs=FOLDER] [host=127.0.0.1]

The page is served to this machine alone, unless `host` names an address of it that others reach too; from
another machine, forward the port (ssh -L 8100:localhost:8100).  Ctrl-C lets the training at hand save first.
"""

import errno
import ipaddress
import json
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from werkzeug.serving import WSGIRequestHandler, make_server

from src.arguments import in_range, parse, typed_path
from src.door import one_sentence
from src.errors import UserError
from src.run.checkpoint import write_atomically
from src.studio.commands import OUTPUTS
from src.studio.drawing import Drawing
from src.studio.errands import Errands
from src.studio.routes import Studio
from src.studio.shelf import Shelf
from src.studio.trainings import Trainings

LOCK, ADDRESS = ".studio.lock", ".studio-address.json"


@dataclass
class StudioConfig:
    """What the command line says."""

    port: int = 8100  # 0: any that is free
    outputs: str = OUTPUTS
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        in_range(self, ["port"], 0, 65_535)
        self.outputs = typed_path(self.outputs, "outputs")
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            raise UserError(f"host={self.host} is no address: choose 127.0.0.1 or 0.0.0.0") from None


class Quiet(WSGIRequestHandler):
    """Answers without telling the terminal of each request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def alone(outputs: Path) -> Iterator[None]:
    """Be the only studio of a folder; raises UserError, which says where the other is, or if it cannot be."""
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        lock = FileLock(outputs / LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        where = ""
        with suppress(OSError, ValueError, KeyError, TypeError):
            where = f" at {json.loads((outputs / ADDRESS).read_text(encoding='utf-8'))['url']}"
        raise UserError(
            f"outputs={outputs} has a studio already{where}: use that one, or choose another outputs=FOLDER"
        ) from error
    except OSError as error:
        raise UserError(
            f"outputs={outputs} cannot be used ({error.strerror}): choose another outputs=FOLDER"
        ) from error
    try:
        yield
    finally:
        lock.release()


def take(cfg: StudioConfig) -> socket.socket:
    """Take the port; raises UserError if it cannot be had."""
    family = socket.AF_INET6 if ":" in cfg.host else socket.AF_INET
    try:
        return socket.create_server((cfg.host, cfg.port), family=family)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise UserError(f"port={cfg.port} {why}: choose another, or port=0 for any that is free") from error


def has_a_desktop() -> bool:
    """Whether a browser could open here, in front of whoever typed the command."""
    if not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in ("win32", "darwin") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))


@one_sentence
def main(arguments: list[str]) -> int:
    """Serve the page until Ctrl-C; exit code 2 after one sentence about what the user can put right."""
    cfg = parse(StudioConfig, arguments)
    outputs, anywhere = Path(cfg.outputs), not ipaddress.ip_address(cfg.host).is_loopback
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # either way the training saves
    with alone(outputs), take(cfg) as port:
        shelf, drawing, errands = Shelf(outputs), Drawing(), Errands()
        trainings = Trainings(outputs, shelf.in_training)
        studio = Studio(shelf, trainings, drawing, errands, anywhere)
        number = port.getsockname()[1]
        url = f"http://{cfg.host if anywhere else 'localhost'}:{number}"
        try:
            write_atomically(outputs / ADDRESS, json.dumps({"url": url}).encode())
            print(f"{url} shows {outputs}; Ctrl-C ends", flush=True)
            if anywhere:
                print(f"host={cfg.host}: whoever reaches this machine may train on it", flush=True)
            drawing.begin()
            if has_a_desktop():
                webbrowser.open(url)
            make_server(
                cfg.host, number, studio, threaded=True, request_handler=Quiet, fd=port.fileno()
            ).serve_forever()
        finally:
            drawing.close()
            errands.close()
            end(trainings)
    return 130  # only a signal ends it


def end(trainings: Trainings) -> None:
    """Let the training save; whoever cannot wait presses Ctrl-C once more."""
    if trainings.current is not None:
        name = trainings.current.job.name
        print(f"\n{name} saves and exports what there is (Ctrl-C: no more than it has)", flush=True)
    try:
        trainings.close()
    except KeyboardInterrupt:
        trainings.end_at_once()
        trainings.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
