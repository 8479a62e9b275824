"""Checkpoints: what was saved comes back bit for bit, and nothing that goes wrong on disk loses it."""

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from src.errors import UserError
from src.run import checkpoint
from src.run.checkpoint import Checkpoint


class Counter(nn.Module):
    """Something with a parameter and a buffer of another type."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 2), value))
        self.register_buffer("bits", torch.tensor([True, False]))


def train(model: Counter, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        (model.weight**2 * (step + 1)).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def make(value: float = 1.0) -> tuple[Counter, torch.optim.Optimizer]:
    model = Counter(value)
    return model, torch.optim.AdamW([{"params": [model.weight], "lr": 0.01}], fused=True)


def tensors(value: float = 1.0) -> dict[str, Tensor]:
    return {"a": torch.full((4,), value)}


def test_a_restored_run_continues_bit_for_bit(tmp_path: Path) -> None:
    """Oracle: the undisturbed twin: 3 steps, save, load into fresh objects, 4 steps == 3 + 4 steps."""
    model, optimizer = make()
    train(model, optimizer, 3)
    model.bits[1] = True
    tensors = checkpoint.gather({"m": model}, {"optimizer": optimizer})
    checkpoint.save(tmp_path, Checkpoint(tensors, {"step": 3}))
    twin, twin_optimizer = make(value=9.0)
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None
    assert loaded.facts == {"step": 3}
    checkpoint.restore({"m": twin}, {"optimizer": twin_optimizer}, loaded.tensors)
    train(model, optimizer, 4)
    train(twin, twin_optimizer, 4)
    assert torch.equal(model.weight, twin.weight)
    assert torch.equal(twin.bits, torch.tensor([True, True]))
    assert checkpoint.parameters_sha256({"m": model}) == checkpoint.parameters_sha256({"m": twin})


@pytest.mark.parametrize("kept", [2, 3])
def test_only_the_last_ones_are_kept(tmp_path: Path, kept: int) -> None:
    """Oracle: names on disk; no temporary file stays behind."""
    for step in (5, 10, 15, 20):
        checkpoint.save(tmp_path, Checkpoint(tensors(step), {"step": step}), kept)
    last = [f"step-000000{step:02d}.safetensors" for step in (5, 10, 15, 20)][-kept:]
    assert sorted(p.name for p in tmp_path.iterdir()) == last


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "noise", "missing"])
def test_a_broken_newest_falls_back_loudly(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the checkpoint before it; the broken file is set aside, not lost."""
    checkpoint.save(tmp_path, Checkpoint(tensors(1), {"step": 1}))
    newest = checkpoint.save(tmp_path, Checkpoint(tensors(2), {"step": 2}))
    content = newest.read_bytes()
    match damage:
        case "empty":
            newest.write_bytes(b"")
        case "truncated":
            newest.write_bytes(content[:-5])
        case "flipped":
            newest.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        case "noise":
            newest.write_bytes(bytes(range(256)) * 4)
        case "missing":
            newest.unlink()
    reader = checkpoint.load_latest(tmp_path)  # an export renames nothing
    assert reader is not None
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".safetensors"] * (1 + newest.exists())
    loaded = checkpoint.load_latest(tmp_path, aside=True)
    assert loaded is not None
    assert loaded.facts == {"step": 1}
    assert torch.equal(loaded.tensors["a"], tensors(1)["a"])
    if damage != "missing":
        assert "step-00000002.safetensors is broken" in capsys.readouterr().err
        assert newest.with_suffix(".broken").exists()


def test_a_kill_between_write_and_rename_leaves_the_old_one(tmp_path: Path) -> None:
    """Oracle: the last whole checkpoint; a temporary file is no checkpoint."""
    checkpoint.save(tmp_path, Checkpoint(tensors(1), {"step": 1}))
    (tmp_path / ".step-00000002.part").write_bytes(b"half a file")
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None
    assert loaded.facts == {"step": 1}


