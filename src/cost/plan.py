"""What a run would cost, without training, weights or a GPU: `python -m src.train … plan=true`.

The prior's networks run on the meta device, where tensors have shapes and no numbers.  The scene is rendered
for real, once, small, and scaled by the number of rays: a haze, as in step 0, and from the rise of the
resolution on an opaque ball (`src.model.stand_in`), or a mesh of a ball; an object that fills more of its
sphere costs more.  UNet passes are counted from the timesteps that the run will draw.  Left out: embedding
the prompt, refreshing the occupancy grid, pictures for the eye, a mesh's beginning.
"""

import copy
import json
import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from src.assemble import stand_in_for
from src.config import GeneratorKind, RunConfig
from src.cost.counters import Cost, Tally, fused_attention
from src.errors import UserError
from src.guidance import replica
from src.guidance.gaussian import gaussian_prior, scaled_linear
from src.guidance.loading import REMEDY, WEIGHTS, check_kinds
from src.guidance.losses import VSD
from src.guidance.prior import Precision, Prior, PriorConfig, try_out
from src.guidance.small_autoencoder import REMEDY as SMALL_REMEDY
from src.guidance.small_autoencoder import load_small_autoencoder
from src.guidance.source import local_source
from src.guidance.timesteps import sample_timesteps
from src.model import make_optimizer
from src.scene import march
from src.scene.cameras import sample_cameras
from src.step import most_rows, rows_at
from src.streams import Stream, Streams

SCENE_COPIES = 3  # the parameters and Adam's two moments
# What a pixel's maps and gradients take, whatever the size of a chunk (tests/test_step_memory.py checks it).
PIXEL_BYTES = 300


class Weightless(NamedTuple):
    """A prior on the meta device, the shape of a prompt's embedding, and the bytes of its weights."""

    prior: Prior
    text_shape: tuple[int, int]
    bytes: int


class Stretch(NamedTuple):
    """The steps at one resolution: mean costs of a step by part, and the memory that they need."""

    resolution: int
    steps: int
    unet_rows: int  # over all these steps
    costs: dict[str, Cost]
    memory_bytes: int


class Plan(NamedTuple):
    """The whole run."""

    views: int  # a step
    stretches: list[Stretch]
    tflops: float  # a second, assumed

    def total(self) -> Cost:
        """Return the cost of all steps, all parts together."""
        costs = [cost * stretch.steps for stretch in self.stretches for cost in stretch.costs.values()]
        return sum(costs, Cost())

    def hours(self) -> float:
        """Return how long the FLOPs alone take at the assumed throughput."""
        return self.total().flops / (self.tflops * 1e12) / 3600


def plan(cfg: RunConfig) -> Plan:
    """Price a run; raises UserError if prior.path is given and holds no model's configuration."""
    weightless = weightless_prior(cfg.prior)
    unseeing = blind(weightless.prior)
    stretches = []
    scenes: dict[tuple[int, bool, bool], dict[str, Cost]] = {}
    for steps in stretches_of(cfg):
        rows = drawn_rows(cfg, steps)
        resolution = cfg.schedule.at(steps[0]).resolution
        probe = probe_resolution(cfg, resolution)
        kind = probe, steps[0] >= cfg.schedule.switch_step, encodes(cfg, steps[0])
        if kind not in scenes:
            scenes[kind] = scene_costs(cfg, probe, steps[0], unseeing)
        scene = scaled(cfg, scenes[kind], probe, resolution)
        guidance = guidance_costs(cfg, weightless, steps, rows / len(steps))
        pixels = PIXEL_BYTES * cfg.batch_size * resolution**2
        peaks = [cost.peak_live_bytes for cost in scene.values()]
        peaks += [cost.peak_live_bytes + pixels for cost in guidance.values()]
        costs = {"render": scene["render"], **guidance, **scene}
        memory = weightless.bytes + SCENE_COPIES * parameter_bytes(cfg, unseeing) + max(peaks)
        learnt = cfg.batch_size * len(steps) if "critic" in guidance else 0
        stretches.append(Stretch(resolution, len(steps), rows + learnt, costs, memory))
    return Plan(cfg.batch_size, stretches, cfg.plan_tflops)


def stretches_of(cfg: RunConfig) -> list[range]:
    """The run's steps, cut where the resolution changes and where pictures come to be encoded."""
    found = []
    for steps in cfg.schedule.stretches(0, cfg.steps):
        unlike = sum(encodes(cfg, step) != encodes(cfg, steps[-1]) for step in steps)
        found += [part for part in (steps[:unlike], steps[unlike:]) if part]
    return found


def encodes(cfg: RunConfig, step: int) -> bool:
    """Whether a step shows pictures, which the prior encodes, and no latents."""
    first = {
        GeneratorKind.nerf: 0,
        GeneratorKind.latent_nerf: cfg.rgb_start_step,
        GeneratorKind.mesh: cfg.mesh.latent_steps,
    }
    return step >= first.get(cfg.generator, cfg.steps)


