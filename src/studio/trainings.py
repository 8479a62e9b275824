"""Trainings asked for on the page: one at a time, each in a process of its own, the others in a queue.

What runs is the ordinary command, so that a run begun here is like any other.  SIGTERM makes it save and
export what there is, and the same command goes on from there: that is all there is to pausing.  The queue is
kept in .studio.json, with the process that trains: should the studio be killed, the training goes on, and
the next studio finds it again.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from src.errors import UserError
from src.run.checkpoint import write_atomically

TRAIN = (sys.executable, "-m", "src.train")
MEMORY = ".studio.json"
LOOKS_SECONDS = 0.25
LINES = 50  # of what a trainer says, of which the last ones matter


@dataclass(frozen=True)
class Job:
    """A run to train: its name below the outputs, the command's arguments, and what the page tells of it."""

    name: str
    arguments: list[str]
    shows: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """The process that trains a job."""

    def __init__(self, job: Job, process: psutil.Popen | psutil.Process) -> None:
        self.job, self.asked = job, ""  # to "pause" or to "stop", if anybody has
        self.lines: deque[str] = deque(maxlen=LINES)
        self._process = process
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    @classmethod
    def begun(cls, job: Job, command: Sequence[str]) -> "Trainer":
        """A process that begins now."""
        process = psutil.Popen(
            [*command, *job.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # or Ctrl-C in the studio's terminal would reach it twice
        )
        return cls(job, process)

    @classmethod
    def found_again(cls, job: Job, pid: int, created: float) -> "Trainer | None":
        """The process that an earlier studio began, unless it has ended since; what it says is lost."""
        try:
            process = psutil.Process(pid)
            return cls(job, process) if process.create_time() == created else None
        except psutil.Error:
            return None

    def whose(self) -> dict[str, Any]:
        """What an heir of this studio needs to find the process again."""
        return {"job": asdict(self.job), "pid": self._process.pid, "created": self._process.create_time()}

    def ended(self) -> bool:
        """Whether it trains no more."""
        if isinstance(self._process, psutil.Popen):
            return self._process.poll() is not None
        return not self._process.is_running()

    def ask_to(self, what: str) -> None:
        """Ask it to save and end, to "pause" or to "stop"; asked again, it ends at once."""
        self.asked = what
        with suppress(psutil.Error, ProcessLookupError):
            self._process.terminate()

    def wait(self) -> None:
        """Wait until it has ended."""
        self._process.wait()

    def outcome(self) -> str:
        """What is to be said of its end; empty where it did what was asked."""
        if not isinstance(self._process, psutil.Popen):
            return ""  # nobody knows: its folder says how far it came
        code = self._process.returncode
        if self._listening.is_alive():
            self._listening.join(timeout=5)
        last = self.lines[-1] if self.lines else "it said nothing"
        if code == 0 or (self.asked and code in (128 + signal.SIGTERM, -signal.SIGTERM)):
            return ""
        if code < 0 or code > 128:
            number = -code if code < 0 else code - 128
            return (
                f"The trainer was ended by signal {number}; go on, and it continues from its last checkpoint."
            )
        return last if code == 2 else f"The trainer failed by a mistake of ours: {last}"

    def _listen(self) -> None:
        if isinstance(self._process, psutil.Popen):
            with self._process.stdout as said:
                for line in said:
                    if line.strip():
                        self.lines.append(line.strip())


class Trainings:
    """The queue, and what became of those that left it.

    `others` names a run that somebody else trains in the same outputs, if there is one: the queue waits for
    it, since two trainings at once take longer than one after the other.
    """

    def __init__(
        self, outputs: Path, others: Callable[[], str] = str, command: Sequence[str] = TRAIN
    ) -> None:
        self.current: Trainer | None = None
        self.queue: list[Job] = []
        self.held = False  # nothing leaves the queue until somebody asks
        self.said: dict[str, str] = {}  # of runs whose training ended badly
        self.trouble = ""  # the studio's own
        self._memory, self._others, self._command = outputs / MEMORY, others, command
        self._lock, self._closed = threading.RLock(), threading.Event()
        self._recall()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def add(self, job: Job) -> None:
        """Train a job now, or when those before it are done; raises UserError if it is on its way already."""
        with self._lock:
            if self.current is not None and self.current.job.name == job.name:
                raise UserError(f"{job.name} is being trained already")
            self.queue = [other for other in self.queue if other.name != job.name]
            # Whoever paused and starts something else wants that, and not what waited behind.
            self.queue.insert(0 if self.held else len(self.queue), job)
            self.held = False
            self.said.pop(job.name, None)
            self._remember()
            self._next()

    def pause(self, name: str) -> None:
        """Save and end what trains; the queue waits until something is started or goes on."""
        with self._lock:
            self.held = True
            self._end(name, "pause")

    def stop(self, name: str) -> None:
        """Save and end a training and go on with the queue, or take a job out of the queue."""
        with self._lock:
            if any(job.name == name for job in self.queue):
                self.queue = [job for job in self.queue if job.name != name]
                self._remember()
            else:
                self._end(name, "stop")

    def queued(self, name: str) -> Job | None:
        """The job of a run that waits in the queue."""
        with self._lock:
            return next((job for job in self.queue if job.name == name), None)

    def state(self) -> dict[str, Any]:
        """What the page tells of the queue."""
        with self._lock:
            now = self.current
            return {
                "training": now and now.job.name,
                "asked": now.asked if now else "",
                "line": now.lines[-1] if now and now.lines else "",
                "queue": [{"name": job.name, **job.shows} for job in self.queue],
                "current": {"name": now.job.name, **now.job.shows} if now else None,
                "held": self.held,
                "waits_for": self._others() if self.queue and not now else "",
                "said": dict(self.said),
                "trouble": self.trouble,
            }

    def close(self) -> None:
        """Let the training save and end; the queue is there again when the next studio opens."""
        self._closed.set()
        self._watching.join()
        with self._lock:
            if self.current is not None:
                if not self.current.asked:  # asked again, it would end without saving
                    self.current.ask_to("stop")
                self.current.wait()
                self.current = None
            self._remember()

    def end_at_once(self) -> None:
        """Ask the training a second time, which it obeys without exporting anything."""
        if self.current is not None:
            self.current.ask_to("stop")

    def _end(self, name: str, what: str) -> None:
        if self.current is None or self.current.job.name != name:
            raise UserError(f"{name} is not being trained from here")
        if not self.current.asked:
            self.current.ask_to(what)
        self._remember()

    def _watch(self) -> None:
        while not self._closed.wait(LOOKS_SECONDS):
            with self._lock, suppress(OSError):  # of a look at the runs: there will be another
                if self.current is not None and self.current.ended():
                    if outcome := self.current.outcome():
                        self.said[self.current.job.name] = outcome
                    self.current = None
                    self._remember()
                self._next()

    def _next(self) -> None:
        if self.current is None and self.queue and not self.held and not self._others():
            job = self.queue.pop(0)
            try:
                self.current = Trainer.begun(job, self._command)
            except OSError as error:
                self.said[job.name] = f"The trainer cannot be started ({error.strerror})."
            self._remember()

    def _remember(self) -> None:
        whole = {
            "queue": [asdict(job) for job in self.queue],
            "current": self.current.whose() if self.current and not self.current.ended() else None,
            "said": self.said,
        }
        try:
            write_atomically(self._memory, (json.dumps(whole, indent=1) + "\n").encode())
            self.trouble = ""
        except OSError as error:
            self.trouble = (
                f"The queue cannot be written to {self._memory} ({error.strerror}): free some space."
            )

    def _recall(self) -> None:
        try:
            told = json.loads(self._memory.read_text(encoding="utf-8"))
            self.queue = [Job(**job) for job in told["queue"]]
            self.said = {str(name): str(why) for name, why in told["said"].items()}
            now = told["current"]
            found = Trainer.found_again(Job(**now["job"]), now["pid"], now["created"]) if now else None
            # A queue from before does not start by itself, unless the training before it never stopped.
            self.current, self.held = found, found is None and bool(self.queue)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            print(f"{self._memory} cannot be read ({error}), so the queue begins empty", file=sys.stderr)
