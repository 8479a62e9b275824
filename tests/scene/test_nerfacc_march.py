import nerfacc
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nerfacc import OccGridEstimator
from torch import Tensor

from src.run import accelerators
from src.scene.background import Background, BackgroundConfig
from src.scene.cameras import CameraConfig, sample_cameras
from src.scene.field import Field, FieldConfig, Precision
from src.scene.levels import HashGridConfig
from src.scene.march import March, Samples, clip_to_sphere
from src.scene.nerfacc_march import NerfaccMarch, composite
from src.scene.occupancy import OccupancyConfig, OccupancyGrid
from src.scene.rendering import (
    RenderBackend,
    RenderConfig,
    composite_weights,
    render,
)
from src.scene.rendering import composite as our_composite
from src.streams import Streams
from tests.runs import settings
from tests.scene import kernels

RADIUS, CELLS = 0.8, 8
ALL = slice(0, 3 * 49)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """nerfacc as it is, but for the two kernels that need CUDA."""
    monkeypatch.setattr(nerfacc, "traverse_grids", kernels.traverse_grids)
    monkeypatch.setattr(nerfacc, "render_weight_from_density", kernels.render_weight_from_density)


def both_marches(
    bins: int, jittered: bool, share: float, seed: int, device: str = "cpu"
) -> tuple[March, NerfaccMarch]:
    """The same rays into the same cells, of which this share is occupied."""
    draw = Streams(seed, 0)
    occupancy = OccupancyGrid(OccupancyConfig(resolution=CELLS), RADIUS, 0.01)
    occupancy.bits = draw("bits").uniform(1, CELLS**3)[0] < share
    camera = sample_cameras(
        CameraConfig(0.5, 2.0, 40.0, 60.0), 3, 7, draw("camera")
    )  # some inside the sphere
    jitter = draw("jitter").uniform(3, 49).view(-1) if jittered else None
    rays = (camera.poses()[:, :, 3], camera.rays().directions.reshape(-1, 3), jitter)
    there = [None if tensor is None else tensor.to(device) for tensor in rays]
    reach = (draw("reach").uniform(1, 3 * 49)[0] * 4).to(device)  # of some rays, before the sphere's end
    given = (*there, 49, RADIUS, bins, occupancy.to(device), reach)
    return March(*given), NerfaccMarch(*given)


def by_bin(march: March, samples: Samples) -> tuple[Tensor, Tensor]:
    """Which bins of which rays have a sample [rays, bins], and its middle, length and point, or zeros."""
    near, _ = clip_to_sphere(march.origins[march.view(ALL)], march.directions, RADIUS)
    start = samples.middle - samples.length / 2 - near[samples.ray]
    where = (samples.ray, (start * march.bins / (2 * RADIUS)).round().long())
    numbers = torch.zeros(len(near), march.bins, 5, device=near.device)
    numbers[where] = torch.cat([samples.middle[:, None], samples.length[:, None], samples.points], 1)
    present = numbers[..., 1] > 0
    assert present.sum() == len(start)  # none twice
    return present, numbers


def check_survivors(march: March, theirs: NerfaccMarch) -> None:
    """The same samples, but for those at a cell's border and those of the last bins of rays."""
    found, their_numbers = by_bin(march, theirs.survivors(ALL))
    expected, our_numbers = by_bin(march, march.survivors(ALL))
    both, either = found & expected, found | expected
    # Bins are worked out by our formula; only the roundings of a product differ.
    torch.testing.assert_close(their_numbers[both], our_numbers[both], rtol=0, atol=1e-6)
    cells = (torch.where(found[..., None], their_numbers, our_numbers)[..., 2:] / RADIUS + 1) / 2 * CELLS
    at_a_border = (cells - cells.round()).abs().amin(-1) < 1e-3  # up to 512 steps, each rounded by 1e-7
    last = either & (either.flip(1).cumsum(1).flip(1) == 1)
    assert ((found == expected) | at_a_border | last).all()
    assert both.sum() > 0.98 * either.sum() - 147
    assert torch.equal(theirs.survivors_per_ray(ALL), found.sum(1))


