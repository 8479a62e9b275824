"""A run's folder: refused in one sentence, cleared of our own files only, with a manifest always whole."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from src.config import as_dict, identity, run_name
from src.errors import UserError
from src.run import checkpoint
from src.run import folder as run_folder
from src.run.checkpoint import Checkpoint
from tests.runs import tiny


def test_config_yaml_is_the_resolved_configuration(tmp_path: Path) -> None:
    """Oracle: what the run uses, read back; a prompt with odd characters included."""
    cfg = tiny(tmp_path, prompt='a "lion", 獅子: [x] ${y}')
    run_folder.write_settings(cfg, tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8")) == as_dict(cfg)


OURS_INSIDE = (
    *("checkpoints/step-00000010.safetensors", "checkpoints/step-00000005.broken"),
    *("checkpoints/.step-00000015.part", "previews/step-00000010.png"),
    "events/events.out.tfevents.1795656469.vm.9384.0",
)
MINE = (
    *("mine.txt", "checkpoints/mine.ckpt", "checkpoints/step-final.safetensors"),
    *("previews/step-00000010 (1).png", "events/notes.md", "turntable (1).mp4"),
)


def lay_out(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_fresh_clears_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    """Oracle: the folder's listing, down to files that only look like ours."""
    lay_out(tmp_path, *run_folder.FILES, "sheet.png", ".part.turntable.mp4", *OURS_INSIDE, *MINE)
    run_folder.clear(tmp_path)
    assert files_in(tmp_path) == set(MINE)
    assert all((tmp_path / name).read_text() == name for name in MINE)


def test_fresh_follows_no_links(tmp_path: Path) -> None:
    """Oracle: checkpoints kept on another disk by a link: its files of ours go, the link and others stay."""
    elsewhere = tmp_path / "disk"
    lay_out(elsewhere, "step-00000010.safetensors", "mine.ckpt")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoints").symlink_to(elsewhere)
    run_folder.clear(tmp_path / "run")
    assert files_in(elsewhere) == {"mine.ckpt"}
    assert (tmp_path / "run/checkpoints").is_symlink()


@pytest.mark.parametrize("fresh", ["fresh=true", "fresh=false"])
@pytest.mark.parametrize("name", ["config.yaml", "checkpoints/mine.ckpt", "turntable.mp4", "events/x"])
def test_a_folder_of_somebody_elses_is_refused(tmp_path: Path, name: str, fresh: str) -> None:
    """Oracle: the sentence names what is in the way; nothing changes, with fresh or without."""
    lay_out(tmp_path, name)
    with pytest.raises(UserError, match=rf"holds {name.split('/')[0]}, which no run of this program left"):
        run_folder.open_folder(tiny(tmp_path, fresh))
    assert files_in(tmp_path) == {name}
    assert (tmp_path / name).read_text() == name


@pytest.mark.parametrize("left", ["config.yaml", "manifest.json", "checkpoint"])
def test_a_run_is_known_by_whatever_of_it_is_whole(tmp_path: Path, left: str) -> None:
    """Oracle: the settings, the manifest or a checkpoint alone; beside them something damaged."""
    cfg = tiny(tmp_path)
    for name in ("config.yaml", "manifest.json", "checkpoints/step-00000004.safetensors"):
        lay_out(tmp_path, name)
    if left == "config.yaml":
        run_folder.write_settings(cfg, tmp_path)
    elif left == "manifest.json":
        run_folder.write_manifest(tmp_path, {"prompt": "a", "versions": {}})
    else:
        checkpoint.save(tmp_path / "checkpoints", Checkpoint({"a": torch.ones(1)}, {"step": 2}))
    assert run_folder.open_folder(cfg) == tmp_path


@pytest.mark.parametrize("reason", [errno.EACCES, errno.ENOSPC, errno.EROFS])
def test_a_folder_that_refuses_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """Oracle: out= and its value, the system's reason, and the remedy."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        UserError, match=rf"out=.*{os.strerror(reason)}.*choose another folder with out=FOLDER"
    ):
        run_folder.open_folder(tiny(tmp_path))


def test_a_folder_that_exists_and_refuses_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the same sentence where the folder is there but cannot be written."""
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match=r"out=.*Permission denied.*choose another folder with out=FOLDER"):
        run_folder.open_folder(tiny(tmp_path))