def parameter_bytes(cfg: RunConfig, prior: Prior) -> int:
    """Memory of the parameters that the run changes."""
    modules = stand_in_for(cfg, prior, torch.device("cpu"), 0).modules()
    return sum(p.numel() * p.element_size() for module in modules.values() for p in module.parameters())


def blind(prior: Prior) -> Prior:
    """The prior with an encoder that costs nothing: it shrinks the picture, wherever that is."""

    def encode(image: Float[Tensor, "B 3 H W"], stream: Stream) -> Float[Tensor, "B C h w"]:
        channels, height, width = prior.latent_shape
        small = functional.adaptive_avg_pool2d(image, (height, width))
        return small.mean(1, keepdim=True).expand(-1, channels, -1, -1)

    unseeing = copy.copy(prior)
    unseeing.encode = encode  # type: ignore[method-assign]
    return unseeing


def weightless_prior(cfg: PriorConfig) -> Weightless:
    """Return the prior without its weights; without prior.path it has Stable Diffusion 2.1-base's shapes.

    Raises UserError if prior.path holds no configuration of a model, or prior.small_autoencoder no model.
    """
    if cfg.name == "gaussian":
        size = cfg.latent_size or 16
        return Weightless(gaussian_prior(size, device="meta"), (1, 3 * size**2), 0)
    schedule: dict[str, Any] = {}
    if cfg.path is None:
        networks = {part: replica.network(replica.FULL, part) for part in WEIGHTS}
    else:
        folder = local_source(cfg.path).folder
        try:
            check_kinds(folder)
            networks = _read_shapes(folder)
            schedule = json.loads((folder / "scheduler/scheduler_config.json").read_text())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"prior.path={cfg.path} has no readable configuration ({error}): {REMEDY}"
            ) from error
    # What CUDA would compute in, where nothing is said.
    dtype = torch.float16 if cfg.precision is Precision.auto else getattr(torch, cfg.precision.name)
    # Module's own `to`: that of diffusers warns of layers which this model does not have.
    vae, unet = (nn.Module.to(networks[part], dtype) for part in ("vae", "unet"))
    if cfg.small_autoencoder is not None:
        small = local_source(cfg.small_autoencoder, "prior.small_autoencoder", SMALL_REMEDY).folder
        vae = load_small_autoencoder(small, vae.config, dtype, torch.device("meta"))
    scheduler = SimpleNamespace(
        alphas_cumprod=scaled_linear(),
        config=SimpleNamespace(
            prediction_type=schedule.get("prediction_type", "epsilon"),
            num_train_timesteps=schedule.get("num_train_timesteps", 1000),
        ),
    )
    checkpoint_encoder = cfg.checkpoint_encoder and cfg.small_autoencoder is None
    prior = Prior(
        *(None, networks["text_encoder"], vae, unet, scheduler),
        checkpoint_encoder=checkpoint_encoder,
        latent_size=cfg.latent_size,
    )
    try_out(prior)
    size = sum(p.numel() * p.element_size() for network in (vae, unet) for p in network.parameters())
    return Weightless(prior, (prior.max_tokens, networks["text_encoder"].config.hidden_size), size)


def _read_shapes(folder: Path) -> dict[str, Any]:
    # Imported here because they take seconds.
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    text = CLIPTextConfig.from_pretrained(str(folder / "text_encoder"), local_files_only=True)
    with torch.device("meta"):
        networks = {"text_encoder": CLIPTextModel(text)}
        for part, kind in {"vae": AutoencoderKL, "unet": UNet2DConditionModel}.items():
            settings = json.loads((folder / part / "config.json").read_text())
            networks[part] = kind.from_config(settings)
    return networks


def drawn_rows(cfg: RunConfig, steps: range) -> int:
    """Count the rows that the UNet evaluates in these steps; their timesteps depend on the seed alone."""
    t = []
    for step in steps:
        stage = cfg.schedule.at(step)
        t.append(sample_timesteps(stage.t_min, stage.t_max, cfg.batch_size, Streams(cfg.seed, step)("t")))
    return int(rows_at(cfg, torch.cat(t)).sum())


