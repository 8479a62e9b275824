"""Several processes for one run: shares, agreement, and two real ones on this machine by gloo."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import distributed

from src.errors import UserError
from src.run.machine import choose_device
from src.run.ranks import Ranks, join
from src.train import train
from tests.runs import TINY, tiny

ROOT = Path(__file__).parents[2]


@given(st.integers(1, 8), st.integers(0, 20))
def test_shares_cover_every_view_once(world: int, more: int) -> None:
    """Oracle: the definition: consecutive, complete, nobody without, sizes one apart at most."""
    batch = world + more
    shares = [Ranks(rank, world).views(batch) for rank in range(world)]
    assert [view for share in shares for view in share] == list(range(batch))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert min(map(len, shares)) >= 1


def test_one_process_needs_nobody() -> None:
    """Oracle: everything as it was."""
    gradient = torch.ones(3)
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = gradient
    Ranks().sum_gradients([parameter], 1.0)
    Ranks().wait()
    Ranks().check_alike("ab" * 32)
    assert parameter.grad is gradient
    assert Ranks().total(1, 2) == [1, 2]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["batch_size=1"], "batch_size=1 is too few for 2 processes"),
        (["batch_size=2", "generator=latents"], "several processes train a NeRF"),
    ],
)
def test_what_cannot_be_shared_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], sentence: str
) -> None:
    """Oracle: one sentence before anybody is waited for."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=sentence), join(tiny(tmp_path, *settings)):
        pass


def test_each_process_takes_a_device_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: torchrun's LOCAL_RANK; the device is current before the processes meet."""
    done: list[object] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", done.append)
    monkeypatch.setattr(distributed, "init_process_group", done.append)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)
    cfg = tiny(tmp_path, "device=cuda")
    assert choose_device(cfg) == torch.device("cuda")
    for name, number in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, number)
    assert choose_device(cfg) == torch.device("cuda:1")
    assert choose_device(tiny(tmp_path, "device=cpu")) == torch.device("cpu")
    with join(cfg) as ranks:
        assert ranks == Ranks(1, 2)
    assert done == [1, "nccl"]
    with pytest.raises(UserError, match="device=cuda:0 is one device"), join(tiny(tmp_path, "device=cuda:0")):
        pass
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match=r"2 CUDA devices here .* --nproc-per-node=2"), join(cfg):
        pass


@contextmanager
def two(*command: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Python, twice, as torchrun starts it, and the end of both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | meet | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def training(out: Path, *settings: str) -> list[str]:
    """What to give Python for a run."""
    return ["-m", "src.train", "prompt=a red cube", f"out={out}", *TINY, *settings]


def tensors(out: Path) -> dict[str, torch.Tensor]:
    newest = max((out / "checkpoints").glob("*.safetensors"))
    with safe_open(newest, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)


def test_two_processes_make_the_same_object_as_one(tmp_path: Path) -> None:
    """Oracle: the single process's parameters after 20 steps, to float32 rounding of sums in another order.

    That the two are alike bit for bit they check themselves; one process goes on where they stopped.
    """
    long = ["steps=20", "batch_size=3", "logging.preview_every=100", "logging.checkpoint_every=100"]
    with two(*training(tmp_path / "two", *long)) as running:
        alone = tiny(tmp_path / "one", *long)
        train(alone)
        said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert said[1][0] == "preset smoke: as given\n"  # then the second is silent
    told = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two")]
    assert [each["processes"] for each in told] == [1, 2]
    assert told[0]["unet_passes_per_sample"] == told[1]["unet_passes_per_sample"]
    expected, found = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        if name.startswith("module/field") or name.startswith("module/background"):
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)
    train(tiny(tmp_path / "two", *long, "steps=21"))
    resumed = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert (resumed["resumed_from_steps"], resumed["finished"]) == ([20], True)


def test_who_is_left_alone_says_so(tmp_path: Path) -> None:
    """Oracle: one sentence and exit code 2 where the other process is killed."""
    settings = ["steps=100000", "logging.preview_every=100000", "logging.checkpoint_every=20"]
    with two(*training(tmp_path, *settings)) as running:
        while not list(tmp_path.glob("checkpoints/*.safetensors")):
            time.sleep(0.05)
            assert [process.poll() for process in running] == [None, None]
        running[1].kill()
        said = running[0].communicate(timeout=60)[1]
    assert "another process of this run has ended" in said
    assert running[0].returncode == 2, said


def test_the_group_ends_with_the_run() -> None:
    """Oracle: a weak reference, though torch's own functions are loaded meanwhile, as a first step does.

    Threads of a group that lives on may abort a process that is ending.
    """
    script = """
import importlib, weakref
from torch import distributed
from src.door import settings
from src.run.ranks import join
with join(settings("prompt=a red cube", "batch_size=2", "device=cpu")) as ranks:
    importlib.import_module("torch._dynamo")
    group = weakref.ref(distributed.group.WORLD)
    ranks.wait()
assert group() is None
"""
    with two("-c", script) as running:
        said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said


def test_a_lost_process_leaves_nothing_of_torchs_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the error that is raised has no other behind it, whose frames would keep the group's threads.

    They would outlive destroy_process_group.
    """

    def lost(*_: object) -> None:
        raise RuntimeError("connection closed by peer")

    monkeypatch.setattr(distributed, "get_backend", lambda: "gloo")
    monkeypatch.setattr(distributed, "all_reduce", lost)
    with pytest.raises(UserError, match="another process of this run has ended") as said:
        Ranks(0, 2).wait()
    assert (said.value.__cause__, said.value.__context__) == (None, None)
