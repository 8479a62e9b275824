import math

import pytest
import torch
from torch.nn import functional

from src.errors import UserError
from src.scene.background import Background, BackgroundConfig
from src.scene.cameras import CameraConfig, Cameras, sample_cameras
from src.scene.field import FieldConfig
from src.scene.hash_grid import HashGridConfig
from src.scene.mesh import Mesh, edges, normal_consistency
from src.scene.mesh_rendering import MeshConfig, Surface, SurfaceNetwork, mesh_normals, render_mesh
from src.scene.shading import Light
from src.scene.skin import ShowingNormals, Textured
from src.scene.texture_field import TextureField
from src.streams import Streams
from tests.scene.meshes import ball, camera, disc_area

GRID = HashGridConfig(levels=2, log2_table=8, base_resolution=4, max_resolution=8)


def white(radius: float = 1.0) -> TextureField:
    """A texture of 1 everywhere, to rounding."""
    texture = TextureField(FieldConfig(radius=radius, hidden=4, hash_grid=GRID), 3, Streams(0, 0)).double()
    with torch.no_grad():
        texture.encoding.table.fill_(1.0)
        texture.color_hidden.fill_(1.0)
        texture.color_out.fill_(10.0)
    return texture


def behind() -> Background:
    return Background(BackgroundConfig(), Streams(0, 0)).double()


def test_maps_of_a_ball_are_its_own() -> None:
    """Oracle: the disc's area; the nearest point at 1.5 - 0.5; what is not opaque ends behind the cube; white
    times opacity in front of the background along each pixel's ray.
    """
    mesh, where = ball(0.5, 30), camera(20, 10)
    seen = render_mesh(mesh, edges(mesh), Textured(white()), behind(), where, None, 1.0).detach()
    assert float(seen.opacity.sum()) == pytest.approx(disc_area(0.5, where)[0], rel=0.01)
    assert float(seen.depth.min()) == pytest.approx(1.0, abs=0.005)
    assert float(seen.depth[seen.opacity == 0].min()) == pytest.approx(2.5)
    torch.testing.assert_close(seen.foreground, seen.opacity.expand(-1, 3, -1, -1))
    ground = (
        behind()
        .requires_grad_(False)(where.rays().directions.view(-1, 3))
        .view(1, 64, 64, 3)
        .permute(0, 3, 1, 2)
    )
    torch.testing.assert_close(seen.image, seen.foreground + (1 - seen.opacity) * ground)


def test_normals_are_seen_from_the_camera() -> None:
    """Oracle: in the middle of a ball towards the camera, at its sides to the right, above it up."""
    normals = mesh_normals(ball(0.5, 30), camera(123, 35))[0]
    middle = normals[:, 31:33, 31:33].mean((1, 2))
    torch.testing.assert_close(middle, torch.tensor([0, 0, 1.0]).double(), rtol=0, atol=0.05)
    assert normals[0, 32, 48] > 0.45
    assert normals[1, 16, 32] > 0.45


def test_a_lit_ball_is_bright_towards_the_light() -> None:
    """Oracle: the formula at the middle pixels with the light at the camera: 1; far from it, less; ambient
    light alone is even.
    """
    mesh, where = ball(0.5, 30), camera(0)
    origin = where.poses()[:, :, 3]
    lit = Light(origin, torch.tensor([0.1]).double(), torch.tensor([True]))
    skin = Textured(white(), lit)
    seen = render_mesh(mesh, edges(mesh), skin, behind(), where, None, 1.0).foreground[0, 0].detach()
    assert float(seen[31:33, 31:33].mean()) == pytest.approx(1.0, abs=0.01)
    # 16 pixels aside: the point of the sphere on that ray, its normal and the way to the light.
    slope = 16.5 / 32 * math.tan(math.radians(25))
    ahead = 1 / math.sqrt(1 + slope**2)
    distance = 1.5 * ahead - math.sqrt((1.5 * ahead) ** 2 - 1.5**2 + 0.5**2)
    cosine = (1.5 * ahead - distance) / 0.5
    assert float(seen[31:33, 48].mean()) == pytest.approx(0.1 + 0.9 * cosine, abs=0.02)


def test_normals_are_colours_before_black() -> None:
    """Oracle: seen from +x the middle of a ball looks along x, (1, 1/2, 1/2); nothing is black."""
    mesh, where = ball(0.5, 30), camera(0)
    seen = render_mesh(mesh, edges(mesh), ShowingNormals(), None, where, None, 1.0)
    middle = seen.image[0, :, 31:33, 31:33].mean((1, 2))
    torch.testing.assert_close(middle, torch.tensor([1.0, 0.5, 0.5]).double(), rtol=0, atol=0.02)
    assert not seen.image[0, :, 0, 0].any()


def clay(mesh: Mesh, where: Cameras, light: Light) -> torch.Tensor:
    skin = Textured(white().float(), light)
    seen = render_mesh(mesh, edges(mesh), skin, behind().float(), where, None, 1.0)
    return torch.cat([seen.foreground[:, :1], seen.opacity], 1)


