"""src/step.py's step against the same step written a second time, slowly and from the papers.

The second writing shares with the first only the parameters, the refresh of the occupancy grid, the random
draws, and the bare networks of diffusers; everything is float64.
"""

import copy
import math
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from src.assemble import make_guide
from src.config import LOSSES, GeneratorKind, RunConfig
from src.generators.latents import Latents
from src.generators.nerf import NeRF
from src.generators.source import Source
from src.guidance.critic import Critic
from src.guidance.gaussian import WordTokenizer
from src.guidance.losses import DDS, VSD, DistillationLoss
from src.guidance.prior import Prior
from src.guidance.schedule import ScheduleConfig
from src.guidance.terms import ScoreTerms
from src.model import Model
from src.scene import march
from src.scene.background import Background, BackgroundConfig
from src.scene.cameras import CameraConfig, Cameras, sample_cameras
from src.scene.field import Field, FieldConfig
from src.scene.levels import HashGridConfig
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.scene.regularizers import RegularizerConfig
from src.scene.rendering import RenderConfig
from src.step import Run, take_step
from src.streams import Streams

DOUBLE = torch.float64
SOURCE_PROMPT = "a wooden lion"
# The grid is refreshed; views of back, front and side, before the map and before a plain colour.
SEED, STEP = 0, 32
BINS, CELLS, RADIUS, TOKENS = 12, 8, 0.8, 20
PENALTIES = RegularizerConfig(sparsity=10.0, opaque=3.0, opaque_start_step=0, z_variance=2.0)
NEGATIVE = (
    "unrealistic, blurry, low quality, out of focus, ugly, low contrast, dull, dark, low-resolution, gloomy"
)
# Rendered smaller than the prior's 8x8 pixels and larger; both sides of the paper's cut at 200, and the cut;
# and the step's own t.
CASES = {"below": (6, [57]), "above": (6, [640]), "mixed": (10, [199, 200, 640]), "drawn": (6, None)}


# --- a model and a prior small enough to be computed twice --------------------------------------------------


class WordEncoder(nn.Module):
    """A text encoder that looks words up."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(max_position_embeddings=TOKENS, hidden_size=8)
        self.words = nn.Parameter(torch.randn(97, 8))

    def forward(self, ids: Tensor) -> tuple[Tensor]:
        return (self.words[ids % 97],)


@dataclass
class Networks:
    """The bare parts of a latent diffusion model."""

    tokenizer: WordTokenizer
    text_encoder: WordEncoder
    vae: Any
    unet: Any
    scheduler: Any


@pytest.fixture(scope="module")
def networks() -> Networks:
    """8x8 pixels, 4x4 latents, random weights."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Networks(
            WordTokenizer(),
            WordEncoder().double(),
            AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                block_out_channels=(8, 8),
                layers_per_block=1,
                norm_num_groups=4,
                latent_channels=4,
                scaling_factor=0.7,
            ).double(),
            UNet2DConditionModel(
                sample_size=4,
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                block_out_channels=(8, 8),
                layers_per_block=1,
                norm_num_groups=4,
                cross_attention_dim=8,
                attention_head_dim=2,
            ).double(),
            DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        )


def scene(seed: int = SEED) -> Model:
    """A field with one dense and two hashed levels, and a grid older than the field."""
    grid = HashGridConfig(levels=3, features=2, log2_table=8, base_resolution=4, max_resolution=16)
    blob = {"blob_density": 12.0, "blob_radius": 0.5, "density_gain": 1.3, "density_bias": -0.2}
    field = Field(FieldConfig(RADIUS, hidden=6, color_gain=1.2, hash_grid=grid, **blob), Streams(seed, 0))
    background = Background(BackgroundConfig(0.5, hidden=5), Streams(seed, 0))
    occupancy = OccupancyGrid(OccupancyConfig(CELLS, decay=0.5, threshold=0.1), RADIUS, 0.1)
    model = Model(field.double(), background.double(), occupancy.double())
    occupancy.update(field, Streams(SEED, 0)("occupancy"), 0)
    with torch.no_grad():
        field.encoding.table *= 1e4  # of order one, as after some training
    return model


