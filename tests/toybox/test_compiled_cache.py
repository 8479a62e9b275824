"""Where compiled code is kept: as the user says, else beside the source, else at home, else nowhere."""

from pathlib import Path

import pytest

from src.toybox.world import distance


def refuse(places: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make folders below these places read-only, for root as well."""
    mkdir = Path.mkdir

    def guarded(self: Path, *given: object, **named: object) -> None:
        if any(place in self.parents for place in places):
            raise OSError(30, "Read-only file system")
        mkdir(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", guarded)


def test_the_first_place_that_can_be_written_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: NUMBA_CACHE_DIR before all; a read-only source and then a read-only home are passed over."""
    source = Path(distance.__file__).parent / "__pycache__"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "given"))
    assert Path(str(distance.cache_folder())).parent == tmp_path / "given"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert Path(str(distance.cache_folder())).parent == source
    refuse([source], monkeypatch)
    assert Path(str(distance.cache_folder())).parent == tmp_path / "home/nfsd3d"
    refuse([source, tmp_path], monkeypatch)
    assert distance.cache_folder() is None
