"""Which kernels a run computes with: torch's; or nerfacc's, tiny-cuda-nn's or ours in Triton where they work.

Nothing is built here: an accelerator counts once it loads and has computed something right on this device
(Triton compiles ours by itself, with what torch's CUDA wheels bring).  Only Triton's has been seen to do so.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from src.config import RunConfig
from src.errors import UserError
from src.scene.levels import HashGridBackend, plan_levels
from src.scene.rendering import RenderBackend
from src.streams import Streams

TRIED_POINTS = 1_000


class Accelerator(NamedTuple):
    """One accelerator: where it is chosen, how it is tried (raising what is wrong), how it is installed."""

    setting: str
    name: str
    attempt: Callable[[RunConfig, torch.device], None]
    install: str


def settle(cfg: RunConfig, device: torch.device, before: Mapping[str, Any]) -> RunConfig:
    """Return the settings with both backends decided, and say in one line what they are.

    `before` holds the `config` of the run so far, if there is one: unless another backend is named, the run
    keeps what it used, and a change is said.  Raises UserError where one that is named does not work here.
    """
    grid, past = cfg.field.hash_grid, before.get("config")
    # Runs from before there was a choice name none.
    past_render = past["render"].get("backend", "torch") if past else None
    past_encode = past["field"]["hash_grid"].get("backend", "torch") if past else None
    render, about_render = _choose([NERFACC], cfg.render.backend, past_render, cfg, device)
    encode, about_encode = _choose([TCNN, TRITON], grid.backend, past_encode, cfg, device)
    print(f"{NERFACC.setting}={render}{about_render}, {TCNN.setting}={encode}{about_encode}", flush=True)
    return replace(
        cfg,
        render=replace(cfg.render, backend=RenderBackend[render]),
        field=replace(cfg.field, hash_grid=replace(grid, backend=HashGridBackend[encode])),
    )


def _choose(
    accelerators: list[Accelerator], asked: str, used: str | None, cfg: RunConfig, device: torch.device
) -> tuple[str, str]:
    """The first backend that works of those that are wanted; and, in brackets, what there is to say of it."""
    wanted = used if used and asked == "auto" else asked
    if wanted == "auto" and device.type != "cuda":  # nothing to look for, and nothing to say
        wanted = "torch"
    chosen, remarks = "torch", []
    for accelerator in accelerators:
        if wanted not in ("auto", accelerator.name):
            continue
        problem = _problem(accelerator, asked == accelerator.name, cfg, device)
        if problem is None:
            chosen = accelerator.name
            break
        remarks.append(f"{accelerator.name}: {problem}")
    if used and used != chosen:
        remarks.append(f"this run used {used} so far: its numbers will differ")
    return chosen, f" ({'; '.join(remarks)})" if remarks else ""


def _problem(accelerator: Accelerator, named: bool, cfg: RunConfig, device: torch.device) -> str | None:
    """What keeps an accelerator from working here; raises UserError about it where the user named it."""
    setting, name = accelerator.setting, accelerator.name
    try:
        if device.type != "cuda":
            raise RuntimeError(f"it needs a CUDA device, and this run is on {device}")
        accelerator.attempt(cfg, device)
    except UserError as error:  # these settings are beyond it
        if named:
            raise
        return str(error)
    except Exception as error:  # a compiler may fail with anything
        problem = " ".join(str(error).split()).rstrip(".")
        if named:
            raise UserError(
                f"{setting}={name}: {problem}: choose {setting}=torch or, on a machine with CUDA, "
                f"install it: {accelerator.install}"
            ) from error
        return problem
    return None


def _attempt_nerfacc(cfg: RunConfig, device: torch.device) -> None:
    """Load nerfacc's extension without building it, and add two numbers."""
    import nerfacc
    from torch.utils.cpp_extension import LIB_EXT, get_default_build_root

    if importlib.util.find_spec("nerfacc.csrc") is None:  # no wheel with the extension inside
        # nerfacc would load what an earlier process built, but compile for minutes where that is out of date.
        python = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
        toolkit = f"cu{(torch.version.cuda or '').replace('.', '')}"
        usual = Path(get_default_build_root()) / f"{python}_{toolkit}"
        library = Path(os.environ.get("TORCH_EXTENSIONS_DIR", usual)) / f"nerfacc_cuda/nerfacc_cuda{LIB_EXT}"
        spec = importlib.util.spec_from_file_location("nerfacc_cuda", library)
        if not library.exists() or spec is None or spec.loader is None:
            raise ImportError("its CUDA extension has not been built")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules["nerfacc.csrc"] = nerfacc.csrc = module  # where nerfacc looks first
    one = torch.ones(2, device=device)
    # It overlooks its kernels' errors (one built for another GPU does nothing): the sums must be looked at.
    sums = nerfacc.exclusive_sum(one, torch.tensor([[0, 2]], device=device))
    if sums.tolist() != [0, 1]:
        raise RuntimeError(f"it adds 1 and 1 up to {sums.tolist()} on this device, where [0, 1] is right")


