import torch

from src.scene.background import BackgroundConfig
from src.scene.field import Field, FieldConfig, Precision
from src.scene.latent_field import (
    ColoredBackground,
    ColoredField,
    ColorMap,
    LatentBackground,
    LatentField,
    fit_colors,
)
from src.scene.levels import HashGridConfig
from src.scene.texture_field import TextureField
from src.streams import Streams

# Stable Diffusion's, as Latent-NeRF has it: rows are latent channels, columns red, green and blue.
STABLE_DIFFUSION = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)
CFG = FieldConfig(
    hidden=16,
    hash_grid=HashGridConfig(levels=3, log2_table=12, base_resolution=4, max_resolution=16),
    precision=Precision.float32,  # as textures always are, on processors too that are faster otherwise
)


def points(count: int = 60) -> torch.Tensor:
    return Streams(1, 0)("points").uniform(1, count, 3)[0] - 0.5


def test_a_latent_field_is_a_field_but_for_its_colours() -> None:
    """Oracle: the same density, bitwise; as many channels as asked for; numbers of both signs that learn."""
    plain, latent = Field(CFG, Streams(3, 0)), LatentField(CFG, 8, Streams(3, 0))
    with torch.no_grad():
        latent.encoding.table.normal_(generator=torch.Generator().manual_seed(0))
        plain.encoding.table.copy_(latent.encoding.table)
    density, latents = latent(points())
    assert torch.equal(density, plain(points())[0])
    assert torch.equal(density, latent.density(points()))
    assert latents.shape == (60, 8)
    assert latents.min() < 0 < latents.max()
    (density.sum() + latents.square().sum()).backward()
    seen = [parameter for parameter in latent.parameters() if parameter is not latent.colors.matrix]
    assert all(parameter.grad.abs().sum() > 0 for parameter in seen)


def test_a_latent_background_has_no_solid_colours() -> None:
    """Oracle: none is drawn in training; eight channels, not cut off at 0."""
    behind = LatentBackground(BackgroundConfig(), 8, Streams(0, 0))
    assert behind.draw(4, Streams(0, 1)("background")) is None
    directions = torch.nn.functional.normalize(points() + 0.01, dim=1)
    assert behind(directions).shape == (60, 8)
    assert behind(directions).min() < 0


def test_the_colour_map_is_latent_nerfs() -> None:
    """Oracle: (z A + 1) / 2 by hand for one latent; grey for none; beyond 1 it goes on, with a gradient."""
    colors = ColorMap(torch.tensor(STABLE_DIFFUSION))
    z = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0], [9, 9, 0, -9]])
    found = colors(z)
    torch.testing.assert_close(found[0], torch.tensor([0.649, 0.6035, 0.604]))
    torch.testing.assert_close(found[1], torch.full((3,), 0.5))
    assert found[2].min() > 1
    found.sum().backward()
    assert (colors.matrix.grad.abs().sum(0) > 0).all()


def test_a_colour_map_is_found_from_pairs() -> None:
    """Oracle: exactly linear pairs, whose latents are far from centred, give their matrix and offset, the
    ridge's thousandth apart.
    """
    matrix, offset = Streams(0, 0)("matrix").normal(1, 8, 3)[0], torch.tensor([0.4, -0.3, 0.1])
    z = Streams(0, 0)("z").normal(1, 500, 8)[0] + 2
    found = fit_colors(z, 0.5 * (z @ matrix + offset + 1))
    torch.testing.assert_close(found[0], matrix, rtol=0.01, atol=0.01)
    torch.testing.assert_close(found[1], offset, rtol=0, atol=0.03)  # 2 x 8 errors of the matrix add up
    shown = ColorMap(*found)(z)
    torch.testing.assert_close(shown, 0.5 * (z @ matrix + offset + 1), rtol=0, atol=0.01)


def test_a_map_from_before_it_had_an_offset_is_read() -> None:
    """Oracle: its matrix, and 0."""
    colors = ColorMap(torch.zeros(4, 3), torch.ones(3))
    colors.load_state_dict({"matrix": torch.tensor(STABLE_DIFFUSION)})
    assert torch.equal(colors.matrix, torch.tensor(STABLE_DIFFUSION))
    assert torch.equal(colors.offset, torch.zeros(3))


def test_a_coloured_scene_is_its_latents_through_the_map() -> None:
    """Oracle: the composition, point by point; densities untouched; solid colours are drawn again."""
    matrix = torch.tensor(STABLE_DIFFUSION)
    latent, behind = (
        LatentField(CFG, 4, Streams(3, 0)),
        LatentBackground(BackgroundConfig(), 4, Streams(3, 0)),
    )
    offset = torch.tensor([0.1, -0.2, 0.3])
    latent.colors.load_state_dict({"matrix": matrix, "offset": offset})
    seen = ColoredField(latent)
    density, color = seen(points())
    torch.testing.assert_close(color, 0.5 * (latent(points())[1] @ matrix + offset + 1))
    assert torch.equal(density, seen.density(points()))
    assert seen.radius == latent.radius
    colored = ColoredBackground(behind, latent.colors)
    torch.testing.assert_close(colored(points()), 0.5 * (behind(points()) @ matrix + offset + 1))
    assert colored.draw(4, Streams(0, 1)("background")) is not None


def test_a_texture_is_a_fields_colours() -> None:
    """Oracle: the field's own colours from its parameters, bitwise; channels as asked; all learn."""
    field, texture = Field(CFG, Streams(3, 0)), TextureField(CFG, 3, Streams(4, 0))
    with torch.no_grad():
        field.encoding.table.normal_(generator=torch.Generator().manual_seed(0))
    texture.load_state_dict({name: field.state_dict()[name] for name in texture.state_dict()})
    assert torch.equal(texture(points()), field(points())[1])
    material = TextureField(CFG, 5, Streams(4, 0))
    values = material(points().requires_grad_())
    assert values.shape == (60, 5)
    values.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in material.parameters())
