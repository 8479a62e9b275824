"""The studio as a whole: what its command says, and (`make test-browser`) what one can do on its page."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from filelock import FileLock

from src.studio import __main__ as studio
from tests.chromium import chromium

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["port=70000"], "port=70000 is out of range"),
        (["host=example.org"], "host=example.org is no address"),
        (["outputs="], "outputs is empty"),
        (["loss=sds"], "loss=sds: no such setting"),
    ],
)
def test_bad_arguments_are_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Oracle: exit code 2 and the setting's name."""
    assert studio.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_taken_port_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2 and the remedy; nothing is left behind but the lock."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert studio.main([f"port={port}", f"outputs={tmp_path}"]) == 2
    assert f"port={port} is in use: choose another, or port=0" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {studio.LOCK}


def test_a_second_studio_of_a_folder_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: exit code 2, and where the first one is."""
    (tmp_path / studio.ADDRESS).write_text(json.dumps({"url": "http://localhost:8100"}))
    with FileLock(tmp_path / studio.LOCK):
        assert studio.main([f"outputs={tmp_path}"]) == 2
    assert "has a studio already at http://localhost:8100" in capsys.readouterr().err


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2."""
    (tmp_path / "file").touch()
    assert studio.main([f"outputs={tmp_path / 'file' / 'below'}"]) == 2
    assert "cannot be used" in capsys.readouterr().err


def test_it_serves_until_a_signal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the page over a real connection, a refusal of another host; SIGTERM ends it like Ctrl-C."""
    told: list[int | str] = []

    def visit() -> None:
        address = tmp_path / studio.ADDRESS
        for _ in range(1000):
            if address.is_file():
                break
            threading.Event().wait(0.01)
        try:
            url = json.loads(address.read_text())["url"]
            with urlopen(url) as answer:
                told.append(answer.status)
            try:
                urlopen(Request(f"{url}/state", headers={"Host": "evil.example"})).close()
            except HTTPError as error:
                told.append(error.code)
                error.close()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        assert studio.main(["port=0", f"outputs={tmp_path}"]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
        visitor.join()
    assert told == [200, 403]
    assert "Ctrl-C ends" in capsys.readouterr().out


@contextmanager
def served(outputs: Path) -> Iterator[str]:
    """A studio in a process of its own; yields its address."""
    command = [sys.executable, "-m", "src.studio", "port=0", f"outputs={outputs}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.browser
def test_an_object_is_made_on_the_page(tmp_path: Path) -> None:
    """Oracle: what a visitor sees: unknown words, a shape, a pause that outlives a reload and the studio,
    steps that go on from there, a mesh.  Times are printed (-s); they are the machine's.
    """
    outputs, patience = tmp_path / "outputs", 600
    with served(outputs) as url, chromium(url, tmp_path / "profile") as page:
        up = page.until("typeof state !== 'undefined' && state !== null", patience)
        page.call("Input.insertText", text="a cyan lion")
        page.until("one('#words').textContent.includes('turquoise')", patience)
        page.run("one('#words button').click()")
        assert page.run("form.prompt.value") == "a turquoise lion"
        page.run("form.preset.value = 'bench'; one('.primary').click()")
        first = page.until("shown.length && shown[0].drawn.startsWith('frame')", patience)
        print(f"page {up:.1f} s, first shape {first:.1f} s")
        drawn = page.run("shown[0].drawn")
        page.run("move(90, 0, 1)")
        page.until(f"shown[0].drawn !== {json.dumps(drawn)}", patience)

        page.run("one('.pause').click()")
        page.until("!state.training && one('.told').textContent.startsWith('stopped at step')", patience)
        stopped = page.run("state.runs[0].step")
        page.call("Page.reload")
        page.until("typeof state !== 'undefined' && state && shown.length === 1", patience)
        assert page.run("one('.pane h2').textContent") == "a turquoise lion"
    with served(outputs) as url, chromium(url, tmp_path / "profile again") as page:
        page.until("typeof state !== 'undefined' && state && shown.length === 1", patience)
        page.run("one('.go-on').click()")
        page.until(f"state.runs[0].step > {stopped}", patience)
        page.run("one('.stop').click()")
        page.until("!state.training && one('.told').textContent.startsWith('stopped at step')", patience)
        page.run("one('.make').click()")
        page.until("state.runs[0].files['mesh.glb'] && !one('.glb').hidden", patience)
        page.resize(390, 844)
        sticks_out = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.run(sticks_out) == 0
    (run,) = outputs.glob("a-turquoise-lion-nfsd-*")
    assert (run / "mesh.glb").read_bytes()[:4] == b"glTF"
    assert json.loads((run / "manifest.json").read_text())["resumed_from_steps"] == [stopped]
