"""The door: one typed RunConfig per job, or one sentence on stderr and exit code 2; never a traceback."""

import errno
import inspect
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from src.config import RunConfig
from src.door import CONF, door
from src.errors import UserError
from src.run.log import Log
from src.sweeps.runs import compare_draws, read_runs, remembered
from src.toybox import sample
from src.train import train
from tests.runs import TINY
from tests.small_sweeps import make_run


class Task:
    """Remembers the settings that it was called with."""

    def __init__(self) -> None:
        self.seen: list[RunConfig] = []

    def __call__(self, cfg: RunConfig) -> float:
        self.seen.append(cfg)
        return 0.5


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards: the door sets it
    return Task()


def test_one_command_is_one_run(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: what was typed; the first line says which preset and why; Hydra leaves nothing on disk."""
    assert door(task, ["prompt=a lion, (DSLR)", "preset=smoke", "loss=sds", "loss.guidance_scale=100"]) == 0
    (cfg,) = task.seen
    assert (cfg.prompt, cfg.preset, cfg.loss_name, cfg.loss.guidance_scale) == (
        "a lion, (DSLR)",
        "smoke",
        "sds",
        100,
    )
    assert cfg.out is not None
    assert cfg.out.startswith("outputs/a-lion-dslr-sds-s100-seed0-")
    assert capsys.readouterr().out == "preset smoke: as given\n"
    assert list(Path().iterdir()) == []


def test_a_sweep_is_every_combination(task: Task) -> None:
    """Oracle: 2 losses x 2 scales of one prompt with a comma, each in a folder of its own."""
    arguments = ["-m", "prompt=a lion, DSLR", "loss=nfsd,sds", "loss.guidance_scale=7.5,100", "out=here"]
    assert door(task, arguments) == 0
    assert [(cfg.prompt, cfg.loss_name, cfg.loss.guidance_scale) for cfg in task.seen] == [
        ("a lion, DSLR", loss, scale) for loss in ("nfsd", "sds") for scale in (7.5, 100.0)
    ]
    outs = [cfg.out for cfg in task.seen]
    assert len(set(outs)) == 4
    assert all(out is not None and out.startswith("here/a-lion-dslr-") for out in outs)


def test_a_list_of_prompts_is_one_run_each(task: Task) -> None:
    """Oracle: the paper's section A.2."""
    assert door(task, ["prompts=paper_fig6", "preset=smoke", "prompts.views=eight"]) == 0
    assert [cfg.prompt for cfg in task.seen][0::5] == [
        "A huge Hedgehog",
        "a rainbow colored wings spread parrot",
    ]
    assert {cfg.prompts.views.name for cfg in task.seen} == {"eight"}


def test_every_other_command_tells_what_its_file_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the file's own text, exit code 0; and no traceback where the reader closes the pipe at once."""
    assert sample.main(["--help"]) == sample.main(["n=2", "-h"]) == 0
    assert capsys.readouterr().out == 2 * f"{inspect.cleandoc(sample.__doc__ or '')}\n"
    command = f"{shlex.quote(sys.executable)} -m src.toybox.sample --help 2>&1 >&3 3>&- | cat"
    script = f"exec 3> >(true); sleep 0.2; {command}"
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert told.stdout == told.stderr == ""


def test_help_lists_every_setting(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the last name of every setting of the default loss, and every option of every group."""
    with pytest.raises(SystemExit) as stopped:
        door(task, ["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    for word in (
        "guidance_scale",
        "log2_table",
        "lr_encoding",
        "t_max_after",
        "fov_degrees_min",
        "checkpoint_every",
    ):
        assert word in said
    for option in ("csd", "nfsd", "gaussian", "toybox", "laptop", "paper_fig8"):
        assert option in said
    assert not task.seen


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("prompt=", 'prompt is empty: write what you want to see, as in prompt="a ceramic lion"'),
        ("prompt=   ", 'prompt is empty: write what you want to see, as in prompt="a ceramic lion"'),
        ("stpes=3", "there is no setting stpes: did you mean steps"),
        ("loss.foo=3", "there is no setting loss.foo"),
        ("loss.cut=3", "loss.cut is no setting of this loss"),
        ("field.hash_grid.level=3", "did you mean field.hash_grid.levels"),
        ("loss=vsdd", "loss=vsdd does not exist: choose loss= one of csd, dds, nfsd, sds, sjc, vsd"),
        ("prior=foo", "prior=foo does not exist: choose prior= one of gaussian, sd21, toybox"),
        ("preset=foo", "preset=foo does not exist"),
        ("hydra/launcher=foo", "hydra/launcher=foo does not exist: choose hydra/launcher= one of basic"),
        ("hydra/launcher=ray", "hydra/launcher=ray is not installed: pip install hydra-ray-launcher, or"),
        ("experiment=foo", "experiment=foo does not exist"),
        ("steps=-5", "steps=-5 is out of range"),
        ("steps=2.5", "steps=2.5 is of the wrong kind: give a whole number"),
        ("steps=many", "steps=many is of the wrong kind: give a whole number"),
        ("steps=true", "steps=True is of the wrong kind: give a whole number"),
        ("loss.guidance_scale=nan", "loss.guidance_scale=nan"),
        ("loss.guidance_scale=much", "loss.guidance_scale=much is of the wrong kind: give a number"),
        ("optimizer.lr_density=inf", "optimizer.lr_density=inf"),
        ("fresh=maybe", "fresh=maybe is of the wrong kind: give true or false"),
        ("prompts.views=five", "prompts.views=five is unknown: choose one of none, four, eight"),
        ("seed=0,1", "seed=0,1 names several values: add --multirun"),
        ("seed=(1", "seed=(1 cannot be read as name=value"),
        ("schedule.resolution=4", "schedule.resolution=4 is a resolution that no prior can use"),
        ("device=tpu", "device=tpu is unknown: choose cpu, cuda or cuda:0"),
        ("camera=3", "camera"),
        ("loss=null", "--help"),
        ("seed=${nope}", "nope"),
        ("--foo", "unrecognized arguments: --foo"),
    ],
)
def test_bad_input_is_one_sentence(
    task: Task, capsys: pytest.CaptureFixture[str], argument: str, sentence: str
) -> None:
    """Oracle: exit code 2, one line on stderr that names setting and remedy, nothing run."""
    assert door(task, ["prompt=a", "preset=smoke", "loss=sds", argument]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert not task.seen


def test_a_missing_prompt_is_one_sentence(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: what to write instead."""
    assert door(task, []) == 2
    assert capsys.readouterr().err == 'prompt is missing: give it, as in prompt="a ceramic lion"\n'


def test_one_bad_job_does_not_stop_a_sweep(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the other two jobs run, and the exit code still says 2."""
    assert door(task, ["-m", "prompt=a", "preset=smoke", "seed=1,-1,2"]) == 2
    assert [cfg.seed for cfg in task.seen] == [1, 2]
    assert "job 1 (seed=-1) failed: seed=-1 is out of range" in capsys.readouterr().err
    assert list(Path("outputs").iterdir()) == [Path("outputs/multirun.yaml")]  # Hydra's; no note stays


def test_our_own_mistake_does_not_stop_a_sweep(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the jobs around it run, its traceback and its name are shown; exit code 1, no slip's."""

    def fail_once(cfg: RunConfig) -> float:
        if cfg.seed == 1:
            raise ZeroDivisionError("by zero")
        return task(cfg)

    assert door(fail_once, ["-m", "prompt=a", "preset=smoke", "seed=0,1,-1,2"]) == 1
    assert [cfg.seed for cfg in task.seen] == [0, 2]
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "job 1 (seed=1) failed: ZeroDivisionError: by zero" in said


def test_a_named_sweep_has_a_folder_of_its_own(task: Task) -> None:
    """Oracle: outputs/NAME holds the runs and what Hydra leaves; the name alone makes it a sweep."""
    assert door(task, ["prompt=a", "preset=smoke", "seed=0,1", "sweep=seeds"]) == 0
    assert [str(Path(str(cfg.out)).parent) for cfg in task.seen] == ["outputs/seeds"] * 2
    assert Path("outputs/seeds/multirun.yaml").exists()
    assert not Path("outputs/multirun.yaml").exists()


def test_a_slip_leaves_a_sweep_as_it_was(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a command that cannot be composed changes nothing of the table and of what is remembered."""
    folder = Path("outputs/seeds")
    make_run(folder, turns=False)
    arguments = ["prompt=a", "preset=smoke", "seed=0,1", "sweep=seeds"]
    assert door(task, arguments) == 0
    assert capsys.readouterr().out.endswith("outputs/seeds/sweep.md: 1 of 1 runs finished; 0 jobs failed\n")
    before = {path: path.read_text() for path in folder.glob("sweep.*")}
    assert len(before) == 3
    assert door(task, [*arguments, "stpes=3"]) == 2
    assert {path: path.read_text() for path in folder.glob("sweep.*")} == before


class Killed(BaseException):
    """Stands for kill -9: nothing in src may catch it."""


def test_a_killed_sweep_repeats_nothing_and_continues_what_broke(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: of three runs, killed at step 5 of the second: a checkpoint untouched, one run resumed at its
    step 4, one new; all three finished, and their draws equal.
    """
    command = ["-m", "prompt=a cube", "loss=nfsd,sds,csd", "sweep=three", *TINY]
    steps: list[int] = []
    log_step = Log.step

    def log_or_die(self: Log, step: int, *rest: Any) -> None:
        log_step(self, step, *rest)
        steps.append(step)
        if len(steps) == 7 + 6:
            raise Killed

    with monkeypatch.context() as context:
        context.setattr(Log, "step", log_or_die)
        with pytest.raises(Killed):
            door(train, command)
    folder = Path("outputs/three")
    assert "1 of 2 runs finished" in capsys.readouterr().out
    (finished,) = folder.glob("*/checkpoints/*7.safetensors")
    before = finished.stat().st_mtime_ns

    assert door(train, command) == 0
    assert finished.stat().st_mtime_ns == before
    runs = read_runs(folder)
    assert [run.finished for run in runs] == [True] * 3
    assert sorted(run.manifest["resumed_from_steps"] for run in runs) == [[], [], [4]]
    assert [(found.runs, found.agree) for found in compare_draws(runs)] == [(3, True)]
    said = capsys.readouterr().out
    assert said.count("finished at step 7") == 1
    assert said.endswith("outputs/three/sweep.md: 3 of 3 runs finished; 0 jobs failed\n")
    command_kept, failed = remembered(folder)
    assert command_kept.startswith("python -m src.train -m 'prompt=a cube' loss=nfsd,sds,csd sweep=three")
    assert failed == {}


def test_jobs_of_other_processes_are_named_too(tmp_path: Path) -> None:
    """Oracle: joblib's launcher for real: a good run is finished, a bad one named, and the exit code is 2."""
    command = [sys.executable, "-m", "src.train", "-m", "prompt=a cube", "seed=0,-1", f"out={tmp_path}"]
    done = subprocess.run(
        # Both jobs in one batch: the second of the workers then need not import torch.
        [*command, *TINY, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.launcher.batch_size=2"],
        cwd=CONF.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "job 1 (seed=-1) failed: seed=-1 is out of range" in done.stderr
    assert "Error executing job" not in done.stderr
    assert done.stdout.endswith(f"{tmp_path}/sweep.md: 1 of 1 runs finished; 1 jobs failed\n")
    assert remembered(tmp_path)[1] == {
        "job 1 (seed=-1)": "seed=-1 is out of range: choose a whole number from 0 up"
    }


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UserError("prior.path=x is no folder: choose another"), "prior.path=x is no folder"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "the disk refuses"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), "the disk refuses"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "the disk refuses"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), "/root/x cannot be used"),
    ],
)
def test_what_the_task_runs_into(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    sentence: str,
) -> None:
    """Oracle: one sentence, exit code 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def fail(_cfg: RunConfig) -> float:
        raise error

    assert door(fail, ["prompt=a", "preset=smoke"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_our_own_mistakes_keep_their_traceback(task: Task) -> None:
    """Oracle: an error that no user can put right is raised, not explained away."""

    def fail(_cfg: RunConfig) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        door(fail, ["prompt=a", "preset=smoke"])
