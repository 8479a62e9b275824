"""The scene half alone: if plain pictures cannot make a solid, no distillation will."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from src.scene.background import Background, BackgroundConfig
from src.scene.cameras import CameraConfig, Cameras, sample_cameras
from src.scene.field import Field, FieldConfig
from src.scene.latent_field import LatentBackground, LatentField
from src.scene.levels import HashGridConfig
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.scene.rendering import RenderConfig, render
from src.streams import Streams
from tests.scene.solids import Ball, backdrop, everywhere

Solid = Callable[[Cameras], Tensor]  # RGB times opacity, and opacity [B, 4, H, W]


def fit(
    solid: Solid,
    cameras: CameraConfig,
    field_cfg: FieldConfig,
    render_cfg: RenderConfig,
    resolution: int,
    steps: int,
    code: Tensor | None = None,
) -> float:
    """Fit for `steps`; returns the signal-to-noise ratio (dB) of eight unseen views.

    The learning rate falls to a tenth on the way.  Every step sees one new view before a random solid
    colour, so that what is transparent must stay so.  With a `code` [C, 3] the pictures' latents are fitted,
    z = code (2 rgb - 1), and decoded for the ratio.
    """
    init = Streams(0, 0)
    latent = code is not None
    field = LatentField(field_cfg, len(code), init) if code is not None else Field(field_cfg, init)
    background = Background(BackgroundConfig(solid_probability=1.0), init)
    around = LatentBackground(BackgroundConfig(), len(code), init) if code is not None else background

    def encoded(rgb: Tensor) -> Tensor:
        return torch.einsum("zc,bchw->bzhw", code, 2 * rgb - 1) if code is not None else rgb

    def decoded(latents: Tensor) -> Tensor:
        if code is None:
            return latents
        return 0.5 + 0.5 * torch.einsum("cz,bzhw->bchw", torch.linalg.pinv(code), latents)

    occupancy = OccupancyGrid(OccupancyConfig(), field.radius, render_cfg.step_length(field.radius))
    heads = [parameter for parameter in field.parameters() if parameter is not field.encoding.table]
    optimizer = torch.optim.Adam(
        [{"params": [field.encoding.table], "lr": 0.1}, {"params": heads, "lr": 0.01}],
        betas=(0.9, 0.99), eps=1e-15, fused=True,
    )  # fmt: skip
    rates = [group["lr"] for group in optimizer.param_groups]
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * 0.1 ** (step / steps)
        draw = Streams(0, step)
        occupancy.update(field, draw("occupancy"), step)
        camera = sample_cameras(cameras, 1, resolution, draw("camera"))
        view = render(field, around, occupancy, camera, render_cfg, draw)
        behind = background.draw(1, Streams(0, step)("background"))
        assert behind is not None
        color = behind.color[..., None, None]
        truth = solid(camera)
        truth = truth[:, :3] + (1 - truth[:, 3:]) * color
        shown = view.foreground + (1 - view.opacity) * encoded(color) if latent else view.image
        (shown - encoded(truth)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        unseen = sample_cameras(cameras, 8, resolution, Streams(1, 0)("camera"))
        view = render(field, around, occupancy, unseen, render_cfg, None)
        truth = solid(unseen)
        white = torch.ones(1, 3, 1, 1)
        shown = decoded(view.foreground + (1 - view.opacity) * encoded(white))
        error = (shown - truth[:, :3] - (1 - truth[:, 3:])).square().mean()
    return -10 * math.log10(error.item())


def colored_ball(camera: Cameras) -> Tensor:
    """RGBA of an opaque ball painted in waves, by the renderer that the scene's tests have checked."""
    camera = Cameras(*(angle.double() for angle in camera[:4]), camera.height, camera.width)
    view = render(Ball(60.0, 0.4, 0.5), backdrop(), everywhere(0.5), camera, RenderConfig(48), None)
    return torch.cat([view.foreground, view.opacity], 1).float()


GRID = HashGridConfig(levels=3, features=4, log2_table=15, base_resolution=8, max_resolution=32)
FIELD = FieldConfig(radius=0.5, blob_radius=0.4, density_gain=5.0, hash_grid=GRID)


def test_a_known_solid_is_found_from_its_pictures() -> None:
    """Oracle: the solid itself from unseen views: 25 dB in 120 small steps (27.7 measured, fog has 10)."""
    assert fit(colored_ball, CameraConfig(), FIELD, RenderConfig(24), 24, 120) > 25


def test_latents_are_found_as_well_as_colours() -> None:
    """Oracle: a field of latents, decoded, is within 1 dB of the field of colours: Latent-NeRF loses what its
    autoencoder does and no more, and this one loses nothing.  (At the size of the test above: 27.5 and 27.7.)
    """
    code = torch.tensor([[0.9, 0.3, -0.2], [-0.4, 0.8, 0.3], [0.1, -0.5, 0.9], [0.6, 0.6, 0.6]])
    colors, latents = (
        fit(colored_ball, CameraConfig(), FIELD, RenderConfig(16), 12, 40, each) for each in (None, code)
    )
    assert colors > 15
    assert latents > colors - 1
