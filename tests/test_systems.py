"""Systems: stages by rule, each an ordinary run; killed in any of them, they end as if they had not been."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from src import train as training
from src.config import RunConfig, setting_names
from src.door import CONF, door, explain, settings, stages
from src.errors import UserError
from src.evaluation import looks, measurements
from src.run.folder import read_manifest, write_manifest
from src.sweeps.runs import compare_draws, read_runs
from src.sweeps.table import table
from src.train import train
from tests.evaluation.judges import write_tiny_clip
from tests.runs import TINY

SYSTEMS = sorted((CONF / "systems").glob("*.yaml"))
SMALL = [*TINY, "field.blob_density=30", "field.radius=0.8", "mesh.cells=10", "mesh.normal_consistency=1"]
SMALL += ["steps=3", "prompt=a red cube", "schedule.switch_step=1"]


# --- composition --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SYSTEMS, ids=lambda path: path.stem)
def test_a_system_names_settings_for_every_preset_and_says_where_values_are_from(path: Path) -> None:
    """Oracle: the list of settings; the presets there are; a label behind every value at preset=paper."""
    names, presets = set(setting_names(RunConfig)), {each.stem for each in (CONF / "preset").glob("*.yaml")}
    for stage, told in yaml.safe_load(path.read_text()).items():
        assert presets == {name for name, value in told.items() if isinstance(value, dict)}, stage
        for each in (told, *(told[preset] for preset in presets)):
            assert set(each) - presets <= names
    under = re.findall(r"^  paper:.*\n((?:    .*\n)*)", path.read_text(), re.MULTILINE)
    lines = [line for block in under for line in block.splitlines() if not line.lstrip().startswith("<<")]
    assert all(re.search(r"# (paper|closest public config|ours)", line) for line in lines)


def test_what_the_user_types_wins_in_every_stage_or_in_one(tmp_path: Path) -> None:
    """Oracle: by hand; a stage begins from the one before, which lies in its folder."""
    typed = ["system=magic3d", "preset=bench", "prompt=a, b", "loss=nfsd", "stage.fine.loss=csd"]
    typed += ["stage.fine.loss.guidance_scale=9", "stage.fine.steps=7", f"out={tmp_path}"]
    coarse, fine = stages(*typed)
    assert (coarse.loss_name, fine.loss_name, fine.loss.guidance_scale) == ("nfsd", "csd", 9.0)
    assert coarse.loss.guidance_scale == settings("prompt=a", "preset=bench").loss.guidance_scale
    assert (coarse.steps, fine.steps) == (220, 7)
    assert (coarse.system, fine.system) == ("magic3d/coarse", "magic3d")
    assert (coarse.out, fine.source, fine.out) == (f"{tmp_path}/coarse", f"{tmp_path}/coarse", str(tmp_path))
    assert {each.prompt for each in (coarse, fine)} == {"a, b"}


@pytest.mark.parametrize("preset", ["laptop", "bench"])
def test_the_bundled_prior_sees_little_clay_in_any_stage(preset: str) -> None:
    """Oracle: docs/systems.md's 9% of the views in both of Magic3D's stages, which it takes for holes."""
    for stage in stages("prompt=a lion", f"preset={preset}", "system=magic3d"):
        assert (1 - stage.shading.unlit) * stage.shading.textureless == pytest.approx(0.09)


def test_a_systems_folder_is_named_by_all_its_stages() -> None:
    """Oracle: another setting of the first stage alone is another folder; the folder's place is none."""
    first, other = (
        stages("prompt=a", "preset=smoke", "system=magic3d", f"stage.coarse.shading.ambient={ambient}")
        for ambient in (0.1, 0.2)
    )
    assert re.fullmatch(r"outputs/a-magic3d-seed0-[0-9a-f]{6}", str(first[-1].out))
    assert first[-1].out != other[-1].out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["system=nope"], "system=nope does not exist: choose one of dreamfusion"),
        (["system=magic3d/fine"], "system=magic3d/fine is a stage, .*: choose system=magic3d; or generator="),
        (["system=magic3d", "generator=mesh"], "system=magic3d says what generator a stage has"),
        (["system=magic3d", "source=x"], "system=magic3d says what source a stage has"),
        (["system=magic3d", "stage.nope.loss=sds"], "stage.nope is no stage: .* has coarse, fine"),
        (["system=magic3d", "stage.fine.lss=sds"], "there is no setting lss: did you mean loss"),
        (["stage.fine.loss=sds"], "stage.fine is a stage of a system: name the system"),
        (
            ["system=fantasia3d", "stage.geometry.mesh.latent_steps=2"],
            "mesh.latent_steps=2 .* prior=gaussian has 3",
        ),
        (
            ["system=fantasia3d", "mesh.latent_steps=2"],
            "mesh.latent_steps=2 shows normals, and mesh.shows=material",
        ),
        (["system=prolificdreamer", "optimizer.lr_surface=0"], "optimizer.lr_surface=0 keeps the surface"),
        (["generator=mesh"], "generator=mesh begins from a finished run: name it, .* or begin with a ball"),
    ],
)
def test_what_cannot_be_a_system_is_named(tmp_path: Path, typed: list[str], said: str) -> None:
    """Oracle: one sentence, before anything is trained."""
    small = [*SMALL, f"out={tmp_path / 'run'}", *typed]
    with pytest.raises(Exception, match=r".") as error:
        train(stages(*small)[0])
    assert re.match(said, str(explain(error.value)))  # type: ignore[arg-type]
    assert not (tmp_path / "run/metrics.jsonl").exists()