def guidance_costs(cfg: RunConfig, weightless: Weightless, steps: range, mean_rows: float) -> dict[str, Cost]:
    """Price encoding, the UNet's mean and largest call, and the encoder's backward pass, on meta tensors."""
    prior, stage = weightless.prior, cfg.schedule.at(steps[0])
    t = most_rows(cfg, *cfg.schedule.span(steps))
    most = cfg.batch_size * int(rows_at(cfg, t[None]))
    image = torch.empty(
        cfg.batch_size, 3, stage.resolution, stage.resolution, device="meta", requires_grad=True
    )
    text = torch.empty(1, *weightless.text_shape, device="meta")
    shown = torch.empty(1, *prior.latent_shape, device="meta")
    encoded = encodes(cfg, steps[0])
    with fused_attention(), Tally() as tally:
        tally.charge("encode")
        latents = prior.encode(image, Streams(cfg.seed, 0)("vae")) if encoded else None
        for rows in (1, most):
            tally.charge(f"unet {rows}")
            noised = shown.expand(rows, -1, -1, -1)
            prior.predict_noise(noised, t.expand(rows).to("meta"), text.expand(rows, -1, -1))
        tally.charge("encode, backward")
        if latents is not None:
            latents.backward(torch.empty_like(latents))
        tally.charge("critic")
        if isinstance(cfg.loss, VSD):  # its LoRA's gradients cost what those of its input do, to a per cent
            noised = shown.expand(cfg.batch_size, -1, -1, -1).clone().requires_grad_()
            told = text.expand(cfg.batch_size, -1, -1)
            prior.predict_with_graph(noised, t.expand(cfg.batch_size).to("meta"), told).sum().backward()
    costs = tally.costs
    # Linear in the number of rows: the weights are read once, everything else once a row.
    share = (mean_rows - 1) / max(most - 1, 1)
    unet = costs["unet 1"] * (1 - share) + costs[f"unet {most}"] * share
    found = {"encode": costs["encode"], "unet": unet, "encode, backward": costs["encode, backward"]}
    found = found if encoded else {"unet": unet}
    return found | ({"critic": costs["critic"]} if isinstance(cfg.loss, VSD) else {})


def probe_resolution(cfg: RunConfig, resolution: int) -> int:
    """Return a small size whose rendering costs as much per ray as at this resolution.

    Above some number of bins rendering goes in chunks, and everything in chunks is computed twice.
    """
    chunked = math.isqrt(march.CANDIDATES // (cfg.batch_size * cfg.render.samples_per_ray)) + 1
    return min(resolution, chunked)


def scene_costs(cfg: RunConfig, resolution: int, step: int, unseeing: Prior) -> dict[str, Cost]:
    """Price rendering, its backward pass and the optimiser's step by doing them once, small."""
    draw = Streams(cfg.seed, 0)
    generator = stand_in_for(cfg, unseeing, torch.device("cpu"), step)
    optimizer = make_optimizer(cfg, generator.groups())
    camera = sample_cameras(cfg.camera, cfg.batch_size, resolution, draw("camera"))
    with Tally() as tally:
        tally.charge("render")
        # The step after, for the occupancy grid is not refreshed then.
        seen = generator(cfg.schedule.at(step), step + 1, draw, lambda _: nullcontext(), camera)
        tally.charge("render, backward")
        (seen.latents.sum() + seen.penalty).backward()
        tally.charge("optimiser")
        optimizer.step()
    return tally.costs


def scaled(cfg: RunConfig, scene: dict[str, Cost], probe: int, resolution: int) -> dict[str, Cost]:
    """Scale what rendering costs by the number of rays; its memory grows by its maps alone."""
    rays = (resolution / probe) ** 2
    maps = PIXEL_BYTES * cfg.batch_size * (resolution**2 - probe**2)
    costs = dict(scene)
    for part in ("render", "render, backward"):
        costs[part] = replace(scene[part] * rays, peak_live_bytes=scene[part].peak_live_bytes + maps)
    return costs


def describe_plan(found: Plan) -> str:
    """Put a plan into a few lines."""
    lines = []
    for stretch in found.stretches:
        passes = stretch.unet_rows / (stretch.steps * found.views)
        lines.append(
            f"{stretch.steps:,} steps at {stretch.resolution}x{stretch.resolution}, views a step: "
            f"{found.views}, UNet passes a view: {passes:.3f}, memory: {stretch.memory_bytes / 1e9:.1f} GB"
        )
        lines.append(f"  {'a step:':18s} {'TFLOP':>8s} {'GB moved':>9s} {'of it without FLOPs':>20s}")
        for part, cost in stretch.costs.items():
            lines.append(
                f"  {part:18s} {cost.flops / 1e12:8.3f} {cost.bytes / 1e9:9.2f} "
                f"{cost.bytes_without_flops / 1e9:20.2f}"
            )
    total, rows = found.total(), sum(stretch.unet_rows for stretch in found.stretches)
    by_part: dict[str, float] = {}
    for stretch in found.stretches:
        for part, cost in stretch.costs.items():
            by_part[part] = by_part.get(part, 0.0) + cost.flops * stretch.steps / 1e12
    lines.append(
        f"whole run: {rows:,} UNet passes; {total.flops / 1e12:,.1f} TFLOP ("
        + "; ".join(f"{part} {tflop:,.1f}" for part, tflop in by_part.items() if tflop)
        + f"); {total.bytes / 1e12:,.1f} TB moved"
    )
    lines.append(
        f"{found.hours():.2g} h for these FLOPs at {found.tflops:g} TFLOP/s, which is assumed, not measured: "
        "plan_tflops=N sets it"
    )
    return "\n".join(lines)
