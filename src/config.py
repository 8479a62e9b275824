"""All settings of a run as one checked RunConfig, and the name of the folder that they lead to.

Defaults sit next to the code that they drive (CameraConfig in scene/cameras.py, and so on); conf/ holds only
what differs from them. A setting that cannot work raises UserError when its dataclass is made.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from importlib.util import find_spec
from typing import Any

import torch
from omegaconf import MISSING

from src.arguments import LATER, typed_path
from src.errors import UserError
from src.guidance.critic import CriticConfig
from src.guidance.losses import CSD, DDS, NFSD, SDS, SJC, VSD, DistillationLoss
from src.guidance.prior import PriorConfig
from src.guidance.prompts import PromptConfig
from src.guidance.schedule import ScheduleConfig
from src.run.log import LoggingConfig
from src.scene.background import BackgroundConfig
from src.scene.cameras import CameraConfig
from src.scene.field import FieldConfig
from src.scene.mesh_rendering import MeshConfig, Shows
from src.scene.occupancy import OccupancyConfig
from src.scene.regularizers import RegularizerConfig
from src.scene.rendering import RenderConfig
from src.scene.shading import ShadingConfig
from src.scene.sketch import SketchConfig

LOSSES: dict[str, type[DistillationLoss]] = {
    "nfsd": NFSD,
    "sds": SDS,
    "sjc": SJC,
    "csd": CSD,
    "vsd": VSD,
    "dds": DDS,
}
MOST_VIEWS, MOST_PARTICLES = 1024, 8
# Settings that do not change which run this is: how long, where and on what it runs, and what
# it shows meanwhile.
NOT_IDENTITY = ("steps", "threads", "device", "out", "fresh", "plan", "plan_tflops", "logging", "video")
PATHS = ("turntable", "sway")  # that a video's camera knows by name
PANELS = ("rgb", "depth", "normal", "opacity")
BACKGROUNDS = ("env", "white", "transparent")  # the learnt environment map, a sheet of paper, or nothing
WEBP_PIXELS = 16_383  # along a side, at most


class GeneratorKind(StrEnum):
    """What is optimised: theta of x = g(theta)."""

    nerf = "nerf"  # a field, a background and what is seen of them from a camera
    latent_nerf = "latent_nerf"  # a field and a background of latents, seen as the prior's own input
    mesh = "mesh"  # triangles with a texture, begun from a NeRF's run
    latents = "latents"  # the latents themselves, one picture each, seen from nowhere


@dataclass
class OptimizerConfig:
    """AdamW. The paper states lr 0.01 and no more; the rest is the closest public config's."""

    lr_encoding: float = 0.01
    lr_density: float = 0.001
    lr_color: float = 0.001
    lr_background: float = 0.001
    lr_latents: float = dataclasses.field(default=0.01, metadata=LATER)
    lr_surface: float = dataclasses.field(default=0.01, metadata=LATER)  # cells a step
    beta1: float = 0.9
    beta2: float = 0.99
    eps: float = 1e-15
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        rates = ("lr_encoding", "lr_density", "lr_color", "lr_background", "lr_latents", "lr_surface")
        for name in (*rates, "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"optimizer.{name}={getattr(self, name)} is out of range: choose 0 or more")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(
                    f"optimizer.{name}={getattr(self, name)} is out of range: choose 0 to below 1"
                )
        if not 0 < self.eps < math.inf:
            raise UserError(f"optimizer.eps={self.eps} is out of range: choose more than 0")