def refreshed(model: Model) -> Model:
    """The scene with the grid as a step at STEP should render it: neither stale, nor full, nor empty."""
    stale = model.occupancy.bits.clone()
    model.occupancy.update(model.field, Streams(SEED, STEP)("occupancy"), STEP)
    assert 0.1 < model.occupancy.bits.double().mean() < 0.9
    assert (stale != model.occupancy.bits).any()
    return model


def cameras(batch: int, resolution: int) -> Cameras:
    """Views that are drawn in float32 and seen in float64."""
    drawn = sample_cameras(CameraConfig(), batch, resolution, Streams(SEED, STEP)("camera"))
    return Cameras(*(angle.double() for angle in drawn[:4]), resolution, resolution)


# --- the step as src/step.py takes it -----------------------------------------------------------------------


@dataclass
class Step:
    """What a step leaves: its latents, its timesteps, and every parameter's gradient."""

    latents: Tensor
    t: Tensor
    gradients: dict[str, Tensor]


def gradients_of(model: Model) -> dict[str, Tensor]:
    named = [*model.field.named_parameters(), *model.background.named_parameters()]
    return {name: parameter.grad.clone() for name, parameter in named}


class Noting(torch.optim.SGD):
    """An optimiser that moves nothing and notes the gradients it is given."""

    def __init__(self, model: Model) -> None:
        super().__init__([p for module in model for p in module.parameters()], lr=0.0)
        self.model = model

    def step(self) -> None:
        self.gradients = gradients_of(self.model)


def made(name: str) -> DistillationLoss:
    return LOSSES[name]()


def settings(loss: DistillationLoss, batch: int, resolution: int) -> RunConfig:
    """The paper's settings but for the size of things; at STEP t_max is half-way between its two values."""
    cfg = RunConfig(
        prompt="a ceramic lion",
        source="a/run" if loss == DDS() else None,
        preset="paper",
        seed=SEED,
        batch_size=batch,
        loss=loss,
        render=RenderConfig(BINS, chunk_samples=200),
        regularizer=PENALTIES,
    )
    cfg.schedule = ScheduleConfig(STEP - 5, resolution, resolution, anneal_steps=10)
    return cfg


def fast_step(
    networks: Networks, loss: DistillationLoss, times: list[int] | None, resolution: int
) -> tuple[Step, ScoreTerms]:
    """src/step.py's step, the cameras given in float64; and t, unless it shall draw its own."""
    prior, model = Prior(**vars(copy.deepcopy(networks))), scene()
    batch = len(times) if times else 2
    cfg, optimizer = settings(loss, batch, resolution), Noting(model)
    before = Source(NeRF(cfg, scene(SEED + 1), prior), SOURCE_PROMPT) if loss == DDS() else None
    guide = make_guide(cfg, prior, before)
    if guide.critic is not None:
        after_some_training(guide.critic)
    run = Run(cfg, NeRF(cfg, model, prior), optimizer, guide, before.generator if before else None)
    t, camera = torch.tensor(times) if times else None, cameras(batch, resolution)
    done = take_step(run, STEP, Streams(SEED, STEP), lambda _: nullcontext(), t, camera)
    return Step(done.seen.latents, done.t, optimizer.gradients), done.terms


def after_some_training(critic: Critic) -> Critic:
    """What begins at zero gets numbers, so that the critic is not the prior; and it stays as it is."""
    with torch.no_grad():
        for name, parameter in critic.named_parameters():
            drawn = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name)))
            parameter.copy_(0.1 * drawn)
    critic.optimizer.param_groups[0]["lr"] = 0.0
    return critic


# --- the same step, plainly ---------------------------------------------------------------------------------


def plain_rays(camera: Cameras) -> tuple[Tensor, Tensor, Tensor]:
    """Origins, unit directions and view numbers of all rays, view by view, row by row from the top."""
    origins, directions, views = [], [], []
    size = camera.height
    for view in range(len(camera.azimuth)):
        e, a, distance, fov = (float(angle[view]) for angle in camera[:4])
        place = torch.tensor(
            [math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)], dtype=DOUBLE
        )
        forward = -place
        right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=DOUBLE))
        right = right / right.norm()
        up = torch.linalg.cross(right, forward)
        half = math.tan(fov / 2)  # the picture's half height one unit ahead
        for row in range(size):
            for column in range(size):
                x, y = (2 * (column + 0.5) / size - 1) * half, (1 - 2 * (row + 0.5) / size) * half
                ray = forward + x * right + y * up
                origins.append(distance * place)
                directions.append(ray / ray.norm())
                views.append(view)
    return torch.stack(origins), torch.stack(directions), torch.tensor(views)


