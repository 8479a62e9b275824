"""Suites: which runs belong to one, and how their work is done, interrupted and taken up again."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from src.config import run_name
from src.door import CONF, settings
from src.errors import UserError
from src.evaluation.suite import suite
from src.evaluation.suite.suite import Case, Job, Method
from src.toybox.world.captions import named, unseen
from src.toybox.world.shapes import KINDS

# Plays src.train: notes that it was called, takes a while to save after SIGINT, and leaves a manifest.
TRAINER = """
import json, os, pathlib, signal, sys, time
folder, behaviour = pathlib.Path(sys.argv[1]), sys.argv[2]
signals = []
signal.signal(signal.SIGINT, lambda *_: signals.append(1))
(folder / "calls").open("a").write("x")
if behaviour == "broken":
    sys.exit(f"{folder.name}: the disk is full")
while behaviour == "slow":
    time.sleep(0.05)
    if signals:
        time.sleep(0.5)
        (folder / "saved").write_text(f"{len(signals)} signals, session {os.getsid(0)}")
        sys.exit(130)
(folder / "manifest.json").write_text(json.dumps({"finished": True, "step": 20, "opacity": 0.5}))
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    chosen = suite.methods("[nfsd,sds@7.5,sds]")
    return suite.cases("toybench", "smoke", chosen, 2, tmp_path_factory.mktemp("suite"))


def moved(cases: list[Case], folder: Path) -> list[Case]:
    return [case._replace(folder=folder / case.folder.name) for case in cases]


def job(case: Case, behaviour: str = "good") -> Job:
    return Job([sys.executable, "-S", "-c", TRAINER, str(case.folder), behaviour], [case])


def work(cases: list[Case], **behaviour: str) -> dict[Path, str]:
    todo = [job(case, behaviour.get(f"c{i}", "good")) for i, case in enumerate(cases)]
    todo = [one for one in todo if not suite.is_trained(one.cases[0])]
    return suite.work_off(todo, 2, suite.is_trained, lambda case: "fine", "trained")


def calls(case: Case) -> int:
    path = case.folder / "calls"
    return len(path.read_text()) if path.exists() else 0


def test_a_suite_is_every_prompt_method_and_seed(planned: list[Case]) -> None:
    """Oracle: 24 × 3 × 2, no folder twice, whole seeds first, methods called by loss and scale."""
    assert len(planned) == len({case.folder for case in planned}) == 144
    assert [case.seed for case in planned] == [0] * 72 + [1] * 72
    assert [case.method for case in planned[:4]] == ["NFSD 7.5", "SDS 7.5", "SDS 100", "NFSD 7.5"]


def test_the_marks_of_toybench_are_true() -> None:
    """Oracle: the rules of the world; 24 kinds, 15 with a front, half of the prompts unseen and marked so."""
    lines = (CONF / "prompts/toybench.yaml").read_text().splitlines()
    prompts = [line.removeprefix("- ").partition(" # ") for line in lines if line.startswith("- ")]
    subjects = [named(prompt) for prompt, _, _ in prompts]
    found = [subject for subject in subjects if subject is not None]
    assert len({subject.kind for subject in found}) == 24 == len(prompts)
    assert [unseen(subject) for subject in found] == [mark == "held out" for _, _, mark in prompts]
    assert sum(map(unseen, found)) == 12
    assert sum(KINDS[subject.kind].has_front for subject in found) == 15


def test_the_marks_of_the_gallery_are_true() -> None:
    """Oracle: the rules of the world."""
    lines = (CONF / "prompts/gallery.yaml").read_text().splitlines()
    prompts = [line.removeprefix("- ").partition(" # ") for line in lines if line.startswith("- ")]
    for prompt, _, mark in prompts:
        subject = named(prompt)
        assert subject is not None, prompt
        assert unseen(subject) == (mark == "held out"), prompt


def test_runs_are_those_that_src_train_would_make(planned: list[Case]) -> None:
    """Oracle: the folder's name that the door gives the command's own arguments."""
    for case in (planned[0], planned[4], planned[-1]):
        arguments = [word for word in suite.training(case).command[3:] if not word.startswith("out=")]
        assert run_name(settings(*arguments)) == case.folder.name
        assert f"out={case.folder}" in suite.training(case).command


def test_a_restart_repeats_nothing_that_is_finished(tmp_path: Path, planned: list[Case]) -> None:
    """Oracle: each run's count of its calls, after an interrupted suite (2 of 4) and two restarts."""
    cases = moved(planned[:4], tmp_path)
    assert work(cases[:2]) == {}
    assert work(cases) == {}
    assert work(cases) == {}
    assert [calls(case) for case in cases] == [1, 1, 1, 1]


def test_a_run_cut_short_of_its_steps_is_not_trained(tmp_path: Path, planned: list[Case]) -> None:
    """Oracle: finished with fewer steps than the preset has, or stopped in the middle, means: go on."""
    case = moved(planned[:1], tmp_path)[0]
    case.folder.mkdir()
    for manifest in ({"finished": True, "step": 19}, {"finished": False, "step": 20}, {}):
        (case.folder / "manifest.json").write_text(json.dumps(manifest))
        assert not suite.is_trained(case)
    (case.folder / "manifest.json").write_text(json.dumps({"finished": True, "step": 20}))
    assert suite.is_trained(case)


