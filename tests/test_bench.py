import json
from pathlib import Path

import pytest
import torch

from src import bench
from src.bench import LiveBytes, Row, median_ms, peak_live_bytes, render_step
from src.errors import UserError
from src.scene import field, march
from src.scene.levels import HashGridConfig
from src.scene.rendering import RenderConfig


def test_live_bytes_counts_what_is_alive_and_no_more() -> None:
    """Oracle: sums of sizes by hand; views and in-place results add nothing, what is dropped is gone."""
    before = torch.zeros(1000)
    with LiveBytes() as live:
        a = torch.ones(250)  # 1000 bytes
        b = a.view(10, 25).add_(1) + before[:25]  # and 1000 more
        assert (live.now, live.peak) == (2000, 2000)
        del a
        assert live.now == 1000
        b = b * 2  # old and new for a moment
        assert (live.now, live.peak) == (1000, 2000)
        del b
    assert live.now == 0


def test_peak_memory_of_rendering_hardly_grows_with_the_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the bound asked of the real sizes (src.bench measures those): 1.1 times, beyond 100 bytes a
    pixel.
    """
    monkeypatch.setattr(march, "CANDIDATES", 2**13)
    # In bfloat16 a chunk this small is half as large, and the pixels' own maps are more than it is.
    monkeypatch.setattr(field, "multiplies_bfloat16_fast", lambda: False)
    grid = HashGridConfig(levels=4, log2_table=12, max_resolution=64)
    small, large = (
        peak_live_bytes(render_step(grid, RenderConfig(16, 2000), size, 1.0)) for size in (32, 96)
    )
    assert large - 100 * 96**2 <= 1.1 * small


def test_medians_ignore_the_first_round() -> None:
    """Oracle: every run is called once more than it is timed."""
    calls: list[str] = []
    times = median_ms({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert calls == ["a", "b"] * 4
    assert list(times) == ["a", "b"]


def test_rows_are_written_as_a_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Oracle: the fields that readers of the file rely on."""
    monkeypatch.setattr(bench, "encoding_rows", lambda *_: [Row("part", 2.0, "other", 6.0, 3.0)])
    monkeypatch.setattr(bench, "other_rows", lambda: [])
    monkeypatch.setattr(bench, "method_rows", lambda: [])
    monkeypatch.setattr(bench, "memory_row", lambda: {"part": "m", "ours_bytes": 1, "ratio": 1.0})
    assert bench.main([f"json={tmp_path / 'bench.json'}"]) == 0
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert rows[0] == {
        "part": "part",
        "ours_ms": 2.0,
        "reference": "other",
        "reference_ms": 6.0,
        "ratio": 3.0,
    }


@pytest.mark.parametrize("argument", ["speed=1", "json"])
def test_unknown_settings_are_named(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2, and the sentence repeats what was typed."""
    assert bench.main([argument]) == 2
    assert argument in capsys.readouterr().err


def test_a_missing_peer_names_the_remedy(tmp_path: Path) -> None:
    """Oracle: the make target that fetches it."""
    with pytest.raises(UserError, match="make bench-peer"):
        bench.load_peer(tmp_path)
