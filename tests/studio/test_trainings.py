"""The queue: one at a time, saved before it ends, and there again after the studio was."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from src.errors import UserError
from src.studio.trainings import MEMORY, Job, Trainings

FAKE = (sys.executable, "-S", str(Path(__file__).with_name("fake_trainer.py")))
PATIENCE_SECONDS = 30


def until(true: Callable[[], object]) -> None:
    """Wait for something that comes true; fail if it does not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Desk:
    """Trainings in a folder, and what the fake trainers wrote about themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.busy = folder, ""
        self.trainings = self.again()

    def again(self) -> Trainings:
        return Trainings(self.folder, lambda: self.busy, FAKE)

    def job(self, name: str, ends: str = "asked") -> Job:
        return Job(name, [f"name={name}", f"diary={self.folder / 'diary'}", f"ends={ends}"], {"prompt": name})

    def diary(self) -> list[str]:
        path = self.folder / "diary"
        return path.read_text().splitlines() if path.exists() else []

    def training(self) -> str | None:
        return self.trainings.state()["training"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk whose trainer is gone afterwards."""
    made = Desk(tmp_path)
    yield made
    made.trainings.close()


def test_one_at_a_time(desk: Desk) -> None:
    """Oracle: the diary: the second begins when the first has ended by itself."""
    desk.trainings.add(desk.job("a", str(desk.folder / "enough")))
    desk.trainings.add(desk.job("b"))
    until(lambda: desk.diary() == ["a begins"])
    assert [job["name"] for job in desk.trainings.state()["queue"]] == ["b"]
    (desk.folder / "enough").touch()
    until(lambda: desk.diary() == ["a begins", "a ends", "b begins"])
    assert desk.training() == "b"
    assert not desk.trainings.state()["said"]


def test_pausing_saves_and_holds_the_queue(desk: Desk) -> None:
    """Oracle: the diary, and a queue that waits until something is asked for, which then comes first."""
    desk.trainings.add(desk.job("a"))
    desk.trainings.add(desk.job("b"))
    until(lambda: desk.diary() == ["a begins"])
    desk.trainings.pause("a")
    until(lambda: desk.training() is None)
    time.sleep(0.5)  # twice as long as the queue takes to look
    state = desk.trainings.state()
    assert (desk.diary(), state["held"], state["said"]) == (["a begins", "a saves"], True, {})
    desk.trainings.add(desk.job("a"))
    until(lambda: desk.diary() == ["a begins", "a saves", "a begins"])
    assert [job["name"] for job in desk.trainings.state()["queue"]] == ["b"]


def test_stopping_lets_the_next_one_begin(desk: Desk) -> None:
    """Oracle: the diary; a job that waits is only taken out."""
    for name in "abc":
        desk.trainings.add(desk.job(name))
    until(lambda: desk.diary() == ["a begins"])
    desk.trainings.stop("b")
    desk.trainings.stop("a")
    until(lambda: desk.diary() == ["a begins", "a saves", "c begins"])


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ("2", "out: the disk is full: free some space"),
        ("1", "The trainer failed by a mistake of ours: RuntimeError: a slip of ours"),
    ],
)
def test_what_goes_wrong_is_one_sentence(desk: Desk, ends: str, said: str) -> None:
    """Oracle: the trainer's own last line; the queue goes on."""
    desk.trainings.add(desk.job("a", ends))
    desk.trainings.add(desk.job("b"))
    until(lambda: desk.training() == "b")
    assert desk.trainings.state()["said"] == {"a": said}


def test_a_killed_trainer_is_told_and_the_next_one_begins(desk: Desk) -> None:
    """Oracle: the signal's number."""
    desk.trainings.add(desk.job("a"))
    until(lambda: desk.diary() == ["a begins"])
    assert desk.trainings.current is not None
    os.kill(desk.trainings.current.whose()["pid"], signal.SIGKILL)
    until(lambda: desk.training() is None)
    assert "ended by signal 9" in desk.trainings.state()["said"]["a"]
    desk.trainings.add(desk.job("a"))
    assert not desk.trainings.state()["said"]


def test_a_trainer_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    """Oracle: the system's reason, and an empty queue."""
    trainings = Trainings(tmp_path, command=["/nowhere/python"])
    trainings.add(Job("a", []))
    assert trainings.state()["said"] == {"a": "The trainer cannot be started (No such file or directory)."}
    assert not trainings.state()["queue"]
    trainings.close()