def test_a_known_mesh_in_a_known_light_is_recovered_from_pictures() -> None:
    """Oracle: an ellipsoid off the middle, from a ball: its vertices come within a third of a cell of the
    ellipsoid on average, to first order in closed form; the pictures' error falls to a tenth.
    """
    made = Surface(16, 0.6)
    center, axes = torch.tensor([0.05, -0.03, 0.02]), torch.tensor([0.42, 0.3, 0.36])
    places = made.lattice.vertices
    truth = Surface(16, 0.6)
    with torch.no_grad():
        made.distance.copy_((places.norm(dim=1) - 0.28) / made.lattice.cell)
        truth.distance.copy_((((places - center) / axes).norm(dim=1) - 1) * 0.35 / made.lattice.cell)
    wanted = Mesh(*(each.detach() for each in truth.mesh()))
    cfg = CameraConfig(1.4, 1.5, 45.0, 45.0, -40.0, 60.0)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.12)

    def error() -> float:
        offset = (made.mesh().vertices.detach() - center) / axes
        slope = (offset / axes).norm(dim=1) / offset.norm(dim=1)
        return float(((offset.norm(dim=1) - 1) / slope).abs().mean())

    begun, errors = error(), []
    for step in range(50):
        optimizer.param_groups[0]["lr"] = 0.12 * 0.15 ** (step / 50)
        where = sample_cameras(cfg, 2, 24, Streams(0, step)("camera"))
        side = where.poses()[:, :, 3] + torch.tensor([[0.3, 0.5, 0.6]])
        light = Light(side, torch.full((2,), 0.1), torch.ones(2, dtype=torch.bool))
        mesh = made.mesh()
        apart = (clay(mesh, where, light) - clay(wanted, where, light)).square().mean()
        (apart + 0.002 * normal_consistency(mesh, edges(mesh))).backward()
        optimizer.step()
        optimizer.zero_grad()
        errors.append(float(apart.detach()))
    assert error() < min(made.lattice.cell / 3, begun / 3)
    assert sum(errors[-5:]) < 0.1 * sum(errors[:5])


def test_what_pulls_at_a_vertex_pulls_at_those_around_it() -> None:
    """Oracle: the same surface bit for bit; the gradient of one vertex is a box of 27 equal parts, blurred
    again with the same weights, which add up to 1.
    """
    plain, spread = Surface(8, 0.6), Surface(8, 0.6, spread=2)
    assert torch.equal(plain.mesh().vertices, spread.mesh().vertices)
    spread._together(spread.distance).view(9, 9, 9)[4, 4, 4].backward()
    assert spread.distance.grad is not None
    found = spread.distance.grad.view(9, 9, 9)
    line = torch.tensor([0, 0, 1, 2, 3, 2, 1, 0, 0]) / 9
    torch.testing.assert_close(found, line[:, None, None] * line[:, None] * line)


def test_a_network_is_added_to_the_ball() -> None:
    """Oracle: near 0 at first (the table within 1e-4); where every entry is 1, the closed form of its two
    layers, so a ball smaller by as much; only the network has gradients.
    """
    network = SurfaceNetwork(FieldConfig(radius=0.6, hidden=4, hash_grid=GRID), Streams(0, 0))
    made = Surface(16, 0.6, ball=0.4, network=network)
    radii = made.mesh().vertices.norm(dim=1)
    ball = Surface(16, 0.6, ball=0.4).mesh().vertices.norm(dim=1)
    torch.testing.assert_close(radii, ball, rtol=0, atol=1e-3)
    with torch.no_grad():
        for part in network.parameters():
            part.fill_(0.0)
        network.encoding.table.fill_(1.0)
        network.hidden.fill_(0.25)
        network.out[0].fill_(0.025 / network.encoding.output_size)
    assert 4 * 0.25 * 0.025 == 0.025  # hidden units x weight x output: what the distance grows by
    torch.testing.assert_close(made.mesh().vertices, Surface(16, 0.6, ball=0.375).mesh().vertices)
    made.mesh().vertices.sum().backward()
    assert {name for name, each in made.named_parameters() if each.grad is not None} == {
        "network.encoding.table",
        "network.hidden",
        "network.out",
    }


def test_an_empty_mesh_is_the_background() -> None:
    """Oracle: no opacity, and finite colours."""
    made = Surface(4, 0.6)
    torch.nn.init.ones_(made.distance)
    where, mesh = camera(0, size=8), made.mesh()
    float_camera = Cameras(*(each.float() for each in where[:4]), 8, 8)  # type: ignore[arg-type, call-arg]
    skin = Textured(white().float())
    seen = render_mesh(mesh, edges(mesh), skin, behind().float(), float_camera, None, 1.0)
    assert not seen.opacity.any()
    assert functional.mse_loss(seen.image, torch.zeros_like(seen.image)).isfinite()


@pytest.mark.parametrize(("setting", "value"), [("cells", 2), ("laplacian", -1.0)])
def test_impossible_settings_are_named(setting: str, value: float) -> None:
    """Oracle: the error names the setting and its value."""
    with pytest.raises(UserError, match=f"mesh.{setting}={value}"):
        MeshConfig(**{setting: value})
