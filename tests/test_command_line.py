"""Between shell and Hydra: any text arrives as typed, and every slip is answered in one sentence."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from src import command_line
from src.door import CONF, stages
from src.errors import UserError
from tests.runs import settings

# NUL cannot be in an argument, and lone surrogates are refused by name elsewhere.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
awkward = st.text(st.sampled_from("a $`{}[]()\\'\"=,:#!?%~&|<>*./\n\t-+é獅"), min_size=1)


@given(prompt=(texts | awkward).filter(lambda text: text != "???"))
def test_quoted_texts_arrive_as_typed(prompt: str) -> None:
    """Oracle: identity, through Hydra's grammar, its rendering for a sweep's jobs, and OmegaConf."""
    (override,) = OverridesParser.create().parse_overrides([f"prompt={command_line.quoted(prompt)}"])
    again = f"prompt={override.get_value_element_as_str()}"
    (job,) = OverridesParser.create().parse_overrides([again])
    for each in (override, job):
        assert OmegaConf.create({"prompt": each.value()}).prompt == prompt


@pytest.mark.parametrize(
    "prompt",
    [
        "a lion, DSLR",
        "'quoted' \"twice\"",
        "[a] {b} (c) <d>",
        "$HOME ${HOME} \\${x} `id`",
        "a=b",
        "獅子 naïve 🦁",
        "../../etc/passwd",
        "123",
        "1e5",
        "true",
        "null",
        "ends with \\",
    ],
)
def test_the_prompts_of_the_issue_arrive_as_typed(prompt: str) -> None:
    """Oracle: identity."""
    assert settings(f"prompt={prompt}").prompt == prompt


def test_folders_arrive_as_typed() -> None:
    """Oracle: identity."""
    assert settings("prompt=a", "out=/tmp/a, b (c)=[d]").out == "/tmp/a, b (c)=[d]"


def test_paths_of_sketches_and_texts_of_stages_arrive_as_typed(tmp_path: Path) -> None:
    """Oracle: what was typed: brackets, commas, spaces and letters of any alphabet."""
    path = tmp_path / "löwe, (1) [a].ply"
    path.touch()
    assert settings("prompt=a", "preset=smoke", f"sketch.mesh={path}").sketch.mesh == str(path)
    assert settings("prompt=a", "preset=smoke", "sketch.mesh=null").sketch.mesh is None
    both = f"sketch.mesh={tmp_path / 'ä (1).ply'},{tmp_path / 'b.obj'}"
    (swept,) = (each for each in command_line.prepare(["-m", "prompt=a", both], CONF) if "sketch" in each)
    (override,) = OverridesParser.create().parse_overrides([swept])
    assert override.is_sweep_override() is True
    said = "stage.fine.prompts.negative=grey, (dull)"
    assert stages("prompt=a", "preset=smoke", "system=magic3d", said)[-1].prompts.negative == "grey, (dull)"


def test_the_preset_is_added_only_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the hardware's answer, faked."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert command_line.prepare(["prompt=a"], CONF)[-1] == "preset=paper"
    assert command_line.prepare(["prompt=a", "device=cpu"], CONF)[-1] == "preset=laptop"
    assert "preset=paper" not in command_line.prepare(["prompt=a", "preset=smoke"], CONF)
    assert "Stable Diffusion" in command_line.why_preset(["prompt=a"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command_line.prepare(["prompt=a"], CONF)[-1] == "preset=laptop"
    assert "no CUDA device" in command_line.why_preset(["prompt=a"])


def test_flags_may_stand_anywhere() -> None:
    """Oracle: settings first, then flags, nothing lost."""
    arguments = ["prompt=a", "--multirun", "seed=0,1", "--cfg", "job", "preset=smoke"]
    expected = ['prompt="a"', "seed=0,1", "preset=smoke", "--multirun", "--cfg", "job"]
    assert command_line.prepare(arguments, CONF) == expected


def test_a_list_of_prompts_becomes_a_sweep() -> None:
    """Oracle: the six prompts of the paper's figure 8, each quoted."""
    arguments = command_line.prepare(["prompts=paper_fig8", "preset=smoke"], CONF)
    (prompts,) = [argument for argument in arguments if argument.startswith("prompt=")]
    assert prompts.count('"') == 12
    assert '"a phoenix in golden cage"' in prompts
    assert "--multirun" in arguments


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["prompt=a", "sweep=cfg"], Path("outputs/cfg")),
        (["-m", "prompt=a", "out=/tmp/a, b"], Path("/tmp/a, b")),
        (["prompts=gallery", "out=x"], Path("x")),
        (["prompt=a", "out=x"], None),
        (["-m", "prompt=a", "seed=0,1"], None),
    ],
)
def test_a_sweep_with_a_name_or_an_out_has_a_folder(arguments: list[str], folder: Path | None) -> None:
    """Oracle: the documented spellings; no sweep, or neither: none; Hydra is told the same."""
    assert command_line.sweep_folder(arguments) == folder
    prepared = command_line.prepare([*arguments, "preset=smoke"], CONF)
    told = [argument for argument in prepared if argument.startswith("hydra.sweep.dir=")]
    assert told == ([] if folder is None else [f'hydra.sweep.dir="{folder}"'])
    assert command_line.is_sweep(prepared) == ("out=x" not in arguments or "prompts=gallery" in arguments)