def plain_encoding(points: Tensor, field: Field) -> Tensor:
    """Trilinear look-up of every level: tiny-cuda-nn's positions, rows and hash, corner by corner."""
    encoded, growth = [], (16 / 4) ** (1 / 2)
    for number, level in enumerate(field.encoding.levels):
        scale = 4 * growth**number - 1
        side = math.ceil(scale) + 1
        position = (points / RADIUS + 1) / 2 * scale + 0.5
        cell = position.floor().long()
        (fx, fy, fz), (cx, cy, cz) = (position - cell).T, cell.T
        blend = torch.zeros(len(points), 2, dtype=DOUBLE)
        for dx in (0, 1):
            for dy in (0, 1):
                for dz in (0, 1):
                    x, y, z = cx + dx, cy + dy, cz + dz
                    row = x + side * (y + side * z)
                    if side**3 > 2**8:
                        row = (x ^ y * 2_654_435_761 ^ z * 805_459_861) % 2**8
                    share = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                    blend = blend + share[:, None] * field.encoding.table[level.first + row]
        encoded.append(blend)
    return torch.cat(encoded, 1)


def plain_field(points: Tensor, field: Field) -> tuple[Tensor, Tensor]:
    """Density and colour of the two heads, by matrix products."""
    encoded = plain_encoding(points, field)
    raw = (encoded @ field.density_hidden.T).clamp(min=0) @ field.density_out.T
    distance = (points * points).sum(1).sqrt()
    density = torch.log1p(torch.exp(1.3 * raw[:, 0] + 12.0 * (1 - distance / 0.5) - 0.2))
    color = (encoded @ field.color_hidden.T).clamp(min=0) @ field.color_out.T
    return density, 1 / (1 + torch.exp(-1.2 * color))


def plain_background(directions: Tensor, background: Background) -> Tensor:
    """Spherical harmonics up to degree 2 through the map's three layers."""
    x, y, z = directions.T
    third, fifth = math.sqrt(3 / (4 * math.pi)), math.sqrt(15 / (4 * math.pi))
    harmonics = [torch.full_like(x, math.sqrt(1 / (4 * math.pi))), third * y, third * z, third * x]
    harmonics += [fifth * x * y, fifth * y * z, math.sqrt(5 / (16 * math.pi)) * (3 * z * z - 1)]
    harmonics += [fifth * x * z, fifth / 2 * (x * x - y * y)]
    hidden = (torch.stack(harmonics, 1) @ background.first.T).clamp(min=0)
    hidden = (hidden @ background.second.T).clamp(min=0)
    return 1 / (1 + torch.exp(-hidden @ background.out.T))


