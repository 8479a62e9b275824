"""What the page may ask for, and who may ask."""

import io
import json
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from PIL import Image
from werkzeug.test import Client, TestResponse

from src.config import as_dict, identity
from src.door import settings
from src.errors import UserError
from src.model import load_run
from src.run.folder import leaves
from src.studio import routes
from src.studio.drawing import Drawing, draw, serve
from src.studio.errands import Errands
from src.studio.routes import Studio, names_this_machine
from src.studio.shelf import Shelf
from src.studio.trainings import Job, Trainings
from tests.export.scenes import CPU, ball_run
from tests.small_sweeps import make_run

SECRET = "nobody may read this"
OWN = {"Host": "localhost:8100"}


class PretendTrainings(Trainings):
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.waiting: Job | None = None

    def state(self) -> dict[str, Any]:
        return {"training": None, "queue": [], "said": {}, "held": False}

    def queued(self, name: str) -> Job | None:
        return self.waiting if self.waiting and self.waiting.name == name else None

    def add(self, job: Job) -> None:
        self.asked.append(("add", job))

    def pause(self, name: str) -> None:
        self.asked.append(("pause", name))

    def stop(self, name: str) -> None:
        raise UserError(f"{name} is not being trained from here")


class DrawnHere(Drawing):
    """Draws within the test's own process."""

    def picture(self, folder: Path, step: int, camera: Any, show: str, backdrop: str, height: int) -> bytes:
        azimuth, elevation, zoom = camera
        asked = {
            "folder": str(folder),
            "step": step,
            "azimuth": azimuth,
            "elevation": elevation,
            "zoom": zoom,
        }
        return draw(asked | {"show": show, "backdrop": backdrop, "height": height}, {})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs with a finished run, a run of a sweep, and a ball that stopped; beside them what is private."""
    house = tmp_path_factory.mktemp("house")
    (house / "secret.txt").write_text(SECRET)
    (house / "private").mkdir()
    make_run(house / "private", "seed=9", prompt=SECRET)
    outputs = house / "outputs"
    make_run(outputs, "seed=0", prompt="a red cube")
    make_run(outputs / "sweep", "loss=sds", prompt="a blue cube")
    (outputs / "loose.txt").write_text(SECRET)
    ball = outputs / "ball"
    cfg = ball_run(ball, 10, 20)
    (ball / "config.yaml").write_text(yaml.safe_dump(as_dict(cfg) | {"prompt": "a ball"}))
    rows = [{"step": step, "opacity": step / 1000, "gradient": 1.0, "penalty": 0.0} for step in range(1000)]
    (ball / "metrics.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 1000, "opa'
    )
    (ball / "private.txt").write_text(SECRET)
    (ball / "sheet.png").symlink_to(house / "secret.txt")
    (outputs / "elsewhere").symlink_to(house / "private" / next((house / "private").iterdir()).name)
    (outputs / "broken").mkdir()
    (outputs / "broken" / "config.yaml").write_text(f"prompt: {SECRET}")
    return house


@pytest.fixture
def studio(house: Path) -> Studio:
    """Its application, where nothing trains."""
    return Studio(Shelf(house / "outputs"), PretendTrainings(), DrawnHere(), Errands())


@pytest.fixture
def client(studio: Studio) -> Client:
    """A browser on this machine."""
    return Client(studio)


def get(client: Client, path: str, **headers: str) -> TestResponse:
    return client.get(path, headers={**OWN, **headers})


def post(client: Client, path: str, body: Any, **headers: str) -> TestResponse:
    return client.post(path, json=body, headers={**OWN, **headers})


# --- what is told -------------------------------------------------------------------------------------------


def test_the_page_and_its_parts_are_there(client: Client) -> None:
    """Oracle: the files; and nothing in them comes from elsewhere, which the browser is told to see to."""
    for path, name in (("/", "page.html"), ("/page.js", "page.js"), ("/page.css", "page.css")):
        answer = get(client, path)
        assert answer.data == (Path(routes.__file__).parent / name).read_bytes()
        assert b"http" not in answer.data.replace(b"http://www.w3.org/2000/svg", b"")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_every_run_is_told(client: Client) -> None:
    """Oracle: those that the fixture made, that of a sweep by its path; a link out of the outputs is none."""
    runs = {run["name"]: run for run in get(client, "/state").get_json()["runs"]}
    (cube,) = [run for run in runs.values() if run["prompt"] == "a red cube"]
    (blue,) = [run for run in runs.values() if run["prompt"] == "a blue cube"]
    assert len(runs) == 3
    assert (cube["finished"], cube["step"], cube["seconds"], cube["shape"]) == (True, 3, 3.5, None)
    assert blue["name"].startswith("sweep/")
    ball = runs["ball"]
    assert (ball["finished"], ball["trains"], ball["step"], ball["shape"]) == (False, False, 20, 20)


def test_a_run_that_a_terminal_trains_is_told(client: Client, house: Path) -> None:
    """Oracle: the lock that a trainer holds; looking at it takes it from nobody."""
    (path,) = (house / "outputs/sweep").iterdir()
    manifest = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(json.dumps({"finished": False}))
    shelf = Shelf(house / "outputs")
    name = path.relative_to(house / "outputs").as_posix()
    assert shelf.in_training() == ""
    with FileLock(path / ".lock"):
        assert shelf.entry(name)["trains"]
        assert shelf.in_training() == name
    assert not shelf.entry(name)["trains"]
    (path / "manifest.json").write_text(manifest)


def test_frames_are_what_the_viewer_shows(client: Client, house: Path) -> None:
    """Oracle: a ball is round from everywhere: opacity from two sides, transparent where nothing is."""
    pictures = []
    for azimuth in (0, 90):
        answer = get(client, f"/frame/ball?azimuth={azimuth}&elevation=0&height=32&show=rgb")
        assert (answer.status_code, answer.mimetype, answer.headers["X-Step"]) == (200, "image/webp", "20")
        with Image.open(io.BytesIO(answer.data)) as picture:
            assert picture.size == (32, 32)
            pictures.append(picture.convert("RGBA").getchannel("A"))
    for alpha in pictures:
        assert alpha.getpixel((16, 16)) > 240
        assert alpha.getpixel((1, 1)) < 15
    assert load_run(house / "outputs/ball", CPU)[2] == 20


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("show=all", "choose one of rgb"),
        ("height=9000", "choose 32 to 512"),
        ("height=nan", "height=nan"),
        ("azimuth=inf", "out of range"),
        ("azimuth=left", "azimuth=left is no number"),
        ("zoom=0", "choose a zoom of 0.3 to 4"),
        ("backdrop=red", "choose one of"),
    ],
)
def test_impossible_frames_are_refused(house: Path, query: str, said: str) -> None:
    """Oracle: the sentence; no process is started for them."""
    drawing = Drawing()
    client = Client(Studio(Shelf(house / "outputs"), PretendTrainings(), drawing, Errands()))
    answer = get(client, f"/frame/ball?{query}")
    assert answer.status_code == 400
    assert said in answer.get_json()["says"]
    assert drawing._process is None


def test_curves_are_thinned(client: Client) -> None:
    """Oracle: at most 120 points of a thousand rows, from end to end, on the line that was logged; what is
    always 0 is no curve, and a row that is still being written none of it.
    """
    told = get(client, "/curves/ball").get_json()
    assert set(told) == {"opacity", "gradient"}
    assert len(told["opacity"]) <= 120
    assert told["opacity"][0][0] < 10
    assert told["opacity"][-1][0] > 990
    assert all(abs(value - step / 1000) <= 1e-3 for step, value in told["opacity"])


def test_unknown_words_are_told(client: Client) -> None:
    """Oracle: the bundled prior's list; a preset whose prior has none knows everything."""
    assert get(client, "/words?prompt=a+cyan+lion&preset=smoke").get_json() == {"cyan": ["turquoise"]}
    assert get(client, "/words?prompt=a+cyan+lion&preset=paper").get_json() == {}
    assert get(client, "/words?prompt=a+cyan+lion&preset=nothing").get_json() == {}


