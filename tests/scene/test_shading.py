import math

import pytest
import torch
from torch import Tensor

from src.errors import UserError
from src.scene.background import Background, BackgroundConfig
from src.scene.rendering import RenderConfig, composite_weights, render
from src.scene.shading import Light, Shader, ShadingConfig, draw_light, normals, shade, turned_away
from src.streams import Streams
from tests.scene.solids import Ball, backdrop, camera_at, everywhere


class Gaussian:
    """A soft ball whose density, and so its gradient, is known everywhere."""

    radius = 0.8

    def __init__(self, peak: float = 12.0) -> None:
        self.peak = torch.tensor(peak, dtype=torch.float64, requires_grad=True)

    def density(self, points: Tensor) -> Tensor:
        return self.peak * (-points.square().sum(-1) / 0.18).exp()

    def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
        return self.density(points), 0.5 + 0.5 * (3 * points).sin()


def some_points(count: int = 50) -> Tensor:
    return Streams(0, 0)("points").uniform(1, count, 3)[0].double() - 0.5


def light_at(*position: float, ambient: float = 0.1, clay: bool = False) -> Light:
    return Light(torch.tensor([position]).double(), torch.tensor([ambient]).double(), torch.tensor([clay]))


def test_normals_point_out_of_a_ball() -> None:
    """Oracle: the direction from the middle; differences err by their step over the width, a tenth."""
    field, points = Gaussian(), some_points()
    found = normals(field.density, points, field.density(points), 1e-3)
    truth = points / points.norm(dim=1, keepdim=True)
    assert ((found * truth).sum(1) > 1 - 1e-4).all()
    coarse = normals(field.density, points, field.density(points), 0.01)
    assert ((coarse * truth).sum(1) > 0.99).all()
    torch.testing.assert_close(found.norm(dim=1), torch.ones(50, dtype=torch.float64))


def test_a_flat_density_has_no_normals() -> None:
    """Oracle: zeros, and a finite gradient."""
    level = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    found = normals(lambda points: level.expand(len(points)), some_points(), level.expand(50), 0.01)
    assert (found == 0).all()
    found.sum().backward()
    assert level.grad is not None
    assert level.grad.isfinite()


def test_light_in_closed_form() -> None:
    """Oracle: a (.1 + .9 cos 60 degrees) by hand; away from the light .1 alone; clay is white; unlit is a."""
    albedo = torch.tensor([[0.2, 0.4, 0.8]]).double()
    place, view = torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    normal = torch.tensor([[0.0, 0.0, 1.0]]).double()
    slanted = 2.0 * math.sin(math.pi / 3), 0.0, 2.0 * math.cos(math.pi / 3)
    torch.testing.assert_close(shade(albedo, place, normal, light_at(*slanted), view), albedo * 0.55)
    torch.testing.assert_close(shade(albedo, place, normal, light_at(0, 0, -2), view), albedo * 0.1)
    clay = shade(albedo, place, normal, light_at(*slanted, clay=True), view)
    torch.testing.assert_close(clay, torch.full((1, 3), 0.55).double())
    torch.testing.assert_close(shade(albedo, place, normal, light_at(*slanted, ambient=1.0), view), albedo)


def test_only_what_looks_away_is_counted() -> None:
    """Oracle: cos^2 of 0, 60, 90 and 180 degrees between the normal and the ray."""
    angle = torch.tensor([0, 60, 90, 180]).double().deg2rad()
    normal = torch.stack([angle.cos(), angle.sin(), 0 * angle], 1)
    ahead = torch.tensor([[1.0, 0, 0]]).double().expand(4, 3)
    torch.testing.assert_close(turned_away(normal, ahead), torch.tensor([1, 0.25, 0, 0]).double())


def test_a_lit_picture_is_the_sum_over_samples_of_the_formula() -> None:
    """Oracle: one ray written out: bins, exact normals' differences, the formula, weights, the background."""
    field, cfg, where = Gaussian(), RenderConfig(samples_per_ray=32), camera_at(30, 20, resolution=1)
    light, behind = light_at(1.0, -0.5, 1.2), backdrop()
    seen = render(field, behind, everywhere(), where, cfg, None, Shader(field.density, light, 0.01))
    ray = where.rays()
    origin, ahead = ray.origins.view(3), ray.directions.view(1, 3)
    length = torch.full((1, 32), 2 * 0.8 / 32, dtype=torch.float64)
    points = origin + (2 - 0.8 + length[0].cumsum(0) - length[0] / 2)[:, None] * ahead
    density, albedo = field(points)
    gradient = field.density(points[:, None] + 0.01 * torch.eye(3).double()) - density[:, None]
    normal = -gradient / gradient.norm(dim=1, keepdim=True)
    towards = light.position - points
    cosine = (normal * towards).sum(1) / towards.norm(dim=1)
    color = albedo * (0.1 + 0.9 * cosine.clamp(min=0))[:, None]
    weights = composite_weights(density[None], length)[0]
    image = weights @ color + (1 - weights.sum()) * behind(ahead)[0]
    torch.testing.assert_close(seen.image.view(3), image)
    away = weights @ (normal * ahead).sum(1).clamp(min=0).square()
    torch.testing.assert_close(seen.turned_away.view(()), away)


