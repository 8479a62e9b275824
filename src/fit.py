"""The scene half alone: fit a known solid from its pictures, then look at it from where nobody looked.

    python -m src.fit [solid="red torus"] [seconds=60]

If plain pictures cannot make the solid, no distillation will.  Prints the peak signal-to-noise ratio of
64x64 pictures from unseen views, after so many seconds of processor time on one thread.
"""

import math
import sys
import time
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from src.errors import UserError
from src.scene.background import Background, BackgroundConfig
from src.scene.cameras import CameraConfig, Cameras, sample_cameras
from src.scene.field import Field, FieldConfig
from src.scene.levels import HashGridConfig
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.scene.rendering import RenderConfig, render
from src.streams import Streams

GRID = HashGridConfig(levels=5, features=4, log2_table=18, base_resolution=8, max_resolution=64)
Solid = Callable[[Cameras], Float[Tensor, "batch 4 height width"]]  # RGB times opacity, and opacity


def fit(
    solid: Solid,
    cameras: CameraConfig,
    field_cfg: FieldConfig,
    render_cfg: RenderConfig,
    resolution: int,
    steps: int,
    seconds: float = math.inf,
) -> float:
    """Fit for `steps` or `seconds` of processor time; returns the signal-to-noise ratio (dB) of eight unseen
    views.

    The learning rate falls to a tenth on the way.  Every step sees one new view before a random solid
    colour, so that what is transparent must stay so.
    """
    init = Streams(0, 0)
    field, background = Field(field_cfg, init), Background(BackgroundConfig(solid_probability=1.0), init)
    occupancy = OccupancyGrid(OccupancyConfig(), field.radius, render_cfg.step_length(field.radius))
    heads = [parameter for parameter in field.parameters() if parameter is not field.encoding.table]
    optimizer = torch.optim.Adam(
        [{"params": [field.encoding.table], "lr": 0.1}, {"params": heads, "lr": 0.01}],
        betas=(0.9, 0.99), eps=1e-15, fused=True,
    )  # fmt: skip
    rates = [group["lr"] for group in optimizer.param_groups]
    start = time.process_time()
    for step in range(steps):
        progress = max(step / steps, (time.process_time() - start) / seconds)
        if progress >= 1:
            break
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.1**progress
        draw = Streams(0, step)
        occupancy.update(field, draw("occupancy"), step)
        camera = sample_cameras(cameras, 1, resolution, draw("camera"))
        view = render(field, background, occupancy, camera, render_cfg, draw)
        behind = background.draw(1, Streams(0, step)("background"))
        assert behind is not None
        truth = solid(camera)
        truth = truth[:, :3] + (1 - truth[:, 3:]) * behind.color[..., None, None]
        (view.image - truth).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        unseen = sample_cameras(cameras, 8, resolution, Streams(1, 0)("camera"))
        view = render(field, background, occupancy, unseen, render_cfg, None)
        truth = solid(unseen)
        error = (view.foreground - view.opacity - truth[:, :3] + truth[:, 3:]).square().mean()  # before white
    return -10 * math.log10(error.item())


def toy_solid(name: str) -> Solid:
    """A matte solid of the toy world, lit from one side, by colour and kind ("red torus")."""
    import numpy as np
    from numpy.random import Generator, Philox

    from src.toybox.world.captions import Subject
    from src.toybox.world.paint import COLORS
    from src.toybox.world.pictures import key_light, photograph
    from src.toybox.world.shapes import KINDS, build

    color, _, kind = name.partition(" ")
    if color not in COLORS or kind not in KINDS:
        raise UserError(f"solid={name!r} is no colour ({', '.join(COLORS)}) and kind ({', '.join(KINDS)}).")
    table, light = build(kind, Generator(Philox(0))), key_light(0.0, 40.0, 50.0)

    def look(camera: Cameras) -> Tensor:
        each = (camera.one(i) for i in range(len(camera.azimuth)))
        views = [photograph(table, Subject(kind, color), light, one) for one in each]
        return torch.from_numpy(np.stack(views)).float().permute(0, 3, 1, 2)

    return look


def main(arguments: list[str]) -> None:
    """Fit the solid that the command line names."""
    from src.toybox.world.pictures import TOY_CAMERA

    settings = {"solid": "red torus", "seconds": "60"}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in settings or not value:
            raise UserError(f'{argument}: src.fit knows solid="red torus" and seconds=60.')
        settings[name] = value
    try:
        seconds = float(settings["seconds"])
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(f"seconds={settings['seconds']} must be a number greater than 0.")
    torch.set_num_threads(1)
    solid = toy_solid(settings["solid"])
    solid(sample_cameras(TOY_CAMERA, 1, 64, Streams(0, 0)("camera")))  # the tracer compiles when first called
    cfg = FieldConfig(radius=0.65, density_gain=5.0, hash_grid=GRID)
    ratio = fit(solid, TOY_CAMERA, cfg, RenderConfig(64), 64, 10**6, seconds)
    print(f"{settings['solid']}: {ratio:.1f} dB from unseen views after {seconds:g} s of processor time")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"src.fit: {error}", file=sys.stderr)
        sys.exit(2)