def test_a_failing_run_is_named_and_stops_no_other(tmp_path: Path, planned: list[Case]) -> None:
    """Oracle: the reason is the failing command's own last line; the runs before and after it are done."""
    cases = moved(planned[:4], tmp_path)
    failed = work(cases, c1="broken")
    assert failed == {cases[1].folder: f"{cases[1].folder.name}: the disk is full"}
    assert [suite.is_trained(case) for case in cases] == [True, False, True, True]


def test_one_signal_stops_cleanly_and_the_next_call_goes_on(tmp_path: Path, planned: list[Case]) -> None:
    """Oracle: running children get one SIGINT and save, waiting ones never start, and a restart does all."""
    cases = moved(planned[:4], tmp_path)

    def interrupt() -> None:
        while calls(cases[0]) + calls(cases[1]) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(SystemExit) as stopped:
        work(cases, c0="slow", c1="slow")
    thread.join()
    assert stopped.value.code == 130
    saved = [path.read_text() for case in cases[:2] for path in case.folder.glob("saved")]
    assert [text.split(",")[0] for text in saved] == ["1 signals", "1 signals"]
    # A terminal's Ctrl-C goes to every process of its session: theirs is another.
    assert not any(text.endswith(f"session {os.getsid(0)}") for text in saved)
    assert [calls(case) for case in cases] == [1, 1, 0, 0]
    assert work(cases) == {}
    assert [calls(case) for case in cases] == [2, 2, 1, 1]


def test_runs_of_one_prompt_are_evaluated_together(planned: list[Case]) -> None:
    """Oracle: 24 prompts, 24 commands, every run in one of them."""
    jobs = suite.evaluations(planned, "some/judge")
    assert len(jobs) == 24
    assert all("judge=some/judge" in one.command for one in jobs)
    assert all(len({case.prompt for case in one.cases}) == 1 for one in jobs)
    named = [word for one in jobs for word in one.command if word.startswith("run=")]
    assert sorted(named) == sorted(f"run={case.folder}" for case in planned)


@pytest.mark.parametrize("text", ["nfsd,sds@7.5,sds", "[nfsd, sds@7.5, sds]"])
def test_methods_are_losses_with_or_without_a_scale(text: str) -> None:
    """Oracle: the documented spelling, with and without brackets."""
    assert suite.methods(text) == [Method("nfsd", None), Method("sds", 7.5), Method("sds", None)]


def test_a_method_may_differ_in_any_setting(tmp_path: Path) -> None:
    """Oracle: the settings composed by hand; the job trains the very run that its folder is named after."""
    chosen = suite.methods("nfsd, nfsd@5+prompts.interpolate=true+batch_size=1")
    plain, other = suite.cases("toybench", "smoke", chosen, 1, tmp_path)[:2]
    assert other.method == "NFSD 5 + prompts.interpolate=true + batch_size=1"
    assert other.cfg.prompts.interpolate
    assert (other.cfg.batch_size, other.cfg.loss.guidance_scale) == (1, 5.0)
    assert not plain.cfg.prompts.interpolate
    (empty,) = suite.methods("nfsd+prompts.negative=")  # a setting may be nothing, as src.train has it
    assert settings("prompt=any", "preset=smoke", *empty.overrides()).prompts.negative == ""
    for case in (plain, other):
        assert run_name(settings(*suite.training(case).command[3:])) == case.folder.name


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        ("nfsd,foo", "losses=foo is unknown: choose from nfsd, sds, sjc, csd"),
        ("", "losses= is unknown"),
        ("sds@", "losses=sds@: '' is no guidance scale"),
        ("sds@-1", "'-1' is no guidance scale"),
        ("sds@nan", "'nan' is no guidance scale"),
        ("sds@9999999", "loss.guidance_scale=9999999.0 is out of range"),
        ("sds,nfsd,sds@100", "SDS 100 and SDS 100 are the same runs: name each once"),
        ("nfsd,nfsd+batch_size=1", "NFSD 7.5 and NFSD 7.5 + batch_size=1 are the same runs"),
        ("nfsd+steps", "'steps' is no setting of a method"),
        ("nfsd+seed=4", "'seed=4' is no setting of a method"),
        ("nfsd,nfsd+steps=4", "'steps=4' is no setting of a method"),
        ("nfsd+logging.preview_every=5", "'logging.preview_every=5' is no setting of a method"),
    ],
)
def test_losses_that_cannot_be_are_named(losses: str, sentence: str, tmp_path: Path) -> None:
    """Oracle: one sentence that names the loss, before anything runs."""
    with pytest.raises(UserError) as error:
        suite.cases("toybench", "smoke", suite.methods(losses), 1, tmp_path)
    assert sentence in str(error.value)