def test_looking_away_turns_normals_and_moves_no_density() -> None:
    """Oracle: the normals of a ball do not depend on its peak, so nor does the penalty, whose weights do."""
    field, cfg, where = Gaussian(), RenderConfig(samples_per_ray=32), camera_at(30, 20, resolution=3)
    shader = Shader(field.density, light_at(1, 1, 1), 0.01)
    seen = render(field, backdrop(), everywhere(), where, cfg, None, shader)
    assert seen.turned_away.max() > 1e-3
    (slope,) = torch.autograd.grad(seen.turned_away.sum(), field.peak)
    assert slope.abs() < 1e-10


def test_unlit_light_changes_nothing() -> None:
    """Oracle: an ambient part of 1 is the picture without a shader, bitwise, in chunks as well."""
    field, where = Ball(), camera_at(30, 20)
    for chunk in (10**6, 40):
        cfg = RenderConfig(samples_per_ray=32, chunk_samples=chunk)
        plain = render(field, backdrop(), everywhere(), where, cfg, None)
        shader = Shader(field.density, light_at(1, 1, 1, ambient=1.0), 0.01)
        lit = render(field, backdrop(), everywhere(), where, cfg, None, shader)
        assert torch.equal(plain.image, lit.image)
        assert (plain.turned_away == 0).all()


def test_light_belongs_to_views_and_comes_with_its_odds() -> None:
    """Oracle: four views at once are four one by one, bitwise; binomial laws within four deviations;
    the range of distances; none before the start.
    """
    cfg, where = ShadingConfig(), camera_at(30, 20)
    many = where._replace(**{name: getattr(where, name).expand(2000) for name in where._fields[:4]})
    whole = draw_light(cfg, many, 2001, Streams(3, 2001)("light"))
    for view in range(4):
        one = draw_light(cfg, where, 2001, Streams(3, 2001, view)("light"))
        assert all(torch.equal(a, b[view : view + 1]) for a, b in zip(one, whole, strict=True))
    for share, odds in ((whole.ambient == 1, 0.25), (whole.textureless, 0.375)):
        assert abs(share.double().mean() - odds) < 4 * math.sqrt(odds * (1 - odds) / 2000)
    assert not (whole.textureless & (whole.ambient == 1)).any()
    distance = whole.position.norm(dim=1)
    assert ((distance > 0.8) & (distance < 1.5)).all()
    before = draw_light(cfg, many, 2000, Streams(3, 2000)("light"))
    assert (before.ambient == 1).all()
    assert not before.textureless.any()
    soft = draw_light(ShadingConfig(soft=True), many, 2001, Streams(3, 2001)("light")).ambient
    assert abs(soft[soft < 1].mean() - 0.5) < 0.05


@pytest.mark.parametrize(
    ("setting", "value"),
    [("unlit", 1.5), ("start_step", -1), ("light_min", 2.0), ("spread", math.nan), ("normal_step", 0.0)],
)
def test_impossible_settings_are_named(setting: str, value: float) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=f"shading.{setting}={value}"):
        ShadingConfig(**{setting: value})


def test_a_latent_picture_has_the_fields_channels() -> None:
    """Oracle: a field that repeats its colours, before a background that does, shows the picture twice."""

    class Doubled(Ball):
        def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
            density, color = super().__call__(points)
            return density, torch.cat([color, color], 1)

    class Behind(Background):
        def forward(self, directions: Tensor) -> Tensor:
            return super().forward(directions).repeat(1, 2)

    behind = Behind(BackgroundConfig(), Streams(7, 0)).double()
    cfg, where = RenderConfig(samples_per_ray=16), camera_at(10, 5)
    once = render(Ball(), backdrop(), everywhere(), where, cfg, None)
    twice = render(Doubled(), behind, everywhere(), where, cfg, None)
    torch.testing.assert_close(twice.image, once.image.repeat(1, 2, 1, 1))