def test_files_of_a_run_can_be_kept(client: Client) -> None:
    """Oracle: the file's bytes, under the run's name."""
    (run,) = [run for run in get(client, "/state").get_json()["runs"] if run["prompt"] == "a blue cube"]
    with get(client, f"/file/{run['name']}/turntable.webp?save") as answer:
        assert answer.data[:4] == b"RIFF"
        assert run["name"].partition("/")[2] in answer.headers["Content-Disposition"]


# --- what is done -------------------------------------------------------------------------------------------


def test_a_training_is_asked_for(client: Client, studio: Studio) -> None:
    """Oracle: the command that one would type, and a name that such a run has; it saves 25 times."""
    body = {"prompt": 'a lion, "red" = $HOME', "loss": "sds", "seed": "3", "preset": "bench", "scale": "7.50"}
    name = post(client, "/train", body).get_json()["name"]
    ((_, job),) = studio.trainings.asked  # type: ignore[attr-defined]
    assert job.name == name
    assert name.startswith("a-lion-red-home-sds-s7.5-seed3-")
    typed = ['prompt=a lion, "red" = $HOME', "loss=sds", "loss.guidance_scale=7.5", "seed=3", "preset=bench"]
    out = f"out={studio.shelf.outputs / name}"
    assert job.arguments == [*typed, out, "logging.checkpoint_every=8"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": "a lion", "loss": "dds"}, "loss=dds is not offered here"),
        ({"prompt": "a lion", "seed": "-1"}, "seed=-1 is of the wrong kind"),
        ({"prompt": "a lion", "scale": "much"}, "scale=much is of the wrong kind"),
        ({"prompt": "a lion", "scale": "nan"}, "guidance_scale"),
        ({"prompt": "a lion", "preset": "no"}, "preset=no does not exist"),
        ({"prompt": "a lion", "preset": "../x"}, "preset=../x does not exist"),
        ({"prompt": "a lion", "out": "/tmp/x"}, "out is no setting of this page"),
        ([], "the request holds no settings"),
    ],
)
def test_wrong_settings_are_one_sentence(client: Client, studio: Studio, body: Any, said: str) -> None:
    """Oracle: the sentence, and nothing begun."""
    answer = post(client, "/train", body)
    assert answer.status_code == 400
    assert said in answer.get_json()["says"]
    assert not studio.trainings.asked  # type: ignore[attr-defined]