def test_no_checkpoint_is_none_and_nothing_whole_is_refused(tmp_path: Path) -> None:
    """Oracle: None where nothing is; with broken ones alone, a sentence, and no file renamed."""
    assert checkpoint.load_latest(tmp_path / "nowhere") is None
    path = tmp_path / "step-00000001.safetensors"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"holds no whole checkpoint \(step-00000001.*fresh=true"):
        checkpoint.load_latest(tmp_path, aside=True)
    assert path.exists()


def test_what_only_looks_like_a_checkpoint_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the user's own files and a cloud drive's copies: named, never read, renamed or counted."""
    mine = ["step-final.safetensors", "step-00000009 (1).safetensors", "mine.ckpt", "step-7.safetensors"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, Checkpoint(tensors(step), {"step": step}))
    loaded = checkpoint.load_latest(tmp_path, aside=True)
    assert loaded is not None
    assert loaded.facts == {"step": 3}
    assert checkpoint.steps(tmp_path) == [2, 3]
    assert all((tmp_path / name).read_text() == "mine" for name in mine)
    said = capsys.readouterr().err
    assert [name in said for name in mine] == [True, True, False, True]


def test_a_broken_file_is_never_set_aside_over_another(tmp_path: Path) -> None:
    """Oracle: the two earlier ones under their names, with what was in them."""
    checkpoint.save(tmp_path, Checkpoint(tensors(1), {"step": 1}))
    for content in (b"first", b"second"):
        (tmp_path / "step-00000002.safetensors").write_bytes(content)
        checkpoint.load_latest(tmp_path, aside=True)
    kept = [(tmp_path / f"step-00000002.broken{number}").read_bytes() for number in ("", "1")]
    assert kept == [b"first", b"second"]


def test_a_flipped_bit_in_the_facts_is_noticed(tmp_path: Path) -> None:
    """Oracle: another step or seed in the header is another run; tensors alone cannot tell."""
    path = checkpoint.save(tmp_path, Checkpoint(tensors(1), {"step": 1, "seed": 41}))
    path.write_bytes(path.read_bytes().replace(b"41", b"43"))
    with pytest.raises(UserError, match="differs from its checksum"):
        checkpoint.load_latest(tmp_path)


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_folders_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """Oracle: CIFS, 9p and virtiofs say EINVAL; an error of the disk (EIO) is still one."""
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(reason, os.strerror(reason))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    checkpoint.save(tmp_path, Checkpoint(tensors(1), {"step": 1}))
    checkpoint.write_atomically(tmp_path / "a.txt", b"a")
    assert (tmp_path / "a.txt").read_bytes() == b"a"
    reason = errno.EIO
    with pytest.raises(UserError, match="Input/output error"):
        checkpoint.save(tmp_path, Checkpoint(tensors(2), {"step": 2}))


def test_one_that_cannot_be_removed_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the new checkpoint is there, and the old one is named."""
    for step in (1, 2):
        checkpoint.save(tmp_path, Checkpoint(tensors(step), {"step": step}))

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "unlink", refuse)
    checkpoint.save(tmp_path, Checkpoint(tensors(3), {"step": 3}))
    assert checkpoint.steps(tmp_path) == [1, 2, 3]
    assert "step-00000001.safetensors could not be removed" in capsys.readouterr().err


def test_a_disk_that_refuses_is_one_sentence_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: UserError naming step, folder and remedy; the older checkpoint still loads."""
    checkpoint.save(tmp_path, Checkpoint(tensors(1), {"step": 1}))

    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "sync", full)
    with pytest.raises(UserError, match=r"step 2 .*No space left on device.*out=FOLDER"):
        checkpoint.save(tmp_path, Checkpoint(tensors(2), {"step": 2}))
    loaded = checkpoint.load_latest(tmp_path)
    assert loaded is not None
    assert loaded.facts == {"step": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_parameters_sha256_sees_every_bit_and_every_name() -> None:
    """Oracle: another bit, or the same bits under another name, is another digest."""
    model, _ = make()
    before = checkpoint.parameters_sha256({"m": model})
    assert before != checkpoint.parameters_sha256({"n": model})
    with torch.no_grad():
        model.weight[2, 1] = torch.nextafter(model.weight[2, 1], torch.tensor(2.0))
    assert before != checkpoint.parameters_sha256({"m": model})