def plain_render(model: Model, camera: Cameras) -> tuple[Tensor, Tensor]:
    """The picture [B, 3, H, W], and what the penalties add up to: bin after bin along all rays at once."""
    origins, directions, views = plain_rays(camera)
    batch, size = len(camera.azimuth), camera.height
    jitter = Streams(SEED, STEP)("jitter").uniform(batch, size * size).double().flatten()
    along = (origins * directions).sum(1)
    half_chord = (along**2 - (origins * origins).sum(1) + RADIUS**2).clamp(min=0).sqrt()
    near, far = -along - half_chord, -along + half_chord  # cameras stand outside the sphere
    assert (near > 0).all()

    through = torch.ones(len(near), dtype=DOUBLE)
    foreground = torch.zeros(len(near), 3, dtype=DOUBLE)
    shares, middles = [], []
    for number in range(BINS):
        start = near + number * 2 * RADIUS / BINS
        length = (torch.minimum(far, start + 2 * RADIUS / BINS) - start).clamp(min=0)
        points = origins + (start + jitter * length)[:, None] * directions
        ix, iy, iz = ((points / RADIUS + 1) / 2 * CELLS).floor().long().clamp(0, CELLS - 1).T
        seen = model.occupancy.bits.view(CELLS, CELLS, CELLS)[iz, iy, ix] & (length > 0)
        points = torch.where(
            seen[:, None], points, torch.zeros_like(points)
        )  # others may lie outside the cube
        density, color = plain_field(points, model.field)
        passed = torch.where(seen, torch.exp(-density * length), torch.ones_like(length))
        share = through * (1 - passed)
        foreground = foreground + share[:, None] * color
        through = through * passed
        shares.append(share)
        middles.append(start + length / 2)

    solid = Streams(SEED, STEP)("background").uniform(batch, 4).double()[views]
    behind = plain_background(directions, model.background)
    behind = torch.where(solid[:, :1] < 0.5, solid[:, 1:], behind)
    image = (foreground + through[:, None] * behind).view(batch, size, size, 3).permute(0, 3, 1, 2)
    return image, plain_penalty(1 - through, torch.stack(shares), torch.stack(middles))


def plain_penalty(opacity: Tensor, shares: Tensor, middles: Tensor) -> Tensor:
    """Sparsity, opaqueness and z-variance, in threestudio's weights for 64x64x4 latents."""
    o = opacity.clamp(1e-3, 1 - 1e-3)
    entropy = -(o * o.log() + (1 - o) * (1 - o).log()).mean()
    solid = opacity > 0.5
    assert solid.any()
    normed = shares[:, solid] / shares[:, solid].sum(0)
    mean = (normed * middles[:, solid]).sum(0)
    variance = (normed * (middles[:, solid] - mean) ** 2).sum(0).mean()
    total = 10 * (opacity**2 + 0.01).sqrt().mean() + 3 * entropy + 2 * variance
    return total * 4 * 4 * 4 / (64 * 64 * 4)


def plain_resize(old: int, new: int) -> Tensor:
    """Bilinear interpolation as a matrix [new, old]: triangles, as wide as the coarser of the two grids."""
    width = max(1.0, old / new)
    matrix = torch.zeros(new, old, dtype=DOUBLE)
    for i in range(new):
        center = (i + 0.5) * old / new
        for j in range(old):
            matrix[i, j] = max(0.0, 1 - abs(j + 0.5 - center) / width)
    return matrix / matrix.sum(1, keepdim=True)


def plain_latents(networks: Networks, image: Tensor) -> Tensor:
    """Mean plus deviation times the draw of the posterior, times the scaling factor."""
    resize = plain_resize(image.shape[-1], 8)
    moments = networks.vae.quant_conv(networks.vae.encoder((resize @ image @ resize.T) * 2 - 1))
    mean, log_variance = moments[:, :4], moments[:, 4:]
    draw = Streams(SEED, STEP)("vae").normal(*mean.shape).double()
    return 0.7 * (mean + torch.exp(log_variance / 2) * draw)


def plain_times() -> Tensor:
    """Half-way from 980 to 500, two integers from [20, 740], every one as likely."""
    uniform = Streams(SEED, STEP)("t").uniform(2).double()
    return (20 + torch.floor(uniform * 721)).long()


def plain_view_word(azimuth: float) -> str:
    """The closest public config's words: 30 degrees around front and back; nobody looks from above."""
    turn = abs(math.degrees(azimuth))  # -180 ... 180
    return "front" if turn < 30 else "back" if turn > 150 else "side"


def plain_pose(camera: Cameras, view: int) -> Tensor:
    """A camera-to-world matrix row by row: right, up and backward, where it stands, and 0 0 0 1."""
    e, a, distance, _ = (float(angle[view]) for angle in camera[:4])
    back = [math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)]
    right = [-math.sin(a), math.cos(a), 0.0]
    up = [-math.sin(e) * math.cos(a), -math.sin(e) * math.sin(a), math.cos(e)]
    rows = [[right[i], up[i], back[i], distance * back[i]] for i in range(3)]
    return torch.tensor([*rows, [0.0, 0.0, 0.0, 1.0]], dtype=DOUBLE).flatten()