@pytest.mark.usefixtures("stand_ins")
@given(st.integers(16, 300), st.booleans(), st.sampled_from([0.3, 1.0]), st.integers(0, 2**32))
def test_nerfaccs_samples_are_ours(bins: int, jittered: bool, share: float, seed: int) -> None:
    """Oracle: our own march, with nerfacc's kernel stated apart and held against its signature."""
    check_survivors(*both_marches(bins, jittered, share, seed))


@pytest.mark.usefixtures("stand_ins")
def test_nothing_pruned_is_nothing_lost() -> None:
    """Oracle: our own march, bin by bin, but for last bins whose whole would reach out of the cube."""
    march, theirs = both_marches(400, True, 1.0, 5)
    found, _ = by_bin(march, theirs.survivors(ALL))
    expected, numbers = by_bin(march, march.survivors(ALL))
    at_the_face = numbers[..., 2:].abs().amax(-1) > RADIUS * (1 - 2 / 400)
    assert ((found == expected) | at_the_face).all()
    assert not (found & ~expected).any()
    assert (found & ~at_the_face).sum() > 10_000


def packed_samples(device: str = "cpu") -> tuple[Samples, Tensor, Tensor, int, Tensor]:
    """Samples of six rays, two of which have none, with densities from nothing to opaque."""
    draw, counts = Streams(3, 0), torch.tensor([5, 0, 9, 1, 0, 30])
    ray = torch.arange(6).repeat_interleave(counts)
    length = draw("length").uniform(1, 45)[0] * 0.1
    middle = 1 + length.cumsum(0) - length / 2
    density, color = draw("density").normal(1, 45)[0].mul(2).exp(), draw("color").uniform(1, 45, 3)[0]
    samples = Samples(ray, middle, length, torch.zeros(45, 3))
    far_plane = torch.full((6,), 7.0)
    return (
        Samples(*(part.to(device) for part in samples)),
        density.to(device).requires_grad_(),
        color.to(device).requires_grad_(),
        6,
        far_plane.to(device),
    )


def check_composite(device: str) -> None:
    """Maps and gradients of nerfacc's compositing beside ours."""
    results = []
    for compositing in (composite, our_composite):
        samples, density, color, rays, far_plane = packed_samples(device)
        maps = compositing(samples, density, color, rays, far_plane)
        sum(map_.square().sum() for map_ in maps).backward()
        results.append([*maps, density.grad, color.grad])
    for theirs, ours in zip(*results, strict=True):
        # float32, and 1 - exp(-x) where we have expm1: 1e-7 each, times depths of up to 7
        torch.testing.assert_close(theirs, ours, rtol=2e-5, atol=2e-5)


@pytest.mark.usefixtures("stand_ins")
def test_compositing_agrees() -> None:
    """Oracle: our own, in values and gradients; nerfacc accumulates, and weighs rows by its dense form."""
    check_composite("cpu")


def test_dense_weights_agree() -> None:
    """Oracle: nerfacc itself, float64; it has 1 - exp(-x), so shares agree to rounding of 1."""
    density = Streams(0, 0)("density").normal(1, 20, 30)[0].double().mul(2).exp()
    ends = Streams(0, 0)("length").uniform(1, 20, 31)[0].double().cumsum(1)
    theirs, _, _ = nerfacc.render_weight_from_density(ends[:, :-1], ends[:, 1:], density)
    ours = composite_weights(density, ends.diff(dim=1))
    torch.testing.assert_close(theirs, ours, rtol=1e-12, atol=1e-15)