def test_a_run_with_other_settings_is_not_continued(tmp_path: Path) -> None:
    """Oracle: the first setting that differs, by its whole name; steps may differ."""
    saved = json.loads(json.dumps(identity(tiny(tmp_path))))
    run_folder.check_same_run(tiny(tmp_path, "steps=99", "threads=2"), saved)
    with pytest.raises(UserError, match=r"with field.hash_grid.levels=2, not 3: .*fresh=true"):
        run_folder.check_same_run(tiny(tmp_path, "field.hash_grid.levels=3"), saved)
    with pytest.raises(UserError, match=r"with loss.name=nfsd, not sds"):
        run_folder.check_same_run(tiny(tmp_path, "loss=sds"), saved)
    # What came later is in no identity at its default.
    with pytest.raises(UserError, match=r"with shading.on=False, not True"):
        run_folder.check_same_run(tiny(tmp_path, "shading.on=true"), saved)
    lit = json.loads(json.dumps(identity(tiny(tmp_path, "shading.on=true"))))
    run_folder.check_same_run(tiny(tmp_path, "shading.on=true"), lit)
    with pytest.raises(UserError, match=r"with shading.on=True, not False"):
        run_folder.check_same_run(tiny(tmp_path), lit)


def test_a_manifest_that_is_broken_is_no_manifest(tmp_path: Path) -> None:
    """Oracle: an empty dict, so that the run goes on."""
    assert run_folder.read_manifest(tmp_path) == {}
    (tmp_path / "manifest.json").write_text('{"half')
    assert run_folder.read_manifest(tmp_path) == {}
    run_folder.write_manifest(tmp_path, {"a": 1})
    assert run_folder.read_manifest(tmp_path) == {"a": 1}
    (tmp_path / "manifest.json").write_text("[]")
    assert run_folder.read_manifest(tmp_path) == {}


def test_a_run_belongs_to_its_weights_and_not_to_their_place(tmp_path: Path) -> None:
    """Oracle: equal digests elsewhere go on; one other digest, or a file more, is refused by name."""
    cfg, ours = tiny(tmp_path), {"model": {"source": "here", "sha256": {"unet": "a" * 64, "vae": "c" * 64}}}
    moved = {"model": {**ours["model"], "source": "there"}}
    for before in (ours, moved, {}):
        run_folder.check_same_prior(cfg, ours, before)
    other = {"model": {"source": "here", "sha256": {"unet": "b" * 64, "vae": "c" * 64}}}
    with pytest.raises(UserError, match=r"prior's unet has the sha256 b{12}…, not a{12}…: .*fresh=true"):
        run_folder.check_same_prior(cfg, ours, other)
    with pytest.raises(
        UserError, match=r"absent: name the same weights with prior\.small_autoencoder=FOLDER"
    ):
        run_folder.check_same_prior(cfg, ours, ours | {"small_autoencoder": {"sha256": {"x": "d" * 64}}})


def test_a_lora_counts_where_there_is_one(tmp_path: Path) -> None:
    """Oracle: no run is renamed by the setting; another scale or other content is refused."""
    plain = tiny(tmp_path, "prior.name=mine")
    styled = tiny(tmp_path, "prior.name=mine", "prior.lora=a.safetensors")
    assert not any(name.startswith("lora") for name in identity(plain)["prior"])
    assert run_name(styled) != run_name(plain)
    assert run_folder.check_same_run(styled, identity(plain))  # so their files are compared
    assert run_folder.check_same_run(plain, identity(styled))
    weaker = tiny(tmp_path, "prior.name=mine", "prior.lora=b.safetensors", "prior.lora_scale=0.5")
    with pytest.raises(UserError, match=r"with prior\.lora_scale=1\.0, not 0\.5"):
        run_folder.check_same_run(weaker, identity(styled))
    model = {"model": {"sha256": {"unet": "a" * 64}}}
    with pytest.raises(UserError, match=r"prior's LoRA .* b{12}…, not absent: .*prior\.lora=FILE"):
        run_folder.check_same_prior(plain, model, model | {"lora": {"sha256": {"file": "b" * 64}}})


def test_where_the_prior_lies_is_no_difference(tmp_path: Path) -> None:
    """Oracle: a path and a hub's list may change, which is told; the name of a prior may not."""
    saved = json.loads(json.dumps(identity(tiny(tmp_path))))
    assert not run_folder.check_same_run(tiny(tmp_path), saved)
    assert run_folder.check_same_run(tiny(tmp_path, "prior.path=elsewhere/"), saved)
    with pytest.raises(UserError, match=r"prior\.name=gaussian, not mine"):
        run_folder.check_same_run(tiny(tmp_path, "prior.name=mine"), saved)