def plain_critic(networks: Networks, pose: Tensor) -> Any:
    """The UNet with B A added to its attention's matrices, and a hidden layer of the pose to its time."""
    prior = Prior(**vars(copy.deepcopy(networks)))
    critic = after_some_training(make_guide(settings(VSD(), 1, 8), prior).critic)
    unet = copy.deepcopy(networks.unet)
    for name, layer in unet.named_modules():
        path = f"{name}.lora_{{}}.default.weight".replace(".", "/")
        if path.format("A") in critic.lora:
            layer.weight += critic.lora[path.format("B")] @ critic.lora[path.format("A")]
    hidden = pose @ critic.pose_in.T
    beside = (hidden / (1 + torch.exp(-hidden))) @ critic.pose_out.T
    unet.time_embedding.register_forward_hook(lambda _module, _inputs, time: time + beside)
    return unet


@torch.no_grad()
def plain_direction(
    networks: Networks,
    name: str,
    z: Tensor,
    noise: Tensor,
    t: int,
    azimuth: float | None,
    pose: Tensor | None = None,
    before: Tensor | None = None,
) -> Tensor:
    """What each paper adds to the gradient of one sample's latents [1, 4, 4, 4]."""
    time = torch.tensor([t])
    noised = networks.scheduler.add_noise(z, noise, time)
    squared = float(networks.scheduler.alphas_cumprod[t])

    def predict(prompt: str, at: Tensor = noised, unet: Any = networks.unet) -> Tensor:
        fill = {"padding": "max_length", "truncation": True, "max_length": TOKENS}
        ids = networks.tokenizer([prompt], return_tensors="pt", **fill).input_ids
        return unet(at, time, networks.text_encoder(ids)[0]).sample

    view = "" if azimuth is None else f", {plain_view_word(azimuth)} view"
    y, null = f"a ceramic lion{view}", ""
    weight = 1 - squared
    if name == "nfsd":  # eq. 6 and 7
        condition = predict(y) - predict(null)
        domain = predict(null) if t < 200 else predict(null) - predict(NEGATIVE)
        return weight * (domain + 7.5 * condition)
    if name == "sds":  # eq. 1 and 2
        return weight * (predict(null) + 100 * (predict(y) - predict(null)) - noise)
    if name == "vsd":  # eq. 10; ProlificDreamer's critic reads no view words
        fake = predict("a ceramic lion", unet=plain_critic(networks, pose))
        return weight * (predict(null) + 7.5 * (predict(y) - predict(null)) - fake)
    if name == "dds":  # eq. 8: the source's picture, under the same noise, with the source's prompt
        was = networks.scheduler.add_noise(before, noise, time)
        now = predict(null) + 7.5 * (predict(y) - predict(null))
        return now - predict(null, was) - 7.5 * (predict(f"{SOURCE_PROMPT}{view}", was) - predict(null, was))
    if name == "csd":  # its triple guidance: cond 1, null -1, times the scale
        return weight * (7.5 * predict(y) - 7.5 * predict(null))
    # SJC counts noise in units of the clean latents: z + s n, denoised to D; the gradient is (z - D) / s.
    assert name == "sjc"
    s = math.sqrt((1 - squared) / squared)
    drifted = z + s * noise
    at = drifted / math.sqrt(1 + s**2)
    denoised = drifted - s * (predict(null, at) + 100 * (predict(y, at) - predict(null, at)))
    return (z - denoised) / s


def plain_step(networks: Networks, name: str, times: list[int] | None, resolution: int) -> Step:
    """The whole step again; the gradient enters as half a squared distance to a fixed target."""
    t = torch.tensor(times) if times else plain_times()
    model, camera = refreshed(scene()), cameras(len(t), resolution)
    image, penalty = plain_render(model, camera)
    latents = plain_latents(networks, image)
    noise = Streams(SEED, STEP)("noise").normal(*latents.shape).double()
    before = latents
    if name == "dds":
        before = plain_latents(networks, plain_render(refreshed(scene(SEED + 1)), camera)[0])
    total = penalty
    for i in range(len(t)):
        z = latents[i : i + 1]
        args = (name, z.detach(), noise[i : i + 1], int(t[i]), float(camera.azimuth[i]))
        args += (plain_pose(camera, i), before[i : i + 1].detach())
        target = z.detach() - plain_direction(networks, *args)
        total = total + ((z - target) ** 2).sum() / 2 / len(t)
    total.backward()
    return Step(latents.detach(), t, gradients_of(model))