def test_a_run_goes_on_by_its_own_settings(client: Client, studio: Studio) -> None:
    """Oracle: src.train's from=; what waits in the queue keeps its command."""
    trainings: Any = studio.trainings
    post(client, "/go-on", {"run": "ball"})
    folder = studio.shelf.outputs / "ball"
    assert trainings.asked[0][1].arguments == [f"from={folder}", f"out={folder}"]
    trainings.waiting = Job("soon", ["prompt=x"])
    post(client, "/go-on", {"run": "soon"})
    assert trainings.asked[1][1] is trainings.waiting
    assert post(client, "/stop", {"run": "ball"}).get_json()["says"] == "ball is not being trained from here"


def test_the_command_of_a_run_makes_it_again(client: Client, house: Path) -> None:
    """Oracle: composed, it leads to the run's own settings."""
    (run,) = [run for run in get(client, "/state").get_json()["runs"] if run["prompt"] == "a blue cube"]
    command = get(client, f"/command/{run['name']}").get_json()["command"]
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "src.train"]
    found = yaml.safe_load((house / "outputs" / run["name"] / "config.yaml").read_text())
    again = leaves(json.loads(json.dumps(identity(settings(*words[3:])))))
    before = dict(leaves(found))
    assert len(again) > 50
    assert {name: before[name] for name, _ in again} == dict(again)


# --- who may ask --------------------------------------------------------------------------------------------

ASKS = ("state", "words", "frame/{}", "curves/{}", "command/{}", "preview/{}", "file/{}/turntable.webp", "{}")
ACTS = ("train", "pause", "stop", "go-on", "mesh")
WAYS_OUT = (
    *("../private/{run}", "ball/../../private/{run}", "..", "../..", ".", "ball/..", "/etc", "//etc/passwd"),
    *("%2e%2e/private/{run}", "..%2fprivate%2f{run}", "ball%00", "elsewhere", "broken", "..\\private\\{run}"),
    *("loose.txt", "../secret.txt", "ball/private.txt", "sweep"),
)