@dataclass
class VideoConfig:
    """The turntable: how many views, how large, from where; the defaults are the closest public config's.

    `show` lists what stands side by side, of PANELS; `background` what colour is shown before, of
    BACKGROUNDS; `path` is turntable, sway, or a YAML file of keyframes (src/export/paths.py).
    """

    views: int = 120
    size: int | str = 512  # pixels along a side, or W,H
    fps: int = 30
    elevation_degrees: float = 15.0
    distance: float = 1.5
    fov_degrees: float = 70.0
    show: list[str] = dataclasses.field(default_factory=lambda: ["rgb", "depth", "opacity"])
    background: list[str] = dataclasses.field(default_factory=lambda: ["env"])
    path: str = "turntable"

    def __post_init__(self) -> None:
        for name, known in (("show", PANELS), ("background", BACKGROUNDS)):
            given = getattr(self, name)
            wrong = [each for each in given if each not in known]
            if wrong or not given or len(set(given)) < len(given):
                raise UserError(
                    f"video.{name}=[{','.join(given)}] is no choice: name each once, of {', '.join(known)}"
                )
        for name, low, high in (("views", 1, 10_000), ("fps", 1, 240)):
            if not low <= getattr(self, name) <= high:
                raise UserError(f"video.{name}={getattr(self, name)} is out of range: choose {low} to {high}")
        if not all(8 <= side <= 4096 for side in self.width_height()):
            raise UserError(
                f"video.size={self.size} is out of range: choose 8 to 4096 pixels, or such a width and "
                "height, as in 640,360"
            )
        width = self.width_height()[0]
        if self.panels() * width > WEBP_PIXELS:
            raise UserError(
                f"video.size={self.size}: {self.panels()} pictures of {width} pixels side by side are more "
                f"than the {WEBP_PIXELS} of a WebP: choose a smaller video.size or a shorter video.show"
            )
        if self.path not in PATHS:
            self.path = typed_path(self.path, "video.path")
        if not -90 <= self.elevation_degrees <= 90:
            raise UserError(
                f"video.elevation_degrees={self.elevation_degrees} is out of range: choose -90 to 90"
            )
        if not 0 < self.distance < math.inf:
            raise UserError(f"video.distance={self.distance} is out of range: choose more than 0")
        if not 0 < self.fov_degrees < 180:
            raise UserError(f"video.fov_degrees={self.fov_degrees} is out of range: choose 0 to below 180")

    def width_height(self) -> tuple[int, int]:
        """The size of one picture in pixels; 0 for what is no number."""
        sides = [int(side) if side.isdecimal() else 0 for side in str(self.size).replace(" ", "").split(",")]
        return (sides[0], sides[-1]) if len(sides) <= 2 else (0, 0)

    def panels(self) -> int:
        """How many pictures stand side by side."""
        return len(self.show) + ("rgb" in self.show) * (len(self.background) - 1)


