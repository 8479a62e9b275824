"""Rebuild the bundled prior from nothing: `python -m src.toybox.train [name=value ...]`.

Four stages, each resumable by the same command: render the world, fit the autoencoder, encode the world, fit
the denoiser with its text encoder. Every few minutes the current weights are exported in the layout of a
StableDiffusionPipeline, so a prior half-way through can already be sampled (`python -m src.toybox.sample
path=...`). `start=FOLDER` goes on from an exported prior instead of from nothing. `device=cuda` fits on a
GPU, while the processor's cores render: pictures are learnt from as they are finished. Checkpoints move
between devices. Wants the extra `toybox` (numba).
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch.multiprocessing.spawn import ProcessExitedException, spawn
from tqdm import tqdm

from src.arguments import parse
from src.door import one_sentence
from src.errors import UserError
from src.toybox.prior.denoising import fit_denoiser
from src.toybox.prior.fitting import Team
from src.toybox.prior.latents import encode_world, fit_autoencoder
from src.toybox.prior.settings import Settings
from src.toybox.prior.shards import nobody_renders
from src.toybox.world.pictures import write_shard


def render_world(rank: int, cfg: Settings) -> None:
    """Render every so many-th of the shards that are missing."""
    torch.set_num_threads(1)
    world = Path(cfg.folder) / "world"
    world.mkdir(parents=True, exist_ok=True)
    mine = range(rank, cfg.shards, cfg.renderers())
    try:
        for index in tqdm(mine, desc="world", disable=rank > 0):
            if not (world / f"{index:04d}.json").exists():
                write_shard(world, cfg.seed, index)
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def fit_networks(rank: int, cfg: Settings, check: Callable[[], object] = nobody_renders) -> None:
    """All stages after the first, as one process of a team; `check` raises if nobody renders any more."""
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True  # all batches are of one shape
    try:
        team = Team(rank, cfg.processes)
        vae = fit_autoencoder(cfg, team, check)
        encode_world(cfg, team, vae)
        fit_denoiser(cfg, team, vae, check)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def in_processes(work: Callable[[int, Settings], None], count: int, cfg: Settings) -> None:
    """Do a piece of work in so many processes, in this one if it is one."""
    if count == 1:
        work(0, cfg)
    else:
        spawn(work, (cfg,), nprocs=count)


@one_sentence
def main(arguments: list[str]) -> int:
    """Exit code 0, 2 after one sentence about what the user can put right, 130 after Ctrl-C."""
    cfg = parse(Settings, arguments)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29517")
    try:
        if cfg.device == "cpu":
            in_processes(render_world, cfg.renderers(), cfg)
            in_processes(fit_networks, cfg.processes, cfg)
        else:
            renderers = spawn(render_world, (cfg,), nprocs=cfg.renderers(), join=False, daemon=True)
            fit_networks(0, cfg, lambda: renderers.join(timeout=0))
    except ProcessExitedException as error:  # it has said why
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
