"""Checkpoints: what was saved comes back bit for bit, and nothing that goes wrong on disk loses it."""

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
    loaded = checkpoint.load_latest(tmp_path)
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


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    """Oracle: nothing there, or nothing whole there."""
    assert checkpoint.load_latest(tmp_path / "nowhere") is None
    (tmp_path / "step-00000001.safetensors").write_bytes(b"")
    assert checkpoint.load_latest(tmp_path) is None


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