def _attempt_tcnn(cfg: RunConfig, device: torch.device) -> None:
    """Encode a point with this run's grid; tiny-cuda-nn itself checks that the parameters are as many."""
    from src.scene.tcnn_encoding import TcnnEncoding

    grid = cfg.field.hash_grid
    table = torch.ones(sum(level.rows for level in plan_levels(grid)), grid.features, device=device)
    encoded = TcnnEncoding(grid)(torch.full((1, 3), 0.5, device=device), table)
    if not torch.allclose(encoded, torch.ones_like(encoded)):
        raise RuntimeError("it does not blend a table of ones to ones on this device")


def _attempt_triton(cfg: RunConfig, device: torch.device) -> None:
    """Encode some points with this run's grid, and a gradient; torch says what is right."""
    from src.scene.hash_grid_at_once import AtOnce
    from src.scene.hash_grid_triton import InTriton

    grid = cfg.field.hash_grid
    levels, draw = plan_levels(grid), Streams(0, 0, device=device)
    table = draw("table").uniform(1, sum(level.rows for level in levels), grid.features)[0]
    points = draw("points").uniform(1, TRIED_POINTS, 3)[0]
    upstream = draw("upstream").uniform(1, TRIED_POINTS, grid.levels * grid.features)[0]
    found = []
    for kernels in (InTriton(levels), AtOnce(levels)):
        gradient = torch.zeros_like(table)
        kernels.accumulate(points, upstream, gradient)
        found.append((kernels.encode(points, table), gradient))
    for ours, right, what in zip(*found, ("encode", "take its gradient"), strict=True):
        # A cell may flip where a product is fused with a sum; the blend is continuous there.
        if not torch.allclose(ours, right, rtol=0, atol=1e-2 * float(right.abs().max())):
            raise RuntimeError(f"it does not {what} as torch does on this device")


NERFACC = Accelerator(
    setting="render.backend",
    name="nerfacc",
    attempt=_attempt_nerfacc,
    # Its wheel holds sources only, and compiles them when its kernels are first asked for.
    install='pip install nerfacc==0.5.3 ninja && python -c "import nerfacc.cuda._backend" '
    "(compiles for minutes, once; needs nvcc, and torch below 2.14)",
)
TRITON = Accelerator(
    setting="field.hash_grid.backend",
    name="triton",
    attempt=_attempt_triton,
    install="pip install triton (Linux; torch's CUDA wheels bring it)",
)
TCNN = Accelerator(
    setting="field.hash_grid.backend",
    name="tcnn",
    attempt=_attempt_tcnn,
    install='pip install "setuptools<81" wheel ninja && TCNN_CUDA_ARCHITECTURES=90 pip install '
    "--no-build-isolation "
    '"git+https://github.com/NVlabs/tiny-cuda-nn@6ee3546#subdirectory=bindings/torch" '
    "(90: the GPU's compute capability; compiles for minutes; needs nvcc, and torch below 2.14)",
)
