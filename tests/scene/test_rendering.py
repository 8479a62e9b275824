import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from src.errors import UserError
from src.scene import march
from src.scene.cameras import CameraConfig, Cameras, sample_cameras
from src.scene.field import Field, FieldConfig
from src.scene.levels import HashGridConfig
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.scene.rendering import (
    RenderConfig,
    Rendering,
    composite_weights,
    render,
)
from src.streams import Streams
from tests.scene.solids import Ball, backdrop, camera_at, everywhere

COUNTS = st.integers(1, 1024)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Compositing


@given(COUNTS, st.floats(0, 50), st.floats(1e-3, 10))
def test_a_slab_has_its_closed_form_for_any_number_of_bins(bins: int, density: float, length: float) -> None:
    """Oracle: opacity 1 - exp(-s L), to float64 rounding."""
    weights = composite_weights(double(density).expand(1, bins), double(length / bins).expand(1, bins))
    torch.testing.assert_close(weights.sum(), -double(-density * length).expm1()[0], rtol=1e-13, atol=1e-13)


def test_expected_depth_of_a_slab_converges_with_the_square_of_the_bins() -> None:
    """Oracle: (1 - (1 + s L) exp(-s L)) / (s (1 - exp(-s L))); doubling the bins quarters the error."""
    s, length = 2.0, 1.5
    expected = (1 - (1 + s * length) * math.exp(-s * length)) / (s * (1 - math.exp(-s * length)))
    errors = []
    for bins in (32, 64, 128):
        weights = composite_weights(double(s).expand(1, bins), double(length / bins).expand(1, bins))
        middle = (torch.arange(bins) + 0.5) * length / bins
        errors.append(abs((weights * middle).sum().item() / weights.sum().item() - expected))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.01)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.01)


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=20))
def test_splitting_bins_changes_nothing_and_all_shares_add_up_to_one(
    bins: list[tuple[float, float, float]],
) -> None:
    """Oracle: the two halves of a bin share what the bin had; shares plus transmittance are 1."""
    density, length, cut = torch.tensor(bins, dtype=torch.float64).T
    weights = composite_weights(density[None], length[None])
    halves = torch.stack([length * cut, length * (1 - cut)], -1).view(1, -1)
    split = composite_weights(density.repeat_interleave(2)[None], halves).view(-1, 2).sum(-1)
    torch.testing.assert_close(split, weights[0], rtol=1e-12, atol=1e-13)
    transmittance = (-(density * length).sum()).exp()
    torch.testing.assert_close(weights.sum() + transmittance, double(1.0)[0], rtol=1e-13, atol=1e-13)


@given(st.floats(1e-6, 1e6))
def test_units_of_length_do_not_matter(unit: float) -> None:
    """Oracle: weights depend on density times length alone."""
    density, length = double(0.1, 3, 0.7)[None], double(0.4, 0.1, 2)[None]
    scaled = composite_weights(density * unit, length / unit)
    torch.testing.assert_close(scaled, composite_weights(density, length), rtol=1e-12, atol=0)


def test_doubling_densities_in_closed_form() -> None:
    """Oracle: optical depths d = 2^k: share exp(-2^k) (exp(2^k) - 1) exp(-(2^k - 1)) (Zip-NeRF's test)."""
    depth = 2.0 ** torch.arange(5, dtype=torch.float64)
    expected = (depth.expm1().log() - 2 * depth + 1).exp()
    torch.testing.assert_close(composite_weights(depth[None], torch.ones_like(depth)[None])[0], expected)


