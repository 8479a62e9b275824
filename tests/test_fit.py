import pytest
import torch
from torch import Tensor

from src.errors import UserError
from src.fit import fit, toy_solid
from src.scene.cameras import CameraConfig, Cameras
from src.scene.field import FieldConfig
from src.scene.levels import HashGridConfig
from src.scene.rendering import RenderConfig, render
from tests.scene.solids import Ball, backdrop, everywhere


def colored_ball(camera: Cameras) -> Tensor:
    """RGBA of an opaque ball painted in waves, by the renderer that the scene's tests have checked."""
    camera = Cameras(*(angle.double() for angle in camera[:4]), camera.height, camera.width)
    view = render(Ball(60.0, 0.4, 0.5), backdrop(), everywhere(0.5), camera, RenderConfig(48), None)
    return torch.cat([view.foreground, view.opacity], 1).float()


def test_a_known_solid_is_found_from_its_pictures() -> None:
    """Oracle: the solid itself from unseen views: 25 dB in 120 small steps (27.7 measured, fog has 10)."""
    grid = HashGridConfig(levels=3, features=4, log2_table=15, base_resolution=8, max_resolution=32)
    cfg = FieldConfig(radius=0.5, blob_radius=0.4, density_gain=5.0, hash_grid=grid)
    assert fit(colored_ball, CameraConfig(), cfg, RenderConfig(24), 24, 120) > 25


def test_unknown_solids_are_named() -> None:
    """Oracle: the error names the setting, its value and what there is."""
    with pytest.raises(UserError, match=r"solid='red dragon'.*torus"):
        toy_solid("red dragon")
