"""What a run wrote, read back: its settings begin another run; the user's own lists of prompts."""

from pathlib import Path

import pytest

from src import command_line
from src.arguments import typed_path
from src.config import as_dict, identity
from src.door import CONF, settings
from src.errors import UserError
from src.run.folder import write_settings
from tests.runs import tiny

ODD = 'a "lion", 獅子: [x] ${y} = 1'


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The settings of a run with odd texts and lists."""
    folder = tmp_path / "a, [b]"
    folder.mkdir()
    arguments = (
        "loss=sds",
        "loss.guidance_scale=42.5",
        "video.show=[rgb,normal]",
        "seed=7",
        "prior.path=~/x,y",
    )
    write_settings(tiny(folder, *arguments, prompt=ODD), folder)
    return folder


def test_a_runs_settings_come_back(run: Path) -> None:
    """Oracle: identity; its folder, threads and device are its own."""
    before = tiny(run, "loss=sds", "loss.guidance_scale=42.5", "video.show=[rgb,normal]", "seed=7",
                  "prior.path=~/x,y", prompt=ODD)  # fmt: skip
    again = settings(f"from={run}")
    assert identity(again) == identity(before)
    assert (again.steps, again.logging, again.video) == (before.steps, before.logging, before.video)
    assert again.out != before.out
    assert (again.threads, again.device) == (None, None)
    assert as_dict(settings(f"from={run / 'config.yaml'}")) == as_dict(again)


def test_what_is_given_beside_it_wins(run: Path) -> None:
    """Oracle: one setting changed; another loss brings its own settings and not the run's."""
    changed = settings(f"from={run}", "steps=9", "prompt=a dog")
    assert (changed.steps, changed.prompt, changed.seed, changed.loss_name) == (9, "a dog", 7, "sds")
    other = settings(f"from={run}", "loss=nfsd")
    assert (other.loss_name, other.loss.guidance_scale) == ("nfsd", 7.5)
    assert other.field == changed.field


def test_another_generator_comes_back(tmp_path: Path) -> None:
    """Oracle: identity; its group is chosen, as a user would."""
    write_settings(tiny(tmp_path, "generator=latents"), tmp_path)
    assert identity(settings(f"from={tmp_path}")) == identity(tiny(tmp_path, "generator=latents"))


def test_what_cannot_be_taken_over_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: one sentence each; a setting that is gone is named, and the rest is used."""
    with pytest.raises(UserError, match=r"from=nowhere is no run's folder"):
        settings("from=nowhere")
    with pytest.raises(UserError, match=r"from= and preset= are both given"):
        settings(f"from={run}", "preset=laptop")
    with (run / "config.yaml").open("a") as file:
        file.write("gone: 3\n")
    assert settings(f"from={run}").seed == 7
    assert "there is no gone any more" in capsys.readouterr().err


def test_a_list_of_the_users_own(tmp_path: Path) -> None:
    """Oracle: the texts of the file, in its order; what is no list of texts is named."""
    path = tmp_path / "mine, too.yaml"
    path.write_text("- a red lion\n- 'a lion, DSLR'\n", encoding="utf-8")
    assert command_line.prompt_list("prompts", str(path), CONF) == ["a red lion", "a lion, DSLR"]
    prepared = command_line.prepare([f"prompts={path}", "preset=smoke"], CONF)
    assert 'prompt="a red lion","a lion, DSLR"' in prepared
    for content, sentence in (("a: 1", "must be a list of texts"), ("{", "cannot be read")):
        path.write_text(content)
        with pytest.raises(UserError, match=sentence):
            command_line.prompt_list("prompts", str(path), CONF)
    with pytest.raises(UserError, match=r"nosuch\.yaml cannot be read"):
        command_line.prompt_list("prompts", "nosuch.yaml", CONF)


def test_the_vague_list_is_its_two_grades() -> None:
    """Oracle: the lists that the same questions are asked from in 2-D."""
    whole, anything, classes = (
        command_line.prompt_list("prompts", name, CONF) for name in ("vague", "vague_1", "vague_2")
    )
    assert whole == anything + classes


@pytest.mark.parametrize("typed", ['"a","b, c"', "'a','b, c'", '"a", "b, c"'])
def test_several_quoted_prompts_are_several(typed: str) -> None:
    """Oracle: two prompts under --multirun, a sentence without; one quoted text is the user's own."""
    prepared = command_line.prepare(["-m", f"prompt={typed}", "preset=smoke"], CONF)
    assert 'prompt="a","b, c"' in prepared
    with pytest.raises(UserError, match="is 2 prompts: add --multirun"):
        command_line.prepare([f"prompt={typed}", "preset=smoke"], CONF)
    assert settings('prompt="hello" sign').prompt == '"hello" sign'


@pytest.mark.parametrize("setting", ["out", "prior.path", "prior.small_autoencoder", "video.path"])
@pytest.mark.parametrize("name", ["~/a", "~/a/", "~//a", "./~x", "a, b (c)=[d]", "a/../b"])
def test_a_path_means_one_thing(monkeypatch: pytest.MonkeyPatch, setting: str, name: str) -> None:
    """Oracle: pathlib's own reading; ~ is home at the beginning and nowhere else."""
    monkeypatch.setenv("HOME", "/home/somebody")
    cfg = settings("prompt=a", "preset=smoke", f"{setting}={name}")
    found: str = {
        "out": lambda: cfg.out,
        "prior.path": lambda: cfg.prior.path,
        "prior.small_autoencoder": lambda: cfg.prior.small_autoencoder,
        "video.path": lambda: cfg.video.path,
    }[setting]()
    home = name.replace("~/", "/home/somebody/", 1) if name.startswith("~") else name
    assert found == ("./~x" if name == "./~x" else str(Path(home)))
    assert typed_path(found, setting) == found


def test_homes_of_nobody_are_said() -> None:
    """Oracle: a sentence that names the setting."""
    with pytest.raises(UserError, match=r"^out='~nobody-here/x' is no path"):
        settings("prompt=a", "preset=smoke", "out=~nobody-here/x")