# --- the two against each other -----------------------------------------------------------------------------


def close(actual: Tensor, expected: Tensor) -> None:
    """Equal to 1e-10 of the largest number: some 1e4 roundings of float64, 1e-16 each, a few times over."""
    assert expected.abs().max() > 0
    scale = float(expected.abs().max())
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10 * scale)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LOSSES)
def test_a_whole_step_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, networks: Networks, name: str, case: str
) -> None:
    """Oracle: the step written plainly above, from the rays to the gradient of every parameter; the fast one
    goes through several chunks of rays, evaluated again on the way back.
    """
    monkeypatch.setattr(march, "CANDIDATES", 300)
    resolution, times = CASES[case]
    fast, _ = fast_step(networks, made(name), times, resolution)
    plain = plain_step(networks, name, times, resolution)
    assert fast.t.tolist() == plain.t.tolist()
    close(fast.latents, plain.latents)
    assert fast.gradients.keys() == plain.gradients.keys()
    for parameter, gradient in plain.gradients.items():
        close(fast.gradients[parameter], gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_calls_the_unet_once_with_the_rows_that_its_loss_reads(networks: Networks, name: str) -> None:
    """Oracle: by hand: prompt and null for every sample, and NFSD's p_neg where t >= 200, in one batch."""
    calls: list[Tensor] = []
    hook = networks.unet.register_forward_pre_hook(lambda _, arguments: calls.append(arguments[1]))
    resolution, times = CASES["mixed"]
    _, terms = fast_step(networks, made(name), times, resolution)
    hook.remove()
    expected = [199, 200, 640, 199, 200, 640] + ([200, 640] if name == "nfsd" else [])
    expected += [199, 200, 640] * 2 * (name == "dds")
    critic = calls.pop(0).tolist() if name == "vsd" else []
    learning = calls.pop().tolist() if name == "vsd" else []  # of the whole range, and each its own
    assert [call.tolist() for call in calls] == [expected]
    assert critic == ([199, 200, 640] if name == "vsd" else [])
    assert len(set(learning)) == len(critic)
    assert terms.unet_rows == len(expected) + len(critic)


@pytest.mark.parametrize(("name", "correlation"), [("sds", 0.0), ("nfsd", 0.0), ("vsd", 0.0), ("nfsd", 0.4)])
def test_a_step_of_latents_is_the_loss_alone(networks: Networks, name: str, correlation: float) -> None:
    """Oracle: the plain directions of a prompt without view words, a B-th each; nothing else is in it.

    Correlated noises are the step's own and step 0's, added so that variances do.
    """
    prior = Prior(**vars(copy.deepcopy(networks)))
    cfg = settings(made(name), 3, 8)
    cfg.schedule.noise_correlation = correlation
    cfg.generator = GeneratorKind.latents
    generator = Latents(cfg, prior).double()
    guide, start = make_guide(cfg, prior), generator.latents.detach().clone()
    if guide.critic is not None:
        after_some_training(guide.critic)
    noted: list[Tensor] = []
    generator.latents.register_hook(noted.append)
    run = Run(cfg, generator, torch.optim.SGD(generator.groups(), lr=0.0), guide)
    times = torch.tensor([57, 200, 640])
    take_step(run, STEP, Streams(SEED, STEP), lambda _: nullcontext(), times)
    fresh, throughout = Streams(SEED, STEP)("noise"), Streams(SEED, 0)("noise/run")
    shares = (1 - correlation) ** 0.5, correlation**0.5
    noise = (shares[0] * fresh.normal(*start.shape) + shares[1] * throughout.normal(*start.shape)).double()
    nowhere = torch.zeros(16, dtype=DOUBLE)
    for i, t in enumerate(times.tolist()):
        one = slice(i, i + 1)
        plain = plain_direction(networks, name, start[one], noise[one], t, None, nowhere)
        close(noted[0][one], plain / 3)