def test_a_huge_density_takes_everything() -> None:
    """Oracle: one spike of 1."""
    weights = composite_weights(double(0, 1e30, 1e30, 5)[None], double(1, 1, 1, 1)[None])
    assert weights.tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_over_all_magnitudes(dtype: torch.dtype) -> None:
    """Oracle: finiteness, from 0 to 1e30 in density and in length."""
    for first in (0, 1e-10, 1, 1e10, 1e30):
        for length in (0, 1e-10, 1, 1e10, 1e30):
            density = torch.tensor([[first, 1.0, first, 0.0]], dtype=dtype, requires_grad=True)
            weights = composite_weights(density, torch.full((1, 4), length, dtype=dtype))
            weights.sum().backward()
            assert weights.isfinite().all()
            assert density.grad.isfinite().all()


# Pictures


@given(st.integers(1, 200), st.floats(0.1, 20))
def test_a_ball_that_fills_the_sphere_has_its_closed_form_for_any_number_of_bins(
    bins: int, density: float
) -> None:
    """Oracle: chord 2 sqrt(r^2 - p^2) at distance p from the centre: opacity 1 - exp(-s chord)."""
    camera = camera_at(30, 20)
    view = render(Ball(density), backdrop(), everywhere(), camera, RenderConfig(bins), None)
    origins, directions = camera.rays()
    along = (origins * directions).sum(-1)
    chord = 2 * (0.8**2 - (origins.square().sum(-1) - along.square())).clamp(min=0).sqrt()
    torch.testing.assert_close(view.opacity[:, 0], -(-density * chord).expm1(), rtol=1e-11, atol=1e-11)
    assert (chord == 0).any()  # some rays miss
    missed = view.depth[:, 0][chord == 0]
    torch.testing.assert_close(missed, torch.full_like(missed, 2.8))


def test_depth_and_its_variance_of_a_ball() -> None:
    """Oracle: the closed forms of an exponential cut off at the chord's end, at the central ray, by fine
    bins.
    """
    s, chord = 3.0, 1.6
    view = render(Ball(s), backdrop(), everywhere(), camera_at(0), RenderConfig(2000), None)
    gone = math.exp(-s * chord)
    first = (1 - (1 + s * chord) * gone) / (s * (1 - gone))
    second = (2 - (2 + 2 * s * chord + (s * chord) ** 2) * gone) / (s**2 * (1 - gone))
    assert view.depth[0, 0, 2, 2].item() == pytest.approx((1.2 + first) * (1 - gone) + 2.8 * gone, rel=1e-5)
    assert view.z_variance[0, 0, 2, 2].item() == pytest.approx(second - first**2, rel=1e-5)


