"""How a run's pictures look beside samples of the prior that it was distilled from: detail, colour, variety.

A sample is drawn for each of 32 cameras of the training's law, with that camera's view words, at guidance 7.5
whatever scale the run used: what the prior itself would paint.  The run's picture from that camera has the
sample's own background behind it, and whole pictures are compared; so neither the learnt background nor its
contrast with the object speaks.  Every figure has a `floor`: how far so few samples would be from as many
others.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from src.config import RunConfig
from src.errors import UserError
from src.evaluation.views import as_shown
from src.guidance.prior import Prior
from src.guidance.prompts import view_words
from src.guidance.sampling import ddim
from src.model import Scene, look
from src.run.checkpoint import write_atomically
from src.scene.cameras import Cameras, sample_cameras
from src.streams import Streams

CACHE = Path("outputs/samples-for-looks")
PICTURES = 32
# For "a red cat" 25 steps are 0.3 dB of spectrum from 250 (floor: 0.5), deterministic DDIM with 50 is 0.6.
SAMPLER = {"pictures": PICTURES, "guidance_scale": 7.5, "steps": 25, "eta": 1.0, "seed": 0}
ROUNDING = 1 / 12 / 255**2  # variance of rounding to 8 bits: power below it shows in no picture file
OBJECT = 0.1  # a pixel so far from the background, in any channel, is taken for the object


class Looks(NamedTuple):
    """Figures of one run; the `_floor` of each is what the samples themselves would differ by."""

    spectrum_distance: float  # dB, 0 is best
    spectrum_distance_floor: float
    spectrum_detail: float  # dB, above 0: more fine detail than the samples, below: less
    spectrum_detail_floor: float
    saturation_excess: float  # of 0 ... 1, above 0: gaudier than the samples
    saturation_excess_floor: float
    saturation: float  # the run's own
    saturation_of_samples: float


def measure(pictures: Float[Tensor, "N 3 S S"], samples: Float[Tensor, "M 3 S S"]) -> Looks:
    """Compare a run's pictures in [0, 1] with samples of the same size."""
    spectra, own = log_spectra(samples), log_spectra(pictures)
    return Looks(
        distance(own, spectra),
        floor(spectra, distance),
        detail(own, spectra),
        floor(spectra, detail),
        saturation(pictures) - saturation(samples),
        floor(samples, lambda one, other: saturation(one) - saturation(other)),
        saturation(pictures),
        saturation(samples),
    )


