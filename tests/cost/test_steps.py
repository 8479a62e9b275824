"""The bench of whole steps, with everything small."""

import json
from pathlib import Path

import pytest

from src import bench
from src.scene import march


def test_a_small_bench_says_what_the_large_one_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: every part at both resolutions, with sums by hand; the replica is made once and kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(march, "CANDIDATES", 2**13)  # so that little is rendered in chunks
    monkeypatch.setattr(march, "in_sight", lambda march, *_: march)
    assert bench.main(["scale=tiny", "json=costs.json"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("making outputs/replica-tiny (kept for the next time")
    assert (tmp_path / "outputs/replica-tiny/model_index.json").exists()
    rows = json.loads((tmp_path / "costs.json").read_text())
    assert [row["resolution"] for row in rows] == [16] * 7 + [32] * 7
    for seven in (rows[:7], rows[7:]):
        by_part = {row["part"]: row for row in seven}
        whole = by_part.pop("whole step")
        assert set(by_part) == {
            *("render", "encode", "unet", "encode, backward", "render, backward", "optimiser")
        }
        for cost in ("flops", "bytes", "bytes_without_flops"):
            assert whole[cost] == sum(row[cost] for row in by_part.values())
        assert all(row["seconds"] > 0 and row["bytes"] > 0 for row in by_part.values())
        assert whole["seconds"] == pytest.approx(sum(row["seconds"] for row in by_part.values()))
        other = sum(by_part[part]["flops"] for part in ("render", "render, backward", "optimiser"))
        assert whole["other_flops_share"] == pytest.approx(other / whole["flops"])
        assert whole["unet_passes"] in (2, 3)
    # Without a look ahead, backward repeats forward, chunk by chunk, and does twice as much, but for the
    # background: all of it is one piece and kept, and nothing asks for the gradient of its nine inputs.  (At
    # step 0 the occupancy is refreshed besides.)
    assert rows[11]["part"] == "render, backward"
    assert rows[11]["flops"] == 3 * rows[7]["flops"] - 2 * (2 * 9 * 16 + 16 * 16 + 16 * 3) * 32**2
    assert [row["unet_passes_expected"] for row in (rows[6], rows[13])] == pytest.approx(
        [2 + 781 / 961, 2 + 301 / 481]
    )


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("peer=x", "peer=x"),
        ("steps=none", "steps=none"),
        ("steps=0", "steps=0"),
        ("scale=huge", "scale=huge"),
        ("json=/dev/null/x.json", "json=/dev/null/x.json cannot be written"),
    ],
)
def test_unknown_settings_are_named(argument: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2, and the sentence repeats what was typed."""
    assert bench.main(["scale=tiny", argument]) == 2
    assert said in capsys.readouterr().err
