"""Times of the parts of a training step beside what they can be measured against: `python -m src.bench`.

    python -m src.bench [json=FILE] [peer=FOLDER]
    python -m src.bench scale=paper [json=FILE] [steps=1]     (src/cost/steps.py)

FOLDER holds nerfstudio, installed without its dependencies (`make bench-peer`).  Times are medians of
processor time on one thread, which a shared machine disturbs less than time on the wall; compare them within
one run only.  "Bare gathers and scatters" is a loop that does nothing but the table's traffic.  A row
without a reference is a time by itself.
"""

import importlib
import json
import sys
import time
import types
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.arguments import to_write, typed_path
from src.cost import steps as bench_steps
from src.cost.counters import LiveBytes
from src.cost.methods import steps_of_methods
from src.door import one_sentence
from src.errors import UserError
from src.scene.background import Background, BackgroundConfig
from src.scene.cameras import CameraConfig, sample_cameras
from src.scene.field import Field, FieldConfig
from src.scene.hash_grid import HashGrid
from src.scene.levels import HashGridConfig
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.scene.rendering import RenderConfig, composite_weights, render
from src.streams import Streams

POINTS = 131_072
BIG = HashGridConfig()
SMALL = HashGridConfig(levels=8, features=4, log2_table=15, max_resolution=512)
LAPTOP = HashGridConfig(levels=5, features=4, log2_table=18, base_resolution=8, max_resolution=64)


@dataclass
class Row:
    """One comparison; times in milliseconds, `ratio` = reference / ours (above 1: ours is faster)."""

    part: str
    ours_ms: float
    reference: str | None = None
    reference_ms: float | None = None
    ratio: float | None = None


def median_ms(runs: dict[str, Callable[[], Any]], repeats: int = 5) -> dict[str, float]:
    """Median processor time of each run in milliseconds, the runs taking turns so that a busy spell hits
    them all.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):  # the first round warms up
        for name, run in runs.items():
            start = time.process_time()
            run()
            if repeat:
                times[name].append((time.process_time() - start) * 1e3)
    return {name: sorted(series)[len(series) // 2] for name, series in times.items()}


def render_step(
    grid: HashGridConfig, cfg: RenderConfig, resolution: int, radius: float
) -> Callable[[], None]:
    """Forward and backward of one view and all its maps, occupancy being up to date."""
    draw = Streams(0, 0)
    field = Field(FieldConfig(radius=radius, blob_radius=0.5 * radius, hash_grid=grid), draw)
    background = Background(BackgroundConfig(), draw)
    occupancy = OccupancyGrid(OccupancyConfig(), radius, cfg.step_length(radius))
    occupancy.update(field, draw("occupancy"), 0)
    camera = sample_cameras(CameraConfig(), 1, resolution, draw("camera"))

    def step() -> None:
        for module in (field, background):
            module.zero_grad(set_to_none=True)
        view = render(field, background, occupancy, camera, cfg, Streams(0, 1))
        torch.stack([map_.mean() for map_ in view]).sum().backward()

    return step


def peak_live_bytes(run: Callable[[], None]) -> int:
    """Most bytes of tensors alive at once that `run` made."""
    with LiveBytes() as live:
        run()
    return live.peak


def load_peer(folder: Path) -> Any:
    """nerfstudio's HashEncoding from a folder that holds the package without its dependencies."""
    if not (folder / "nerfstudio").is_dir():
        raise UserError(f"peer={folder} holds no nerfstudio; run `make bench-peer`.")
    sys.path.append(str(folder))
    # The encodings' module reaches a scene box for the sake of a type, and that one a viewer's geometry.
    for name in ("viser", "viser.transforms"):
        if name not in sys.modules:
            sys.modules[name] = types.ModuleType(name)
    return importlib.import_module("nerfstudio.field_components.encodings").HashEncoding


def encoding_rows(name: str, cfg: HashGridConfig, peer: Any) -> list[Row]:
    """Forward and backward of the encoding, beside the peer's and beside the bare gathers and scatters."""
    draw = Streams(0, 0)
    grid, points = HashGrid(cfg, draw), draw("points").uniform(1, POINTS, 3)[0]
    upstream = draw("upstream").normal(1, POINTS, grid.output_size)[0]

    def forward_backward(module: nn.Module) -> Callable[[], None]:
        def run() -> None:
            module.zero_grad(set_to_none=True)
            module(points).backward(upstream)

        return run

    runs = {"ours": forward_backward(grid), "bare gathers and scatters": limit(grid, points)}
    if peer is not None:
        theirs = peer(
            cfg.levels,
            cfg.base_resolution,
            cfg.max_resolution,
            cfg.log2_table,
            cfg.features,
            implementation="torch",
        )
        runs["nerfstudio's torch HashEncoding"] = forward_backward(theirs)
    return compare(f"hash grid {name}, forward + backward of {POINTS} points", runs)


