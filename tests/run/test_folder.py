"""A run's folder: refused in one sentence, cleared of our own files only, with a manifest always whole."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from src.config import as_dict, identity
from src.errors import UserError
from src.run import folder as run_folder
from tests.runs import tiny


def test_config_yaml_is_the_resolved_configuration(tmp_path: Path) -> None:
    """Oracle: what the run uses, read back; a prompt with odd characters included."""
    cfg = tiny(tmp_path, prompt='a "lion", 獅子: [x] ${y}')
    run_folder.begin(cfg, tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8")) == as_dict(cfg)


def test_fresh_clears_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    """Oracle: the folder's listing."""
    for name in run_folder.OURS:
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    run_folder.begin(tiny(tmp_path, "fresh=true"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "mine.txt"]


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


def test_a_manifest_that_is_broken_is_no_manifest(tmp_path: Path) -> None:
    """Oracle: an empty dict, so that the run goes on."""
    assert run_folder.read_manifest(tmp_path) == {}
    (tmp_path / "manifest.json").write_text('{"half')
    assert run_folder.read_manifest(tmp_path) == {}
    run_folder.write_manifest(tmp_path, {"a": 1})
    assert run_folder.read_manifest(tmp_path) == {"a": 1}


def test_other_files_of_the_prior_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a line, but not for a first sitting, the same files elsewhere, or a manifest without."""
    ours = {"model": {"source": "here", "sha256": {"unet": "a"}}}
    moved = {"model": {"source": "there", "sha256": {"unet": "a"}}}
    others = {"model": {"source": "here", "sha256": {"unet": "b"}}}

    def begin(before: dict[str, Any]) -> dict[str, Any]:
        return run_folder.open_manifest(tiny(tmp_path), torch.device("cpu"), 1, tmp_path, before, None, ours)

    for before in ({}, begin({}), {"prior": moved}, {"step": 3}):
        assert begin(before)["prior"] == ours
    assert capsys.readouterr().out == ""
    begin({"prior": others})
    assert "the prior's files are not those used so far" in capsys.readouterr().out


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
