"""What the page can ask for, and who may ask: a WSGI application.

Whoever is on this machine may; a page from elsewhere may not, though the browser that shows it is here too.
So every request must name this machine as its host (or a site could have its own name lead here: DNS
rebinding), and none may come from another site.  Runs are looked up by name among those that there are, so no
path leads out of the outputs.
"""

import ipaddress
import json
import math
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from werkzeug.exceptions import Forbidden, HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from src.command_line import choose_preset
from src.errors import UserError
from src.guidance.words import unknown_words
from src.studio.commands import OFFERED, command_of, compose, job_again, job_for
from src.studio.drawing import Drawing
from src.studio.errands import Errands
from src.studio.shelf import Shelf
from src.studio.trainings import Trainings

HERE = Path(__file__).parent
PAGE = {"": "page.html", "page.css": "page.css", "page.js": "page.js"}
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob:; connect-src 'self'; "
    "style-src 'self'; script-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
TEXT_BYTES = 20_000  # of a request


class Studio:
    """The application; `anywhere`: it is served to other machines too, under this one's name or address."""

    def __init__(
        self, shelf: Shelf, trainings: Trainings, drawing: Drawing, errands: Errands, anywhere: bool = False
    ) -> None:
        self.shelf, self.trainings, self.drawing, self.errands = shelf, trainings, drawing, errands
        self.anywhere = anywhere
        asks: dict[str, Callable[..., Response]] = {
            "/state": self.state,
            "/words": self.words,
            "/frame/<path:name>": self.frame,
            "/curves/<path:name>": self.curves,
            "/command/<path:name>": self.command,
            "/preview/<path:name>": self.preview,
            "/file/<path:name>/<file>": self.file,
        }
        acts: dict[str, Callable[..., Response]] = {
            "/train": self.train,
            "/pause": self.pause,
            "/stop": self.stop,
            "/go-on": self.go_on,
            "/mesh": self.mesh,
        }
        self._routes = Map(
            [
                *(
                    Rule(f"/{path}", methods=["GET"], endpoint=self.page, defaults={"file": file})
                    for path, file in PAGE.items()
                ),
                *(Rule(path, methods=["GET"], endpoint=ask) for path, ask in asks.items()),
                *(Rule(path, methods=["POST"], endpoint=act) for path, act in acts.items()),
            ],
            merge_slashes=False,
            redirect_defaults=False,
        )

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request; what goes wrong is a sentence in json, and only our own mistakes are printed."""
        request = Request(environ)
        request.max_content_length = TEXT_BYTES
        answer: Response
        try:
            self._admit(request)
            endpoint, values = self._routes.bind_to_environ(environ).match()
            answer = endpoint(request, **values)
        except UserError as error:
            answer = _told({"says": str(error)}, 400)
        except HTTPException as error:
            code = error.code or 500  # to be sent elsewhere is not to be found here
            answer = _told({"says": str(error.description)}, code if code >= 400 else 404)
        except OSError as error:
            answer = _told({"says": f"outputs: {error.strerror or error}"}, 500)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            answer = _told({"says": "The studio made a mistake; its terminal says which."}, 500)
        answer.headers.extend({k: v for k, v in HEADERS.items() if k not in answer.headers})
        return answer(environ, start)

    def _admit(self, request: Request) -> None:
        """Raise Forbidden unless a request is meant for this machine and comes from its own page."""
        host = request.headers.get("Host", "")
        if not names_this_machine(host, self.anywhere):
            raise Forbidden("This page answers to this machine's own name alone.")
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
        own = origin is None or origin == f"http://{host}"
        if not own or (site not in ("same-origin", "none") and request.path != "/"):
            raise Forbidden("Other sites may not ask here.")
        if request.method == "POST" and request.mimetype != "application/json":
            raise Forbidden("Only the page itself may ask for this.")  # forms of other sites cannot send json

    # --- what can be asked ----------------------------------------------------------------------------------

    def page(self, request: Request, file: str) -> Response:
        """The page and what belongs to it."""
        kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
        return Response((HERE / file).read_bytes(), mimetype=kinds[Path(file).suffix])

    def state(self, request: Request) -> Response:
        """Everything that changes: the runs, the queue, the meshes in the making."""
        queue = self.trainings.state()
        machine = {"cuda": torch.cuda.is_available(), "preset": choose_preset(None), "losses": OFFERED}
        return _told({"runs": self.shelf.entries(), **queue, "meshes": self.errands.state(), **machine})

    def words(self, request: Request) -> Response:
        """The words of a prompt that a preset's prior does not know, each with its nearest."""
        prompt, preset = request.args.get("prompt", ""), request.args.get("preset", "")
        known = known_words(preset if preset.isalnum() else "")
        return _told({} if known is None else unknown_words(prompt, known))

    def frame(self, request: Request, name: str) -> Response:
        """A picture of a run's checkpoint from anywhere."""

        def number(key: str, usual: float) -> float:
            try:
                return float(request.args.get(key, usual))
            except ValueError:
                raise UserError(f"{key}={request.args[key]} is no number") from None

        folder = self.shelf.folder(name)
        shape = self.shelf.entry(name)["shape"]
        if shape is None:
            raise UserError(f"{name} has no shape yet")
        camera = number("azimuth", 0.0), number("elevation", 15.0), number("zoom", 1.0)
        show, backdrop = request.args.get("show", "rgb"), request.args.get("backdrop", "transparent")
        height = number("height", 128.0)
        if not 0.3 <= camera[2] <= 4 or not math.isfinite(height):
            raise UserError(f"zoom={camera[2]} or height={height} is out of range: choose a zoom of 0.3 to 4")
        picture = self.drawing.picture(folder, shape, camera, show, backdrop, round(height))
        return Response(picture, mimetype="image/webp", headers={"X-Step": str(shape)})

    def curves(self, request: Request, name: str) -> Response:
        """What a run logged, step by step."""
        return _told(self.shelf.curves(name))

    def command(self, request: Request, name: str) -> Response:
        """The command that makes a run."""
        return _told({"command": command_of(self.shelf.folder(name), self.shelf.settings(name))})

    def preview(self, request: Request, name: str) -> Response:
        """The newest picture that a run made of itself."""
        return send_file(self.shelf.preview(name), request.environ)

    def file(self, request: Request, name: str, file: str) -> Response:
        """A file that a run left, to look at or (save=…) to keep under the run's name."""
        path = self.shelf.file(name, file)
        keep = f"{name.rpartition('/')[2]}{'' if file == 'mesh.glb' else '-' + path.stem}{path.suffix}"
        answer = send_file(
            path,
            request.environ,
            conditional=True,
            as_attachment="save" in request.args,
            download_name=keep,
            mimetype="model/gltf-binary" if path.suffix == ".glb" else None,
        )
        answer.headers["Cache-Control"] = "no-cache"  # kept, but asked for: the page's own address changes
        return answer

    # --- what can be done -----------------------------------------------------------------------------------

    def train(self, request: Request) -> Response:
        """Begin a run, or put it into the queue; answers with its name."""
        job = job_for(_asked(request), self.shelf.outputs)
        self.trainings.add(job)
        return _told({"name": job.name})

    def pause(self, request: Request) -> Response:
        """Save and end the training; the queue waits."""
        self.trainings.pause(_name(request))
        return _told({})

    def stop(self, request: Request) -> Response:
        """Save and end the training, or take a run out of the queue."""
        self.trainings.stop(_name(request))
        return _told({})

    def go_on(self, request: Request) -> Response:
        """Go on with a run where it stopped."""
        name = _name(request)
        job = self.trainings.queued(name)
        if job is None:
            job = job_again(name, self.shelf.folder(name), self.shelf.settings(name))
        self.trainings.add(job)
        return _told({})

    def mesh(self, request: Request) -> Response:
        """Begin to write a run's mesh."""
        name = _name(request)
        self.errands.mesh(name, self.shelf.folder(name))
        return _told({})


def names_this_machine(host: str, anywhere: bool) -> bool:
    """Whether a Host header names this machine: by a loopback name or, served `anywhere`, any of its own.

    An address is no domain that a stranger could lead here.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if name in LOOPBACK or not anywhere:
        return name in LOOPBACK
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name.lower() == socket.gethostname().lower()
    return True


@cache
def known_words(preset: str) -> list[str] | None:
    """The words that a preset's prior was taught, if it comes with a list."""
    try:
        prior = compose(["prompt=x", *([f"preset={preset}"] if preset else [])]).prior
        words = json.loads((Path(prior.path or "") / "known_words.json").read_text(encoding="utf-8"))
    except (UserError, OSError, ValueError):
        return None
    return [str(word) for word in words]


def _asked(request: Request) -> dict[str, Any]:
    asked = request.get_json(silent=True)
    if not isinstance(asked, dict):
        raise UserError("the request holds no settings")
    return asked


def _name(request: Request) -> str:
    name = _asked(request).get("run")
    if not isinstance(name, str):
        raise NotFound("The request names no run.")
    return name


def _told(what: Any, status: int = 200) -> Response:
    return Response(json.dumps(what), status=status, mimetype="application/json")