# --- runs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Magic3D, undisturbed, in a sweep's folder."""
    folder = tmp_path_factory.mktemp("sweep") / "whole"
    for stage in stages(*SMALL, "system=magic3d", f"out={folder}"):
        train(stage)
    return folder


def test_killed_in_any_stage_it_ends_as_if_it_had_not_been(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the undisturbed system, bit for bit; what was finished is not trained again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train"])
    take, taken = training.take_step, list[tuple[str | None, int]]()

    def killed(run: Any, step: int, *rest: Any, **named: Any) -> Any:
        if (run.cfg.system, step) not in taken:
            taken.append((run.cfg.system, step))
            if step == 2:
                raise KeyboardInterrupt
        return take(run, step, *rest, **named)

    monkeypatch.setattr(training, "take_step", killed)
    command = [*SMALL, "system=magic3d", "out=cut"]
    assert [door(train, command) for _ in range(3)] == [130, 130, 0]
    assert taken == [(system, step) for system in ("magic3d/coarse", "magic3d") for step in range(3)]
    for stage in (".", "coarse"):
        cut, undisturbed = (read_manifest(folder / stage) for folder in (Path("cut"), whole))
        assert cut["parameters_sha256"] == undisturbed["parameters_sha256"]
        assert cut["resumed_from_steps"] == [2]


def test_a_stage_does_not_go_on_from_what_is_another_now(whole: Path) -> None:
    """Oracle: the first stage's digest is another, as if it had been trained for longer."""
    *_, fine = stages(*SMALL, "system=magic3d", f"out={whole}", "stage.fine.steps=5")
    before = read_manifest(whole / "coarse")
    write_manifest(whole / "coarse", before | {"parameters_sha256": "0"})
    with pytest.raises(UserError, match=r"began from source=.*coarse as it no longer is: fresh=true"):
        train(fine)
    write_manifest(whole / "coarse", before)


def test_a_sweep_shows_the_stages_and_adds_them_up(whole: Path) -> None:
    """Oracle: the manifests' seconds; runs that are alone draw beside nobody."""
    runs = read_runs(whole.parent)
    assert [run.settings["system"] for run in runs] == ["magic3d", "magic3d/coarse"]
    by_title = {column.title: column.values for column in table(runs)}
    seconds = [sum(run.manifest["seconds"].values()) for run in runs]
    assert by_title["seconds of all stages"] == [pytest.approx(sum(seconds)), pytest.approx(seconds[1])]
    assert {draws.runs for draws in compare_draws(runs)} == {1}


def test_an_evaluation_counts_every_stage(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the stages' settings: their steps, and rows of the UNet, of which SDS asks two a view."""
    monkeypatch.setattr(looks, "CACHE", tmp_path / "samples")
    judge = write_tiny_clip(tmp_path, 16)
    found = measurements.evaluate(Path(shutil.copytree(whole, tmp_path / "run")), str(judge))
    told = stages(*SMALL, "system=magic3d", f"out={whole}")
    assert found["step"] == sum(stage.steps for stage in told) == 6
    views = sum(stage.steps * stage.batch_size for stage in told)
    assert found["figures"]["cost"]["unet_rows"] == 2 * views


def test_every_stage_is_priced(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Oracle: by hand: latents ask no encoder, pictures do; each stage's own steps."""
    for stage in stages(*SMALL, "system=latent_nerf", f"out={tmp_path}", "plan=true"):
        assert train(stage) == 0.0
    latent, rgb = re.split(r"whole run.*\n", capsys.readouterr().out)[:2]
    assert "encode" not in latent
    assert "encode, backward" in rgb
    assert not list(tmp_path.iterdir())


def test_a_run_goes_on_as_a_mesh(whole: Path) -> None:
    """Oracle: from= with generator=mesh: the run's settings, its object, and the mesh's own settings."""
    cfg = settings(f"from={whole / 'coarse'}", "generator=mesh", "loss=nfsd", "steps=9")
    assert (cfg.source, cfg.system, cfg.steps) == (str(whole / "coarse"), None, 9)
    assert (cfg.prompt, cfg.field.radius, cfg.optimizer.weight_decay) == ("a red cube", 0.8, 0.0)
    again = settings(f"from={whole}", "seed=1")
    assert (again.source, again.generator, again.seed) == (str(whole / "coarse"), "mesh", 1)
