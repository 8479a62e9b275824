"""Folders of runs as a sweep leaves them, made by hand: settings, manifest, digests, turntable."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from src.config import RunConfig, as_dict, run_name
from tests.runs import tiny

VIEWS, SIZE = 8, 12


def color(view: int, panel: int) -> tuple[int, int, int]:
    """What stands in one panel of one frame of every turntable here: flat, each its own."""
    return (30 * view, 100 * panel, 128)


@cache
def composed(arguments: tuple[str, ...], prompt: str) -> RunConfig:
    """Settings of a run, whatever its folder; Hydra takes a quarter of a second for them."""
    return tiny(Path("anywhere"), "steps=3", *arguments, prompt=prompt)


def make_run(
    folder: Path,
    *arguments: str,
    prompt: str = "a red cube",
    draws: tuple[str, ...] = ("a", "b", "c"),
    turns: bool = True,
    **manifest: Any,
) -> Path:
    """Leave a finished run of the tiny settings; `arguments` change them, `manifest` its facts."""
    cfg = composed(arguments, prompt)
    path = folder / run_name(cfg)
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(as_dict(cfg), sort_keys=False))
    facts: Mapping[str, Any] = {
        "finished": True,
        "step": 3,
        "seconds": {"render": 1.0, "unet": 2.5},
        "unet_passes_per_sample": 2.5,
        "opacity": 0.25,
        "parameters_sha256": "f00d",
    }
    (path / "manifest.json").write_text(json.dumps({**facts, **manifest}))
    rows = [json.dumps({"step": step, "draws": digest}) + "\n" for step, digest in enumerate(draws)]
    (path / "metrics.jsonl").write_text("".join(rows))
    if turns:
        frames = []
        for view in range(VIEWS):
            frame = Image.new("RGB", (3 * SIZE, SIZE))
            for panel in range(3):
                frame.paste(color(view, panel), (panel * SIZE, 0, (panel + 1) * SIZE, SIZE))
            frames.append(frame)
        frames[0].save(path / "turntable.webp", save_all=True, append_images=frames[1:], lossless=True)
    return path


def grid_of(folder: Path) -> Path:
    """Two losses, two scales, two seeds; SDS at 100, seed 1, is missing and NFSD at 7.5, seed 1, stopped."""
    for loss in ("nfsd", "sds"):
        for scale in ("7.5", "100"):
            for seed in ("0", "1"):
                if (loss, scale, seed) != ("sds", "100", "1"):
                    stopped = (loss, scale, seed) == ("nfsd", "7.5", "1")
                    arguments = (f"loss={loss}", f"loss.guidance_scale={scale}", f"seed={seed}")
                    facts = {"finished": False, "step": 2} if stopped else {}
                    draws = ("a", "b") if stopped else (f"a{seed}", "b", "c")
                    make_run(folder, *arguments, draws=draws, **facts)
    return folder