def test_occupancy_is_remembered_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: nerfacc's estimator itself, over warm-up steps of a field that is constant within cells; the
    march hands its grid over as the estimator keeps it.
    """
    torch.manual_seed(0)  # the estimator draws points within cells from the global generator
    cfg = OccupancyConfig(resolution=CELLS, every=2, decay=0.5)
    grid = OccupancyGrid(cfg, RADIUS, 0.01)
    estimator = OccGridEstimator([-RADIUS] * 3 + [RADIUS] * 3, CELLS)

    class Cells:
        """Density by cell [x, y, z]."""

        table = torch.zeros(CELLS, CELLS, CELLS)

        def density(self, points: Tensor) -> Tensor:
            x, y, z = ((points / RADIUS + 1) / 2 * CELLS).long().clamp(0, CELLS - 1).unbind(-1)
            return self.table[x, y, z]

    cells = Cells()
    for step in range(6):
        cells.table = Streams(1, step)("table").normal(1, CELLS, CELLS, CELLS)[0].exp()
        grid.update(cells, Streams(0, step)("occupancy"), step)
        estimator.update_every_n_steps(
            step,
            lambda x: cells.density(x)[:, None] * 0.01,
            occ_thre=cfg.threshold,
            ema_decay=cfg.decay,
            warmup_steps=cfg.warmup,
            n=cfg.every,
        )
    assert torch.equal(grid.values.view(CELLS, CELLS, CELLS).permute(2, 1, 0).flatten(), estimator.occs)
    seen: list[Tensor] = []

    def look(*args: object, **kwargs: object) -> object:
        seen.append(kernels.TRAVERSE.bind(*args, **kwargs).arguments["binaries"])
        return kernels.traverse_grids(*args, **kwargs)

    monkeypatch.setattr(nerfacc, "traverse_grids", look)
    _, march = both_marches(16, False, 1.0, 0)
    march._replace(occupancy=grid).survivors(ALL)
    assert torch.equal(seen[0], estimator.binaries)
    assert 0 < seen[0].sum() < CELLS**3


def pictures(backend: RenderBackend, chunk_samples: int, device: str = "cpu") -> list[Tensor]:
    """All maps, and the gradients of a loss that uses each of them, of two jittered views."""
    init = Streams(0, 0)
    grid = HashGridConfig(levels=3, features=2, log2_table=8, base_resolution=4, max_resolution=16)
    exact = Precision.float32  # auto takes bfloat16 where that is faster, and one step of it is 4e-3
    field = Field(FieldConfig(radius=RADIUS, hidden=8, hash_grid=grid, precision=exact), init)
    with torch.no_grad():
        field.encoding.table *= 1e4
    background = Background(BackgroundConfig(), init)
    occupancy = OccupancyGrid(OccupancyConfig(resolution=CELLS), RADIUS, 0.01)
    draw = Streams(5, 6, device=device)
    camera = sample_cameras(CameraConfig(), 2, 6, draw("camera"))
    cfg = RenderConfig(40, chunk_samples, backend)
    view = render(field.to(device), background.to(device), occupancy.to(device), camera, cfg, draw)
    sum(map_.square().mean() for map_ in view).backward()
    return [*view, *(p.grad for p in (*field.parameters(), *background.parameters()))]


def check_pictures(chunk_samples: int, device: str) -> None:
    """Pictures and gradients through nerfacc beside ours."""
    theirs, ours = (pictures(b, chunk_samples, device) for b in (RenderBackend.nerfacc, RenderBackend.torch))
    for a, b in zip(theirs, ours, strict=True):
        # float32: places along a ray are known to 2e-7, and what they are read from has slopes of 16 and more
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * b.detach().abs().max().item())


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("chunk_samples", [10**6, 1200])
def test_pictures_and_gradients_agree(chunk_samples: int) -> None:
    """Oracle: the torch backend, in one piece and in recomputed chunks; nothing is pruned."""
    check_pictures(chunk_samples, "cpu")


@pytest.fixture
def built() -> None:
    """The real kernels; where they are missing, the error says how they are installed."""
    named = settings("prompt=x", "preset=smoke", "device=cuda", "render.backend=nerfacc")
    accelerators.settle(named, torch.device("cuda"), {})


@pytest.mark.gpu
@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("jittered", [False, True])
def test_the_real_samples_are_ours(jittered: bool, share: float) -> None:
    """Oracle: our own march on the same device; the tolerances are those of the stand-in's test."""
    check_survivors(*both_marches(512, jittered, share, 1, "cuda"))


@pytest.mark.gpu
@pytest.mark.usefixtures("built")
def test_the_real_compositing_agrees() -> None:
    """Oracle: our own on the same device, in values and gradients."""
    check_composite("cuda")


@pytest.mark.gpu
@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("chunk_samples", [10**6, 1200])
def test_the_real_pictures_and_gradients_agree(chunk_samples: int) -> None:
    """Oracle: the torch backend on the same device."""
    check_pictures(chunk_samples, "cuda")