def test_results_without_checkpoints_are_not_trained_over(tmp_path: Path) -> None:
    """Oracle: a manifest that reached a step, or went on from one, asks for fresh; a first one does not."""
    run_folder.write_manifest(tmp_path, {"prompt": "a", "resumed_from_steps": []})
    run_folder.check_nothing_lost(tmp_path)
    for reached in ({"step": 7}, {"resumed_from_steps": [4]}):
        run_folder.write_manifest(tmp_path, reached)
        with pytest.raises(UserError, match="but no checkpoint to go on from: fresh=true"):
            run_folder.check_nothing_lost(tmp_path)


def test_a_flipped_bit_in_a_record_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a manifest whose number changed is not used; a metrics.jsonl that changed is named."""
    (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n')
    run_folder.write_manifest(tmp_path, {"step": 41, "opacity": 0.5})
    run_folder.say_what_changed(tmp_path)
    assert capsys.readouterr().err == ""
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    run_folder.say_what_changed(tmp_path)
    assert "metrics.jsonl is not what the run wrote" in capsys.readouterr().err
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace("41", "43"))
    assert run_folder.read_manifest(tmp_path) == {}
    assert "manifest.json is damaged and not used" in capsys.readouterr().err


def test_settings_that_changed_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a flipped bit and a cut, of a run that never ended; older files are let be."""
    path = tmp_path / "config.yaml"
    run_folder.write_settings(tiny(tmp_path), tmp_path)
    written = path.read_bytes()
    for content, said in (
        (written, False),
        (written.replace(b"seed: 0", b"seed: 1"), True),
        (written[:-30], True),
        (written.partition(b"\n")[2], False),
    ):
        path.write_bytes(content)
        run_folder.say_what_changed(tmp_path)
        assert ("config.yaml is not what the run wrote" in capsys.readouterr().err) == said


def test_settings_of_a_killed_beginning_raise_no_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: an ended run is extended and killed at each write before step 0: no file was changed."""
    cfg = tiny(tmp_path)
    run_folder.write_settings(cfg, tmp_path)
    run_folder.write_manifest(tmp_path, {"prompt": "a", "versions": {}, "step": 7})
    further = tiny(tmp_path, "steps=9")
    run_folder.open_manifest(further, torch.device("cpu"), 1, tmp_path, {}, 7, {})
    run_folder.say_what_changed(tmp_path)
    run_folder.write_settings(further, tmp_path)
    run_folder.say_what_changed(tmp_path)
    assert capsys.readouterr().err == ""
    assert run_folder.holds_run(tmp_path)


def test_only_ones_own_files_are_replaced(tmp_path: Path) -> None:
    """Oracle: what holds the mark is ours, and what lies beside it; else both are named and refused."""
    marks, beside = {"page.html": "<mark>", "table.md": "# table"}, ["picture.png"]
    run_folder.check_own(tmp_path / "none", "out", marks, beside)
    run_folder.check_own(tmp_path, "out", marks, beside)
    (tmp_path / "picture.png").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"sweep=.* holds picture\.png, which this command did not write"):
        run_folder.check_own(tmp_path, "sweep", marks, beside)
    (tmp_path / "page.html").write_text("a <mark>")
    run_folder.check_own(tmp_path, "out", marks, beside)
    (tmp_path / "table.md").mkdir()
    with pytest.raises(UserError, match=r"holds table\.md, which"):
        run_folder.check_own(tmp_path, "out", marks, beside)


def test_the_commit_is_that_of_our_own_repository(tmp_path: Path) -> None:
    """Oracle: git's own answer in a repository; none for a copy inside somebody else's."""

    def git(*arguments: str) -> str:
        named = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *named, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "theirs")
    assert run_folder.commit_of(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "copy").mkdir()
    assert run_folder.commit_of(tmp_path / "copy") is None


def test_provenance_works_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: no commit, but the versions of what ran."""
    monkeypatch.setenv("PATH", os.devnull)
    told = run_folder.provenance()
    assert told["commit"] is None
    assert {"python", "torch", "numpy"} <= set(told["versions"])


def test_one_process_at_a_time_trains_a_run(tmp_path: Path) -> None:
    """Oracle: a second claim is refused in one sentence while the first lasts, and not afterwards."""
    with run_folder.alone_in(tmp_path):
        with (
            pytest.raises(UserError, match=r"out=.* is being trained by another process: wait for it"),
            run_folder.alone_in(tmp_path),
        ):
            pass
        assert [path.name for path in tmp_path.iterdir()] == [run_folder.LOCK]
    with run_folder.alone_in(tmp_path):
        pass


def test_what_cannot_be_locked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: a network file system's refusal; the run goes on, the warning names the folder."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr("fcntl.flock", refuse)
    with run_folder.alone_in(tmp_path):
        assert f"{tmp_path} cannot be locked" in capsys.readouterr().out