@dataclass
class RunConfig:
    """All that decides a run; the paper's values or, where it is silent, the closest public config's."""

    prompt: str = MISSING
    preset: str = MISSING
    seed: int = 0
    steps: int = 25_000
    batch_size: int = 1  # views a step
    threads: int | None = None  # None: as many as the run used before, else timed (src/cost/threads.py)
    device: str | None = None  # None: cuda where there is one, else cpu
    out: str | None = (
        None  # the run's folder (in a sweep: the folder of the runs' folders); None: outputs/<name>
    )
    fresh: bool = False  # start over instead of continuing
    plan: bool = False  # only say what the run would cost: no training, no weights, no GPU
    plan_tflops: float = 50.0  # TFLOP a second that the plan's hours assume; nobody has measured it
    loss: DistillationLoss = MISSING
    # Of conf/systems, whose stages are runs of their own; of a stage before the last, NAME/STAGE.
    system: str | None = dataclasses.field(default=None, metadata=LATER)
    # Settings of one stage alone, as in stage.fine.loss=nfsd; the stages' own runs have none.
    stage: dict[str, Any] = dataclasses.field(default_factory=dict, metadata=LATER)
    generator: GeneratorKind = dataclasses.field(default=GeneratorKind.nerf, metadata=LATER)
    # What it begins from, and what loss=dds edits: a finished run's folder or, for latents, a picture.
    source: str | None = dataclasses.field(default=None, metadata=LATER)
    source_prompt: str | None = dataclasses.field(default=None, metadata=LATER)
    critic: CriticConfig = dataclasses.field(default_factory=CriticConfig, metadata=LATER)
    # How many scenes one critic learns from, a random one a step; the first is what commands take.
    particles: int = dataclasses.field(default=1, metadata=LATER)
    # generator=latent_nerf: from this step on it is seen, and encoded, in colours.
    rgb_start_step: int = dataclasses.field(default=10**9, metadata=LATER)
    shading: ShadingConfig = dataclasses.field(default_factory=ShadingConfig, metadata=LATER)
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig, metadata=LATER)
    sketch: SketchConfig = dataclasses.field(default_factory=SketchConfig, metadata=LATER)
    prior: PriorConfig = dataclasses.field(default_factory=PriorConfig)
    prompts: PromptConfig = dataclasses.field(default_factory=PromptConfig)
    schedule: ScheduleConfig = dataclasses.field(default_factory=ScheduleConfig)
    camera: CameraConfig = dataclasses.field(default_factory=CameraConfig)
    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    background: BackgroundConfig = dataclasses.field(default_factory=BackgroundConfig)
    occupancy: OccupancyConfig = dataclasses.field(default_factory=OccupancyConfig)
    render: RenderConfig = dataclasses.field(default_factory=RenderConfig)
    regularizer: RegularizerConfig = dataclasses.field(default_factory=RegularizerConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    logging: LoggingConfig = dataclasses.field(default_factory=LoggingConfig)
    video: VideoConfig = dataclasses.field(default_factory=VideoConfig)

    def __post_init__(self) -> None:
        self.prompt = self.prompt.strip()
        if not self.prompt:
            raise UserError('prompt is empty: write what you want to see, as in prompt="a ceramic lion"')
        if not _is_text(self.prompt):
            raise UserError(f"prompt={self.prompt!a} holds bytes that are not UTF-8 text: type it anew")
        counts = (
            ("seed", 0, 2**63),
            ("steps", 1, 10**9),
            ("batch_size", 1, MOST_VIEWS),
            ("particles", 1, MOST_PARTICLES),
            ("rgb_start_step", 0, 10**9),
        )
        for name, low, high in counts:
            if not low <= getattr(self, name) <= high:
                bound = "up" if high > MOST_VIEWS else f"to {high}"
                raise UserError(
                    f"{name}={getattr(self, name)} is out of range: choose a whole number from {low} {bound}"
                )
        if not 0 < self.plan_tflops < math.inf:
            raise UserError(f"plan_tflops={self.plan_tflops} is out of range: choose more than 0")
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise UserError(f"threads={self.threads} is out of range: choose 1 or more")
        for name in ("resolution", "resolution_after"):
            if not 8 <= getattr(self.schedule, name) <= 2048:
                raise UserError(
                    f"schedule.{name}={getattr(self.schedule, name)} is a resolution that no prior can use: "
                    "choose 8 to 2048 pixels"
                )
        for name, number in _numbers(as_dict(self)):
            if not math.isfinite(number):
                raise UserError(
                    f"{name}={number} is not a finite number: choose one, or leave the setting out"
                )
        check_device(self.device)
        self._check_source()
        if self.generator is GeneratorKind.latents and self.prompts.perp_neg:
            raise UserError(
                f"prompts.perp_neg={self.prompts.perp_neg} tells views apart, and latents are seen from "
                "nowhere: leave it out, or choose generator=nerf"
            )
        if self.source is not None:
            self.source = typed_path(self.source, "source")
        if self.out is not None:
            if not self.out.strip():
                raise UserError("out is empty: name a folder, or leave out= away to use outputs/")
            self.out = typed_path(self.out, "out")

    def _check_source(self) -> None:
        edits, mesh = self.loss_name == "dds", self.generator is GeneratorKind.mesh
        if edits and mesh:
            raise UserError("loss=dds edits a NeRF or latents, and no mesh: choose another loss")
        if edits and not self.source:
            raise UserError("loss=dds edits what is there: name a finished run, as in source=outputs/NAME")
        if mesh and not self.source and self.mesh.ball is None and not self.sketch.mesh:
            raise UserError(
                "generator=mesh begins from a finished run: name it, as in source=outputs/NAME, or begin "
                "with a ball, as in mesh.ball=0.5, or a file, as in sketch.mesh=lion.obj"
            )
        if self.sketch.mesh and (self.generator is GeneratorKind.latents or (mesh and self.source)):
            raise UserError(
                f"sketch.mesh={self.sketch.mesh} is what a NeRF keeps to, or what a mesh without source= "
                "begins as: leave it out, or source="
            )
        if mesh and (missing := [name for name in ("scipy", "skimage", "trimesh") if not find_spec(name)]):
            raise UserError(
                f"generator=mesh needs {missing[0]}, which is not installed: pip install -e '.[mesh]'"
            )
        if self.particles > 1 and (mesh or self.source or self.generator is GeneratorKind.latents):
            raise UserError(
                f"particles={self.particles} are NeRFs begun anew: choose generator=nerf or latent_nerf and "
                "leave source= away; in a system, set its first stage's alone, as in stage.nerf.particles=4"
            )
        if self.source_prompt is not None and not (self.source and self.source_prompt.strip()):
            raise UserError(
                f'source_prompt="{self.source_prompt}" says what source shows: give both or neither'
            )

    def check_new(self) -> None:
        """Refuse what no new run should be; a finished one that is, from before, may still be read."""
        if self.loss_name == "dds" and self.prompts.perp_neg:
            raise UserError(
                f"prompts.perp_neg={self.prompts.perp_neg} would turn what is edited and not what it began "
                "from: leave it out, or choose another loss"
            )
        if self.generator is not GeneratorKind.mesh:
            return
        if self.mesh.latent_steps and self.mesh.shows is not Shows.normals:
            raise UserError(
                f"mesh.latent_steps={self.mesh.latent_steps} shows normals, and mesh.shows="
                f"{self.mesh.shows} does not: choose mesh.shows=normals or mesh.latent_steps=0"
            )
        if self.mesh.shows is Shows.normals and not self.optimizer.lr_surface:
            raise UserError(
                "optimizer.lr_surface=0 keeps the surface, and mesh.shows=normals has nothing else to learn: "
                "choose mesh.shows=texture, or optimizer.lr_surface above 0"
            )

    @property
    def loss_name(self) -> str:
        """Name of the loss as it is typed."""
        return type(self.loss).__name__.lower()


def as_dict(cfg: RunConfig) -> dict[str, Any]:
    """Return the settings as plain values, the loss with its name, ready for yaml or json."""
    return _plain(dataclasses.asdict(cfg)) | {
        "loss": {"name": cfg.loss_name} | _plain(dataclasses.asdict(cfg.loss))
    }


def identity(cfg: RunConfig) -> dict[str, Any]:
    """Return the settings that make this run this run; two runs with equal ones see the same numbers.

    Settings marked LATER are left out at their defaults, so that a new one renames no run.
    """
    settings = {name: value for name, value in as_dict(cfg).items() if name not in NOT_IDENTITY}
    _drop_defaults(cfg, settings)
    # Like the device, these say what computes and not what is computed.
    del settings["render"]["backend"], settings["field"]["hash_grid"]["backend"]
    return settings


def _drop_defaults(cfg: Any, settings: dict[str, Any]) -> None:
    for entry in dataclasses.fields(cfg):
        if entry.name not in settings:
            continue
        value = getattr(cfg, entry.name)
        if "later" in entry.metadata and value == _default(entry):
            del settings[entry.name]
        elif dataclasses.is_dataclass(value):
            _drop_defaults(value, settings[entry.name])


def later_defaults(kind: Any = RunConfig) -> dict[str, Any]:
    """Settings marked LATER at their defaults, which `identity` leaves out."""
    found: dict[str, Any] = {}
    for entry in dataclasses.fields(kind):
        if "later" in entry.metadata:
            value = _default(entry)
            is_group = dataclasses.is_dataclass(entry.type)
            found[entry.name] = _plain(dataclasses.asdict(value) if is_group else value)
        elif dataclasses.is_dataclass(entry.type) and (inside := later_defaults(entry.type)):
            found[entry.name] = inside
    return found


def _default(entry: "dataclasses.Field[Any]") -> Any:
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def run_name(*stages: RunConfig) -> str:
    """Name a run's folder: <slug>-<loss>-s7.5-seed0-<hash6>, safe for any prompt on any file system.

    A system's is <slug>-<system>-seed0-<hash6>, by all its stages.
    """
    last = stages[-1]
    words = re.sub(r"[\W_]+", "-", last.prompt.lower()).strip("-")
    slug = words[:40].rstrip("-") or "prompt"
    made = [identity(stage) for stage in stages]
    for later in made[1:]:
        later.pop("source", None)  # the stage before, wherever it lies
    digest = hashlib.sha256(json.dumps(made if made[1:] else made[0], sort_keys=True).encode()).hexdigest()
    method = last.system or f"{last.loss_name}-s{last.loss.guidance_scale:g}"
    return f"{slug}-{method}-seed{last.seed}-{digest[:6]}"


def setting_names(cfg: type, prefix: str = "") -> Iterator[str]:
    """Every setting's full name, those of all losses included."""
    for entry in dataclasses.fields(cfg):
        if entry.type is DistillationLoss:
            yield prefix + entry.name
            for loss in LOSSES.values():
                yield from setting_names(loss, f"{prefix}{entry.name}.")
        elif dataclasses.is_dataclass(entry.type):
            assert isinstance(entry.type, type)
            yield from setting_names(entry.type, f"{prefix}{entry.name}.")
        else:
            yield prefix + entry.name


def check_device(device: str | None) -> None:
    """Raise UserError for a device= that is not here; None lets the machine decide."""
    if device is None or device == "cpu":
        return
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise UserError(f"device={device} is unknown: choose cpu, cuda or cuda:0")
    if not torch.cuda.is_available():
        raise UserError(f"device={device}: torch finds no CUDA device here: choose device=cpu")
    if torch.device(device).index is not None and torch.device(device).index >= torch.cuda.device_count():
        raise UserError(
            f"device={device}: there are only {torch.cuda.device_count()} CUDA devices, counted from 0"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value.name if isinstance(value, Enum) else value


def _numbers(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield prefix + name, value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