def private_run(house: Path) -> str:
    (run,) = (house / "private").iterdir()
    return run.name


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_path_leads_out_of_the_outputs(client: Client, house: Path, way: str) -> None:
    """Oracle: no answer holds what is private, and none of those that need a run succeeds."""
    way = way.format(run=private_run(house))
    for ask in ASKS[2:]:
        answer = get(client, "/" + ask.format(way))
        assert answer.status_code in (400, 404), (ask, answer.data)
        assert SECRET.encode() not in answer.data
    for act in ("go-on", "mesh"):
        assert post(client, f"/{act}", {"run": way}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        *("/file/ball/private.txt", "/file/ball/config.yaml", "/file/ball/sheet.png", "/file/ball/.lock"),
        *("/file/ball/../../secret.txt", "/file/ball/..%2f..%2fsecret.txt", "/page.html", "/../page.js"),
        *("/file/ball/checkpoints/step-00000020.safetensors", "/routes.py", "/static/x", "/outputs"),
    ],
)
def test_only_named_files_are_served(client: Client, path: str) -> None:
    """Oracle: a refusal for whatever else lies in a run's folder, is linked from it, or is ours."""
    answer = get(client, path)
    assert answer.status_code in (400, 404)
    assert SECRET.encode() not in answer.data


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8100", "192.168.0.7:8100", "localhost.evil.example", ""]
)
def test_another_host_gets_nothing(client: Client, studio: Studio, host: str) -> None:
    """Oracle: 403 and one sentence, whatever is asked."""
    for path in ("/", "/page.js", *("/" + ask.format("ball") for ask in ASKS)):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, len(answer.get_json())) == (403, 1)
    for act in ACTS:
        assert client.post(f"/{act}", json={"run": "ball"}, headers={"Host": host}).status_code == 403
    assert not studio.trainings.asked  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_may_not_ask(client: Client, studio: Studio, headers: dict[str, str]) -> None:
    """Oracle: 403 for all that reads or does something; a link to the page itself may come from anywhere."""
    for act in ACTS:
        assert post(client, f"/{act}", {"run": "ball", "prompt": "x"}, **headers).status_code == 403
    for ask in ("/state", "/frame/ball"):
        assert get(client, ask, **headers).status_code == 403
    assert not studio.trainings.asked  # type: ignore[attr-defined]
    if "Origin" not in headers:
        assert get(client, "/", **headers).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_forms_of_other_sites_do_nothing(client: Client, studio: Studio, kind: str) -> None:
    """Oracle: 403 for every body that a form can send; browsers ask before they send json elsewhere."""
    answer = client.post("/train", data='{"prompt": "a lion"}', content_type=kind, headers=OWN)
    assert answer.status_code == 403
    assert not studio.trainings.asked  # type: ignore[attr-defined]


def test_what_only_reads_is_not_posted_and_the_other_way_round(client: Client) -> None:
    """Oracle: 405."""
    assert post(client, "/state", {}).status_code == 405
    assert get(client, "/train").status_code == 405


def test_a_request_has_an_end(client: Client) -> None:
    """Oracle: a megabyte is no prompt."""
    assert post(client, "/train", {"prompt": "a" * 10**6}).status_code in (400, 413)


@pytest.mark.parametrize(
    ("host", "here", "anywhere"),
    [
        ("localhost", True, True),
        ("localhost:8100", True, True),
        ("127.0.0.1:1", True, True),
        ("[::1]:8100", True, True),
        ("192.168.0.7:8100", False, True),
        (f"{socket.gethostname()}:8100", socket.gethostname() == "localhost", True),
        ("evil.example", False, False),
        ("127.0.0.1.evil.example:8100", False, False),
        ("localhost:8100@evil.example", False, False),
        ("", False, False),
    ],
)
def test_names_of_this_machine(host: str, here: bool, anywhere: bool) -> None:
    """Oracle: loopback alone; served to others, addresses and the machine's own name as well, no domain."""
    assert names_this_machine(host, anywhere=False) is here
    assert names_this_machine(host, anywhere=True) is anywhere