def limit(grid: HashGrid, points: Tensor) -> Callable[[], None]:
    """The encoding's table traffic without its arithmetic: each corner's words read once and written once."""
    table, gradient = (
        grid.table.detach().view(torch.complex64),
        torch.zeros_like(grid.table).view(torch.complex64),
    )
    corners = []
    for level in grid.levels:
        axis = level.rows if not level.dense else level.resolution**3
        near = (points.double() @ torch.tensor([1.0, 1e3, 1e6]).double() * axis).long()
        corners.append([(near * (2 * corner + 1) + corner) % axis for corner in range(8)])

    def run() -> None:
        for level, rows in zip(grid.levels, corners, strict=True):
            part = slice(level.first, level.first + level.rows)
            for word in range(table.shape[1]):
                for row in rows:
                    for block in row.split(32_768):
                        read = table[part, word].index_select(0, block)
                        gradient[part, word].scatter_add_(0, block, read)

    return run


def compare(part: str, runs: dict[str, Callable[[], None]]) -> list[Row]:
    """One row per reference: the first run is ours."""
    ours_ms, *references = median_ms(runs).items()
    return [Row(part, ours_ms[1], name, ms, ms / ours_ms[1]) for name, ms in references]


def other_rows() -> list[Row]:
    """Heads, compositing, and whole render steps."""
    draw = Streams(0, 0)
    field = Field(FieldConfig(), draw)
    encoded = draw("encoded").normal(1, POINTS, field.encoding.output_size)[0].requires_grad_()
    density = draw("density").uniform(1, 4096, 32)[0].requires_grad_()
    length = torch.full_like(density, 0.05)

    def heads() -> None:
        for hidden, out in ((field.density_hidden, field.density_out), (field.color_hidden, field.color_out)):
            Field._head(encoded, hidden, out).sum().backward()

    def compositing() -> None:
        composite_weights(density, length).square().sum().backward()

    runs: dict[str, Callable[[], Any]] = {
        f"heads, forward + backward of {POINTS} points": heads,
        "compositing weights, forward + backward of 4096 x 32 bins": compositing,
        "render step 64x64, laptop grid, 64 bins": render_step(LAPTOP, RenderConfig(64), 64, 0.65),
        "render step 64x64, paper's grid, 64 bins": render_step(BIG, RenderConfig(64), 64, 0.65),
    }
    return [Row(part, ms) for part, ms in median_ms(runs).items()]


def method_rows() -> list[Row]:
    """Steps of the losses beside NFSD's."""
    nfsd, *others = median_ms(steps_of_methods()).items()
    beside = [Row(part, ms, nfsd[0], nfsd[1], nfsd[1] / ms) for part, ms in others]
    return [Row(*nfsd), *beside]


def memory_row() -> dict[str, Any]:
    """Peak live bytes of a render step with the paper's grid and bins at 64x64 and at 512x512."""
    small, large = (peak_live_bytes(render_step(BIG, RenderConfig(), size, 1.0)) for size in (64, 512))
    beyond = large - 100 * 512 * 512
    return {
        "part": "peak live bytes, 512x512 less 100 a pixel, beside 64x64",
        "ours_bytes": large, "reference": "64x64", "reference_bytes": small, "ratio": beyond / small,
    }  # fmt: skip


@one_sentence
def main(arguments: list[str]) -> int:
    """Run everything, print it, and write it to json=FILE if asked; returns the exit code."""
    settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if "scale" in settings:
        bench_steps.bench(settings)
        return 0
    unknown = [argument for argument in arguments if argument.split("=", 1)[0] not in ("json", "peer")]
    if unknown or len(settings) < len(arguments):
        raise UserError(f"{' '.join(unknown or arguments)}: src.bench knows json=FILE and peer=FOLDER.")
    written = to_write(settings["json"], "json") if "json" in settings else None
    torch.set_num_threads(1)
    peer = load_peer(Path(typed_path(settings["peer"], "peer"))) if "peer" in settings else None
    rows: list[dict[str, Any]] = []
    for make in (
        lambda: encoding_rows("L16 F2 2^19", BIG, peer),
        lambda: encoding_rows("L8 F4 2^15", SMALL, peer),
        lambda: encoding_rows("L5 F4 dense (laptop)", LAPTOP, None),
        other_rows,
        method_rows,
    ):
        for row in make():
            beside = f"{row.reference_ms:9.1f} ms {row.reference}: {row.ratio:.2f}x" if row.reference else ""
            print(f"{row.ours_ms:9.1f} ms  {row.part:58s} {beside}", flush=True)
            rows.append(asdict(row))
    memory = memory_row()
    print(f"{memory['ours_bytes'] / 1e6:9.1f} MB  {memory['part']}: {memory['ratio']:.3f}x")
    rows.append(memory)
    if written:
        written.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