def test_the_same_run_is_not_begun_twice(desk: Desk) -> None:
    """Oracle: a sentence for what trains; what waits stands in the queue once, at its end."""
    for name in "abc":
        desk.trainings.add(desk.job(name))
    with pytest.raises(UserError, match="a is being trained already"):
        desk.trainings.add(desk.job("a"))
    desk.trainings.add(desk.job("b"))
    assert [job["name"] for job in desk.trainings.state()["queue"]] == ["c", "b"]
    for ask in (desk.trainings.pause, desk.trainings.stop):
        with pytest.raises(UserError, match="nothing is not being trained from here"):
            ask("nothing")


def test_the_queue_waits_for_what_others_train(desk: Desk) -> None:
    """Oracle: nothing begins while another run trains in the folder, and the page is told which."""
    desk.busy = "theirs"
    desk.trainings.add(desk.job("a"))
    time.sleep(0.5)
    assert not desk.diary()
    assert desk.trainings.state()["waits_for"] == "theirs"
    desk.busy = ""
    until(lambda: desk.diary() == ["a begins"])


def test_closing_saves_and_the_queue_is_there_again(desk: Desk) -> None:
    """Oracle: the diary; the next studio has the queue, and begins nothing by itself."""
    desk.trainings.add(desk.job("a"))
    desk.trainings.add(desk.job("b"))
    until(lambda: desk.diary() == ["a begins"])
    desk.trainings.close()
    assert desk.diary() == ["a begins", "a saves"]
    desk.trainings = desk.again()
    state = desk.trainings.state()
    assert (state["training"], state["held"], [job["name"] for job in state["queue"]]) == (None, True, ["b"])
    assert desk.trainings.queued("b") == desk.job("b")


def test_closing_asks_a_training_that_already_saves_no_second_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: what it was asked: a second time, and it would end without saving."""
    desk.trainings.add(desk.job("a"))
    until(lambda: desk.diary() == ["a begins"])
    current = desk.trainings.current
    assert current is not None
    asked: list[str] = []
    ask = current.ask_to
    monkeypatch.setattr(current, "ask_to", lambda what: (asked.append(what), ask(what)))
    desk.trainings.pause("a")
    desk.trainings.close()
    assert asked == ["pause"]
    assert desk.diary() == ["a begins", "a saves"]


def test_a_killed_studio_finds_its_training_again(desk: Desk) -> None:
    """Oracle: what the memory held at the kill: the process goes on, the heir knows it and can end it."""
    desk.trainings.add(desk.job("a"))
    desk.trainings.add(desk.job("b"))
    until(lambda: desk.diary() == ["a begins"])
    remembered = (desk.folder / MEMORY).read_bytes()
    first = desk.trainings.current
    assert first is not None
    desk.trainings.current, desk.trainings.held = None, True  # as if it were dead
    (desk.folder / MEMORY).write_bytes(remembered)
    heir = desk.again()
    assert heir.state()["training"] == "a"
    heir.pause("a")
    until(lambda: desk.diary() == ["a begins", "a saves"])
    first.wait()  # only a parent can put a process to rest
    until(lambda: heir.state()["training"] is None)
    heir.close()


def test_a_process_of_the_same_number_is_not_taken_for_it(desk: Desk) -> None:
    """Oracle: this very process, begun at another time."""
    facts = {
        "job": {"name": "a", "arguments": []},
        "pid": os.getpid(),
        "created": psutil.Process().create_time() + 1,
    }
    (desk.folder / MEMORY).write_text(json.dumps({"queue": [], "said": {}, "current": facts}))
    heir = desk.again()
    assert heir.state()["training"] is None
    heir.close()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"queue": 3}', '{"queue": [], "said": {}, "current": {"pid": 1}}']
)
def test_a_damaged_memory_is_said_and_not_fatal(
    desk: Desk, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: an empty queue, and a sentence that names the file."""
    (desk.folder / MEMORY).write_text(content)
    heir = desk.again()
    assert not heir.state()["queue"]
    assert MEMORY in capsys.readouterr().err
    heir.close()
    (desk.folder / MEMORY).unlink()


def test_a_full_disk_is_told_and_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the sentence on the page, and a training that runs all the same."""

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("src.studio.trainings.write_atomically", full)
        desk.trainings.add(desk.job("a"))
        assert "No space left on device" in desk.trainings.state()["trouble"]
        until(lambda: desk.diary() == ["a begins"])
    desk.trainings.add(desk.job("b"))
    assert not desk.trainings.state()["trouble"]