def test_launchers_settings_may_be_added() -> None:
    """Oracle: what Ray's launcher needs for a GPU a job arrives unchanged; nothing else may be added."""
    added = "+hydra.launcher.ray.remote.num_gpus=1"
    assert added in command_line.prepare(["-m", "prompt=a", added], CONF)


def test_what_is_swept_names_a_job() -> None:
    """Oracle: the settings with several values, prompts with commas and lists by name included."""
    arguments = ["-m", "prompts=paper_fig6", "loss=nfsd,sds", "seed=range(0,3)", "steps=3", "preset=smoke"]
    assert command_line.swept(command_line.prepare(arguments, CONF)) == ["loss", "seed", "prompt"]
    assert command_line.swept(command_line.prepare(["-m", "prompt=a, b", "preset=smoke"], CONF)) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--foo"], "unrecognized arguments: --foo"),
        (["seed"], "seed: settings are written name=value"),
        (["prompt=a", ""], ": settings are written name=value"),
        (["+x=1"], r"\+x=1: settings are neither added nor removed"),
        (["~seed"], "~seed: settings are neither added nor removed"),
        (
            ["prompts=nope"],
            "prompts=nope does not exist: choose prompts= one of gallery, paper_fig",
        ),
        (["prompts=../train"], "prompts=../train does not exist"),
        (["prompts=paper_fig8", "prompt=a"], "prompt= and prompts= are both given"),
        (["prompt=a", "sweep="], "sweep= is no name: use letters, digits"),
        (["prompt=a", "sweep=../x"], r"sweep=\.\./x is no name"),
        (["prompt=a", "sweep=x", "out=y"], "sweep= and out= are both given"),
    ],
)
def test_wrong_forms_are_refused(arguments: list[str], sentence: str) -> None:
    """Oracle: the sentence names the argument and the remedy."""
    with pytest.raises(UserError, match=sentence):
        command_line.prepare(arguments, CONF)


def test_nearest_settings_come_first() -> None:
    """Oracle: what a person would guess."""
    keys = [
        "steps",
        "seed",
        "loss",
        "loss.guidance_scale",
        "field.hash_grid.levels",
        "camera.fov_degrees_min",
    ]
    assert command_line.nearest("step", keys)[0] == "steps"
    assert command_line.nearest("loss.guidance", keys)[0] == "loss.guidance_scale"
    assert command_line.nearest("guidance_scale", keys)[0] == "loss.guidance_scale"
    assert command_line.nearest("levels", keys)[0] == "field.hash_grid.levels"
    assert command_line.nearest("qqq", keys) == []
