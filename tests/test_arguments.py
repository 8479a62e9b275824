"""name=value arguments: typed values in, or one sentence."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from src.arguments import in_range, parse, to_write
from src.errors import UserError


@dataclass
class Settings:
    """One field of each type."""

    text: str = ""
    count: int = 1
    share: float = 0.5


def test_values_take_their_fields_type_and_texts_stay_as_typed() -> None:
    """Oracle: the same dataclass, made by hand."""
    assert parse(Settings, ["text=a=1, [b] null", "count=3", "share=1e-3"]) == Settings(
        "a=1, [b] null", 3, 1e-3
    )
    assert parse(Settings, []) == Settings()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("size=3", "size=3: no such setting; write name=value with one of text, count, share"),
        ("count", "count: no such setting"),
        ("count=1.5", "count=1.5 is no number: give count= a whole number"),
        ("share=much", "share=much is no number: give share= a number"),
    ],
)
def test_a_slip_is_one_sentence(argument: str, said: str) -> None:
    """Oracle: the sentence names the setting, the value and the remedy."""
    with pytest.raises(UserError, match="^" + said.replace(".", r"\.")) as caught:
        parse(Settings, [argument])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
def test_ranges_exclude_what_is_no_number(share: float) -> None:
    """Oracle: the interval [0, 1], which holds no nan."""
    with pytest.raises(UserError, match=r"share=.* is out of range: choose 0 to 1"):
        in_range(Settings(share=share), ["share"], 0, 1)
    in_range(Settings(), ["share"], 0.5, 0.5)


def test_what_cannot_be_written_is_known_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the system's own reasons; a folder that is lacking is made."""
    assert to_write(f"{tmp_path}/new/a.png") == tmp_path / "new/a.png"
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").write_text("mine")
    for path, reason in (("new", "Is a directory"), ("file/x/a", "Not a directory"), ("file/a", "Not a dir")):
        with pytest.raises(UserError, match=rf"json=.*{path} cannot be written \({reason}"):
            to_write(tmp_path / path, "json")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match=r"out=.* cannot be written \(Permission denied\): choose another"):
        to_write(tmp_path / "a.png")
