"""What a view shows: depth by colour, normals by differences, colour before the backgrounds asked for."""

from pathlib import Path

import numpy as np
import torch

from src.export.panels import DEPTH_COLORS, color_depth, normals, panels, with_legend
from src.model import Model, look
from src.scene.cameras import orbit
from src.scene.rendering import Rendering
from tests.export.scenes import SIGHT, Mug, mug
from tests.runs import tiny


class SoftBall(Mug):
    """A ball of radius 0.3 with a soft edge."""

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return 80 * ((0.3 - points.norm(dim=-1)) / 0.02).sigmoid()


def test_depth_is_bright_where_near() -> None:
    """Oracle: at the sphere's front the last colour, at its back the first, where nothing is black."""
    depth = torch.tensor([0.5, 2.5, 2.5]).view(1, 1, 1, 3)
    opacity = torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3)
    nothing = torch.zeros(1, 3, 1, 3)
    view = Rendering(nothing, opacity, depth, opacity * 0, nothing, opacity * 0)
    colors = color_depth(view, distance=1.5, radius=1.0)[0, :, 0].T
    torch.testing.assert_close(colors, torch.stack([DEPTH_COLORS[-1], DEPTH_COLORS[0], torch.zeros(3)]))


def test_normals_of_a_ball_point_away_from_its_middle(tmp_path: Path) -> None:
    """Oracle: the direction from the centre to where the ray meets the ball, in the camera's axes.

    0.99 is 8 degrees: rays end a little below the surface that they meet.
    """
    cfg, scene = tiny(tmp_path, *SIGHT), Model(SoftBall(), *mug()[1:])  # type: ignore[arg-type]
    camera = orbit(8, 25.0, 1.45, 45.0, 24).one(3)
    seen = look(cfg, scene, camera)
    found = normals(scene, camera, seen.opacity)[0].permute(1, 2, 0)
    rays = camera.rays()
    origin, direction = rays.origins[0], rays.directions[0]
    along = -(origin * direction).sum(-1, keepdim=True)
    off = (origin + along * direction).norm(dim=-1, keepdim=True)
    met = origin + (along - (0.3**2 - off**2).clamp(min=0).sqrt()) * direction
    expected = met / met.norm(dim=-1, keepdim=True) @ camera.poses()[0, :, :3]
    inside = off[..., 0] < 0.25
    assert int(inside.sum()) > 50
    assert float((found * expected).sum(-1)[inside].min()) > 0.99
    assert not found[seen.opacity[0, 0] < 0.05].any()


def test_colour_is_shown_before_every_background(tmp_path: Path) -> None:
    """Oracle: one picture a background, the same where opaque; white where clear; the order asked for."""
    cfg, camera = tiny(tmp_path, *SIGHT), orbit(1, 15.0, 1.45, 45.0, 24)
    opacity, white, env, depth = panels(cfg, mug(), camera, ["opacity", "rgb", "depth"], ["white", "env"])
    clear, solid = opacity[..., 0] == 0, opacity[..., 0] == 255
    assert clear.any()
    assert solid.any()
    assert (white[clear] == 255).all()
    assert (env[clear] < 255).all()
    np.testing.assert_allclose(white[solid].astype(int), env[solid], atol=1)
    assert not depth[clear].any()


def test_the_legend_is_the_scale_itself() -> None:
    """Oracle: viridis from near (above) to far in one corner, numbers beside it, and the rest untouched."""
    size = 256
    blank = np.zeros((size, size, 3), np.uint8)
    shown = with_legend(blank, distance=1.5, radius=0.6)
    assert not shown[: size // 2].any()
    assert not shown[:, : size // 2].any()
    column = shown[:, size - size // 32 - 2]
    bar = column[column.any(1)]
    ends = (DEPTH_COLORS[[-1, 0]] * 255).round().numpy()
    np.testing.assert_array_equal(bar[[0, -1]], ends)
    ink = (shown == shown[..., :1]).all(-1) & (shown[..., 0] > 80)
    assert ink[:, : size - 2 * (size // 32)].sum() > 20
    assert not with_legend(blank[:64, :64], 1.5, 0.6).any()