def log_spectra(images: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N R"]:
    """Radially averaged power spectrum of each image in dB; ring r = 1 ... S/2 cycles a picture.

    A Hann window first, because a picture's left and right edges do not meet; a flat picture has the power of
    8-bit rounding and not minus infinity.
    """
    size = images.shape[-1]
    window = torch.hann_window(size, periodic=False, dtype=images.dtype)
    window = window[:, None] * window
    centred = images - images.mean((-2, -1), keepdim=True)
    power = torch.fft.fft2(centred * window).abs().square() / window.square().sum()
    cycles = torch.fft.fftfreq(size) * size
    ring = (cycles[:, None].square() + cycles.square()).sqrt().round().long()
    rings = [power[..., ring == r].mean(-1).mean(-1) for r in range(1, size // 2 + 1)]
    return 10 * (torch.stack(rings, -1) + ROUNDING).log10()


def distance(one: Float[Tensor, "N R"], other: Float[Tensor, "M R"]) -> float:
    """Mean distance of two sets' mean log spectra, dB: too much power counts as too little does."""
    return float((one.mean(0) - other.mean(0)).abs().mean())


def detail(one: Float[Tensor, "N R"], other: Float[Tensor, "M R"]) -> float:
    """Signed difference of two sets' mean log spectra over the finer half of the rings, dB."""
    difference = one.mean(0) - other.mean(0)
    return float(difference[len(difference) // 2 :].mean())


def spectrum_distance(one: Float[Tensor, "N 3 S S"], other: Float[Tensor, "M 3 S S"]) -> float:
    """`distance` of two sets of pictures."""
    return distance(log_spectra(one), log_spectra(other))


def spectrum_detail(one: Float[Tensor, "N 3 S S"], other: Float[Tensor, "M 3 S S"]) -> float:
    """`detail` of two sets of pictures."""
    return detail(log_spectra(one), log_spectra(other))


def backgrounds(images: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N 3 S S"]:
    """Guess what is behind the objects: each row fades from its left end to its right end.

    Exact for most of the toy world's backgrounds, which change with height alone, and objects stay clear of
    the sides; of its blotches (18%) and of another prior's samples it keeps the colours and loses the detail.
    """
    left, right = images[..., :2].mean(-1, keepdim=True), images[..., -2:].mean(-1, keepdim=True)
    return torch.lerp(left, right, torch.linspace(0, 1, images.shape[-1]).to(images))


def object_pixels(images: Float[Tensor, "N 3 S S"]) -> Bool[Tensor, "N S S"]:
    """Guess which pixels are the object's: a sample has no mask, so the run's is guessed in the same way."""
    return (images - backgrounds(images)).abs().amax(1) > OBJECT


def saturation(images: Float[Tensor, "N 3 S S"]) -> float:
    """Mean chroma (largest less smallest of R, G, B) of the objects' pixels; 0 where no picture has any."""
    chroma = images.amax(1) - images.amin(1)
    mask = object_pixels(images)
    return float(chroma[mask].mean()) if mask.any() else 0.0


def floor(
    samples: Float[Tensor, "M ..."],
    figure: Callable[[Float[Tensor, "_ ..."], Float[Tensor, "_ ..."]], float],
    halvings: int = 16,
) -> float:
    """The size of a figure between M samples and M others, from random halves of the M.

    `samples` are their pictures or their spectra, whatever the figure takes.

    Halves are half as many, so their figure is larger by sqrt(2), which is taken out.
    """
    draw = Streams(0, 0)("looks/halves").uniform(halvings, len(samples))
    halves = [order.chunk(2) for order in draw.argsort(-1)]
    sizes = [abs(figure(samples[one], samples[other])) for one, other in halves]
    return sum(sizes) / len(sizes) / 2**0.5


def diversity(runs: Float[Tensor, "S V 3 H W"]) -> float:
    """Mean distance of the same view of different seeds: root mean square over pixels, averaged over pairs.

    For one prompt and method; the views stand before one and the same grey.  Raises ValueError for one run.
    """
    pairs = [(one - other).square().mean((1, 2, 3)).sqrt().mean() for one, other in combinations(runs, 2)]
    if not pairs:
        raise ValueError("diversity compares at least two runs")
    return float(torch.stack(pairs).mean())


def training_cameras(cfg: RunConfig, size: int) -> Cameras:
    """The cameras of pictures and samples alike: as training draws them, the same for every run."""
    return sample_cameras(cfg.camera, PICTURES, size, Streams(0, 0)("looks/cameras"))


def pictures_of(cfg: RunConfig, model: Scene, samples: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N 3 S S"]:
    """A run's object from `training_cameras`, each time before the background of that camera's sample."""
    size = samples.shape[-1]
    camera, behind = training_cameras(cfg, size), backgrounds(samples)
    pictures = []
    for i in range(len(samples)):
        view = look(cfg, model, camera.one(i))
        pictures.append(as_shown(view) + (1 - view.opacity.cpu()) * behind[i])
    return torch.cat(pictures)


def samples_of(
    cfg: RunConfig, trained_on: dict[str, Any], load: Callable[[], Prior], cache: Path = CACHE
) -> Float[Tensor, "N 3 S S"]:
    """Samples of the run's prior for its prompt and the view words of `training_cameras`; drawn once.

    `trained_on` is the prior's provenance as the run's manifest has it.  Raises UserError if the prior that
    `load` gives has other files now.
    """
    digests = {part: source["sha256"] for part, source in trained_on.items()}
    key = {
        "prior": digests or asdict(cfg.prior),
        "prompt": cfg.prompt,
        "words": asdict(replace(cfg.prompts, negative="")),
        "camera": asdict(cfg.camera),
        **SAMPLER,
    }
    if cfg.prior.lora is not None:
        key["lora_scale"] = cfg.prior.lora_scale
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{name}.safetensors"
    if path.is_file():
        try:
            return load_file(path)["images"].float() / 255
        except (SafetensorError, KeyError):
            print(f"{path} is broken: its samples are drawn anew", flush=True)
    prior = load()
    if {part: source["sha256"] for part, source in prior.provenance().items()} != digests:
        raise UserError(
            f"run={cfg.out}: prior {cfg.prior.name} has other files now than when the run was trained: "
            "put those back, or train the run anew with fresh=true"
        )
    # As 8-bit pixels from the start, so that a cached set and a fresh one give the same figures.
    images = (draw_samples(cfg, prior) * 255).round().to(torch.uint8).cpu()
    cache.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save({"images": images}, {"made_for": json.dumps(key)}))
    return images.float() / 255


def draw_samples(cfg: RunConfig, prior: Prior, at_once: int = 8) -> Float[Tensor, "N 3 S S"]:
    """Draw PICTURES samples by stochastic DDIM (eta = 1), one for each of `training_cameras`."""
    camera = training_cameras(cfg, prior.image_size)
    words = view_words(cfg.prompts, camera.azimuth, camera.elevation)
    prompts = [cfg.prompt + word for word in words]
    images = []
    for first in range(0, PICTURES, at_once):
        noise = Streams(int(SAMPLER["seed"]), 0, first, prior.device)("looks/noise")
        some = prompts[first : first + at_once]
        latents = ddim(
            prior, some, SAMPLER["guidance_scale"], int(SAMPLER["steps"]), noise, eta=SAMPLER["eta"]
        )
        images.append(prior.decode(latents))
    return torch.cat(images)
