"""One step of training: its memory does not grow with the picture."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from src.assemble import assemble, make_guide
from src.cost.counters import LiveBytes
from src.cost.plan import PIXEL_BYTES
from src.guidance.load import load_prior
from src.scene import march
from src.step import most_rows, rows_at, take_step
from src.streams import Streams
from tests.runs import settings, tiny


def peak_bytes(folder: Path, pixels: int) -> int:
    """Most bytes alive at once in a step at this resolution, every cell being occupied."""
    cfg = tiny(
        folder,
        f"schedule.resolution={pixels}",
        "render.samples_per_ray=200",
        "render.chunk_samples=4096",
        "batch_size=1",
    )
    run = assemble(cfg, make_guide(cfg, load_prior(cfg.prior, "cpu")), torch.device("cpu"))
    with LiveBytes() as live:
        # Not step 0, so that the grid is not refreshed.
        take_step(run, 1, Streams(0, 1), lambda _: nullcontext())
    return live.peak


def test_memory_of_a_step_hardly_grows_with_the_resolution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: 1.1 times, as is asked of rendering alone, beyond what plan=true allows a pixel's maps."""
    monkeypatch.setattr(march, "CANDIDATES", 2**13)
    small, large = (peak_bytes(tmp_path, pixels) for pixels in (16, 48))
    assert large - PIXEL_BYTES * 48**2 <= 1.1 * small


def test_the_worst_timestep_of_a_range() -> None:
    """Oracle: NFSD asks for a third row from its cut on, 200; the other losses for two everywhere."""
    nfsd, sds = (settings("prompt=a", "preset=paper", f"loss={loss}") for loss in ("nfsd", "sds"))
    assert rows_at(nfsd, torch.tensor([20, 199, 200, 980])).tolist() == [2, 2, 3, 3]
    assert rows_at(sds, torch.tensor([20, 980])).tolist() == [2, 2]
    assert most_rows(nfsd, 20, 980) == 200
    assert most_rows(nfsd, 20, 150) == 20