def test_image_is_foreground_over_background() -> None:
    """Oracle: fg + (1 - opacity) map(direction), and the map alone where rays miss."""
    camera, background = camera_at(50, 10), backdrop()
    view = render(Ball(), background, everywhere(), camera, RenderConfig(40), None)
    behind = background(camera.rays().directions.view(-1, 3)).view(1, 5, 5, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(view.image, view.foreground + (1 - view.opacity) * behind)
    assert torch.equal(view.image[..., 0, 0], behind[..., 0, 0])
    assert (view.foreground <= view.opacity).all()


def test_a_solid_background_is_seen_where_it_was_drawn() -> None:
    """Oracle: the colours that the stream "background" hands out, in the corner that no ball covers."""
    draw = Streams(3, 4)
    camera = sample_cameras(CameraConfig(2.0, 2.0, 50.0, 50.0), 6, 5, draw("camera"))
    camera = Cameras(*(angle.double() for angle in camera[:4]), 5, 5)
    background = backdrop()
    view = render(Ball(), background, everywhere(), camera, RenderConfig(8), draw)
    solid = background.draw(6, Streams(3, 4)("background"))
    assert solid.chosen.any()
    assert not solid.chosen.all()
    corner = view.image[:, :, 0, 0]
    torch.testing.assert_close(corner[solid.chosen], solid.color[solid.chosen])
    behind = background(camera.rays().directions[:, 0, 0])
    torch.testing.assert_close(corner[~solid.chosen], behind[~solid.chosen])


def test_objects_appear_where_they_are() -> None:
    """Oracle: a ball at +y is right seen from the front, left from the back; at +z it is at the top."""
    for center, azimuth, row, column in (
        ((0, 0.5, 0), 0, 2, 3), ((0, 0.5, 0), 180, 2, 1), ((0, 0, 0.5), 77, 1, 2), ((0.5, 0, 0), 90, 2, 1),
    ):  # fmt: skip
        ball = Ball(30.0, 0.2, center=center)
        opacity = render(ball, backdrop(), everywhere(), camera_at(azimuth), RenderConfig(200), None).opacity
        assert divmod(int(opacity.argmax()), 5) == (row, column)


def test_views_do_not_depend_on_their_batch() -> None:
    """Oracle: each view alone, with its own number: equal to float64 rounding."""

    def view_of(views: range) -> Rendering:
        draw = Streams(1, 2, views.start)
        camera = sample_cameras(CameraConfig(), len(views), 6, draw("camera"), 3, views.start)
        camera = Cameras(*(angle.double() for angle in camera[:4]), 6, 6)
        return render(Ball(), backdrop(), everywhere(), camera, RenderConfig(20), draw)

    whole = view_of(range(3))
    for i in range(3):
        for one, all_views in zip(view_of(range(i, i + 1)), whole, strict=True):
            torch.testing.assert_close(one, all_views[i : i + 1], rtol=1e-12, atol=1e-12)


def test_evaluation_is_deterministic_and_training_jitters_by_step() -> None:
    """Oracle: bitwise equality of repeats; pictures of two steps differ, in the ball's coloured inside
    alone.
    """

    def image(draw: Streams | None) -> Rendering:
        return render(Ball(), backdrop(0.0), everywhere(), camera_at(10), RenderConfig(9), draw)

    assert torch.equal(image(None).image, image(None).image)
    assert torch.equal(image(Streams(0, 1)).image, image(Streams(0, 1)).image)
    assert not torch.equal(image(Streams(0, 1)).image, image(Streams(0, 2)).image)
    assert torch.equal(image(Streams(0, 1)).opacity, image(None).opacity)


def test_occupancy_prunes_without_a_trace() -> None:
    """Oracle: the same picture with nothing pruned, for cells that are really empty; fewer points are
    evaluated.
    """
    ball = Ball(5.0, 0.3)
    occupancy = OccupancyGrid(OccupancyConfig(resolution=16), 0.8, 0.01)
    n = torch.arange(16**3)
    centers = (torch.stack([n % 16, n // 16 % 16, n // 256], -1) + 0.5) * 0.1 - 0.8
    occupancy.bits = centers.norm(dim=-1) < 0.3 + 0.1 * math.sqrt(3) / 2
    counted = []

    class Counting(Ball):
        def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
            counted.append(len(points))
            return super().__call__(points)

    counting = Counting(5.0, 0.3)
    pruned = render(counting, backdrop(), occupancy, camera_at(20, 15, 16), RenderConfig(64), Streams(0, 0))
    full = render(ball, backdrop(), everywhere(), camera_at(20, 15, 16), RenderConfig(64), Streams(0, 0))
    for a, b in zip(pruned, full, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert counted[0] < 0.2 * 16 * 16 * 64


def test_what_nobody_sees_is_not_evaluated() -> None:
    """Oracle: the picture without an early stop, to the transmittance at which rays end."""
    evaluated = []

    class Counting(Ball):
        def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
            evaluated.append(len(points))
            return super().__call__(points)

    def picture(density: float, early_stop: float) -> Rendering:
        cfg = RenderConfig(96, early_stop=early_stop)
        return render(Counting(density), backdrop(), everywhere(), camera_at(20, 15, 8), cfg, Streams(0, 0))

    whole, stopped = picture(60.0, 0.0), picture(60.0, 1e-3)
    assert evaluated[1] < 0.3 * evaluated[0]
    for map_, expected in zip(stopped[:3], whole[:3], strict=True):  # distances are below 4
        torch.testing.assert_close(map_, expected, rtol=0, atol=4e-3)
    assert not torch.equal(stopped.image, whole.image)
    # A haze hides nothing: looking for ends does not pay, and nothing changes by a bit.
    for map_, expected in zip(picture(0.5, 1e-3), picture(0.5, 0.0), strict=True):
        assert torch.equal(map_, expected)


def small_scene() -> tuple[Field, OccupancyGrid]:
    grid = HashGridConfig(levels=3, features=2, log2_table=8, base_resolution=4, max_resolution=16)
    field = Field(FieldConfig(radius=0.8, hidden=8, hash_grid=grid), Streams(0, 0)).double()
    with torch.no_grad():
        field.encoding.table *= 1e4
    occupancy = OccupancyGrid(OccupancyConfig(resolution=8, threshold=0.1), 0.8, 0.05).double()
    occupancy.update(field, Streams(0, 0)("occupancy"), 0)
    return field, occupancy


def gradients(cfg: RenderConfig, resolution: int) -> list[Tensor]:
    """All maps, and the gradients of a loss that uses each of them, from two small float64 views."""
    (field, occupancy), background = small_scene(), backdrop()
    draw = Streams(5, 6)
    camera = sample_cameras(CameraConfig(), 2, resolution, draw("camera"))
    camera = Cameras(*(angle.double() for angle in camera[:4]), resolution, resolution)
    view = render(field, background, occupancy, camera, cfg, draw)
    sum(map_.square().mean() for map_ in view).backward()
    return [*view, *(p.grad for p in (*field.parameters(), *background.parameters()))]


@given(st.integers(20, 300), st.integers(1, 5), st.integers(1, 20), st.integers(60, 400))
def test_chunks_and_recomputation_change_neither_picture_nor_gradient(
    chunk_samples: int, resolution: int, bins: int, candidates: int
) -> None:
    """Oracle: the direct picture and gradient in one piece, to 1e-12 in float64."""
    direct = gradients(RenderConfig(bins, 10**6), resolution)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(march, "CANDIDATES", candidates)
        chunked = gradients(RenderConfig(bins, chunk_samples), resolution)
    for a, b in zip(chunked, direct, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_gradient_of_a_pixel_matches_central_differences() -> None:
    """Oracle: finite differences in float64 through the whole renderer, for the background and both heads."""
    (field, occupancy), background, camera = small_scene(), backdrop(), camera_at(40, 10, 3)

    def loss() -> Tensor:
        view = render(field, background, occupancy, camera, RenderConfig(12), None)
        return sum((map_.square().mean() for map_ in view), torch.zeros(()))

    loss().backward()
    for parameter in (field.density_out, field.color_hidden, field.encoding.table, background.first):
        flat, index = parameter.data.view(-1), int(parameter.grad.abs().argmax())
        values = []
        for step in (1e-5, -1e-5):
            flat[index] += step
            values.append(loss().item())
            flat[index] -= step
        slope = (values[0] - values[1]) / 2e-5
        assert parameter.grad.view(-1)[index].item() == pytest.approx(slope, rel=1e-5)


def test_nothing_in_sight_is_the_background_and_still_differentiable() -> None:
    """Oracle: opacity 0, gradients of zero, no error, for an occupancy without a single bit."""
    field, occupancy = small_scene()
    occupancy.bits.zero_()
    view = render(field, backdrop(1.0), occupancy, camera_at(0), RenderConfig(16), Streams(0, 0))
    view.image.sum().backward()
    assert (view.opacity == 0).all()
    assert all((p.grad == 0).all() for p in field.parameters())


@pytest.mark.parametrize(
    ("setting", "value"), [("samples_per_ray", 0), ("chunk_samples", -5), ("early_stop", 1.0)]
)
def test_impossible_settings_are_named(setting: str, value: int) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=f"render.{setting}={value}"):
        RenderConfig(**{setting: value})