# --- what goes wrong ----------------------------------------------------------------------------------------


DRAWER = """
import json, sys
for line in sys.stdin.buffer:
    asked = json.loads(line)
    if asked["step"] == 7:
        told, picture = {"says": "no step 7"}, b""
    else:
        picture = repr(sorted(asked.items())).encode()
        told = {"bytes": len(picture)}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\\n" + picture)
    sys.stdout.buffer.flush()
    if asked["step"] == 9:
        break
"""


def test_the_process_that_draws_is_started_again() -> None:
    """Oracle: a stand-in that answers with the question, and ends after step 9: nobody notices; what it says
    instead of a picture is an error, and one that cannot start is another.
    """
    drawing = Drawing([sys.executable, "-S", "-c", DRAWER])
    camera = (0.0, 10.0, 1.0)
    try:
        first = drawing.picture(Path("run"), 9, camera, "opacity", "env", 32)
        assert b"('elevation', 10.0), ('folder', 'run'), ('height', 32), ('show', 'opacity')" in first
        assert drawing.picture(Path("run"), 9, camera, "opacity", "env", 32) == first
        with pytest.raises(UserError, match="no step 7"):
            drawing.picture(Path("run"), 7, camera, "rgb", "env", 32)
    finally:
        drawing.close()
    drawing = Drawing([sys.executable, "-S", "-c", "pass"])
    with pytest.raises(UserError, match="ends at once"):
        drawing.picture(Path("run"), 1, camera, "rgb", "env", 32)
    drawing.close()


def test_whoever_waits_for_a_picture_is_told_when_the_studio_ends() -> None:
    """Oracle: a process that never answers is ended under the hands of who waits, and not begun again."""
    drawing = Drawing([sys.executable, "-S", "-c", "import time; time.sleep(100)"])
    drawing.begin()
    ending = threading.Timer(0.2, drawing.close)
    ending.start()
    with pytest.raises(UserError, match="ends at once"):
        drawing.picture(Path("run"), 1, (0.0, 10.0, 1.0), "rgb", "env", 32)
    ending.join()
    assert drawing._process is None


def test_requests_are_answered_in_turn(house: Path) -> None:
    """Oracle: the pictures that `draw` makes; a checkpoint that is gone is a sentence and no end."""
    asked = {"folder": str(house / "outputs/ball"), "step": 20, "azimuth": 0.0, "elevation": 0.0, "zoom": 1.0}
    asked |= {"show": "opacity", "backdrop": "env", "height": 32}
    lines = [json.dumps(asked | {"step": step}).encode() + b"\n" for step in (20, 7, 10)]
    answers = io.BytesIO()
    serve(io.BytesIO(b"".join(lines)), answers)
    answers.seek(0)
    for step in (20, 7, 10):
        told = json.loads(answers.readline())
        if step == 7:
            assert "no whole checkpoint of step 7" in told["says"]
        else:
            assert answers.read(told["bytes"]) == draw(asked | {"step": step}, {})


def test_a_mistake_of_ours_is_printed_and_not_told(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: 500, no traceback on the page, one in the terminal."""
    monkeypatch.setattr(Shelf, "names", lambda self: 1 / 0)
    answer = get(client, "/state")
    assert answer.status_code == 500
    assert "Zero" not in answer.get_data(as_text=True)
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.fixture
def errands() -> Iterator[Errands]:
    """Errands whose command fails with a sentence."""
    made = Errands([sys.executable, "-S", "-c", "import sys; sys.exit('run: no surface')"])
    yield made
    made.close()


def test_a_mesh_that_cannot_be_made_is_told(errands: Errands, house: Path) -> None:
    """Oracle: the command's last line."""
    errands.mesh("ball", house / "outputs/ball")
    with pytest.raises(UserError, match="the mesh of ball is being made"):
        errands.mesh("other", house / "outputs/ball")
    deadline = time.monotonic() + 30
    while errands.state()["ball"] == "making":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert errands.state() == {"ball": "No mesh: run: no surface"}
