"""One prompt becomes a NeRF and a turntable: python -m src.train prompt="a ceramic lion"

The only file that knows a whole run: prompt and prior, scene and optimiser, the steps (each told in
src/step.py, in the order in which data flows), checkpoints, log and video.  With plan=true it only says what
the run would cost.
"""

import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from src.assemble import assemble, make_guide
from src.config import RunConfig, as_dict, identity
from src.cost.plan import describe_plan, plan
from src.cost.preflight import describe, preflight
from src.cost.threads import choose_threads
from src.door import door
from src.errors import UserError
from src.export.video import check_exports, save_preview
from src.generators.source import check_source, load_source
from src.guidance.guide import Guide
from src.guidance.load import announce, load_prior, provenance_of
from src.guidance.losses import NFSD, component_norms
from src.guidance.prior import Prior
from src.guidance.prompts import NEGATIVE_PROMPT
from src.guidance.words import sentences, unknown_words
from src.model import CHECKPOINTS
from src.run import accelerators, checkpoint, machine
from src.run import folder as run_folder
from src.run.checkpoint import Checkpoint
from src.run.finite import check_finite, parameters_of
from src.run.log import METRICS, Log, Seconds
from src.run.ranks import Ranks, join
from src.run.seal import file_sha256
from src.scene.cameras import Cameras, sample_cameras
from src.step import Step, take_step
from src.streams import Streams


def train(cfg: RunConfig) -> float:
    """Distil the prior into a NeRF of the prompt, or continue where an earlier sitting stopped.

    Leaves in cfg.out everything a run has to show; returns the last step's mean opacity. Raises UserError
    for what the user can put right, and SystemExit after a signal, with all that was reached saved and
    exported.  With cfg.plan the run is only priced; 0 is returned and nothing written.
    """
    if cfg.plan:
        print(describe_plan(plan(cfg)), flush=True)
        return 0.0
    check_source(cfg)
    with join(cfg) as ranks, ExitStack() as stack:
        folder = run_folder.open_folder(cfg)
        if ranks.first:
            stack.enter_context(run_folder.alone_in(folder))
        ranks.wait()
        return distil(cfg, folder, ranks)


def distil(cfg: RunConfig, folder: Path, ranks: Ranks) -> float:
    """All of `train` but the pricing, in a folder that nobody else writes to."""
    # The run: continued if its folder holds one.
    device = machine.choose_device(cfg)
    check_exports(cfg.video)
    saved = None if cfg.fresh else checkpoint.load_latest(folder / CHECKPOINTS, aside=True)
    facts: dict[str, Any] = saved.facts if saved else {"step": 0, "seconds": {}, "unet_rows": 0}
    first_step: int = facts["step"]
    manifest = run_folder.read_manifest(folder) if saved else {}
    weights = manifest.get("prior", facts.get("prior", {}))  # of the prior so far
    if saved:
        moved = run_folder.check_same_run(cfg, facts["identity"])
        run_folder.check_same_source(cfg, facts.get("begun_from"))
        run_folder.say_what_changed(folder)
        if manifest.get("finished") and first_step >= cfg.steps:
            if moved:
                run_folder.check_same_prior(cfg, provenance_of(cfg.prior), weights)
            print(
                f"{folder}: finished at step {first_step}; steps=N goes on, fresh=true starts over",
                flush=True,
            )
            return float(manifest["opacity"])
    elif not cfg.fresh:
        run_folder.check_nothing_lost(folder)
    named = machine.set_up(cfg, device, facts)
    cfg = accelerators.settle(cfg, device, facts)
    seconds = Seconds(device, facts["seconds"])
    print(f"{folder}: {f'continuing at step {first_step}' if saved else 'starting'} on {device}", flush=True)

    views = ranks.views(cfg.batch_size)
    mine = replace(cfg, batch_size=len(views))

    # The prior, and the prompt seen from every side; what is edited, and what is optimised.
    prior = load_named_prior(cfg, device)
    run_folder.check_same_prior(cfg, prior.provenance(), weights)
    threads = named or choose_threads(cfg, prior)
    begun_from = facts.get("begun_from") or run_folder.source_sha256(cfg)
    wanted = cfg.source and not (saved and cfg.loss_name != "dds")  # what it began as is in its checkpoint
    source = load_source(cfg, prior, device) if wanted else None
    guide = make_guide(cfg, prior, source)
    prior.release_text_encoder()
    report_on_prompt(cfg, guide)
    if device.type == "cuda":  # a processor's memory cannot run out in a way that one could catch
        print(describe(preflight(mine, guide, device, first_step, source)), flush=True)
    run = assemble(cfg, guide, device, source)
    run.ranks = ranks
    run_folder.check_space(folder, run.modules(), cfg.logging.checkpoints_kept)
    if saved:
        checkpoint.restore(run.modules(), run.optimizers(), saved.tensors)

    if not ranks.first:  # what it writes is the first's as well, and nobody reads it
        scratch = TemporaryDirectory()
        folder = Path(scratch.name)

    # Nothing can go wrong any more that could have been known; only now is anything on disk replaced.
    if cfg.fresh:
        run_folder.clear(folder)
    manifest = run_folder.open_manifest(
        cfg, device, threads, folder, manifest, first_step if saved else None, prior.provenance()
    )
    run_folder.write_settings(cfg, folder)
    log = Log(folder, first_step, cfg.steps, cfg.logging.events_every)
    if ranks.first and facts.get("metrics_sha256") not in (None, file_sha256(folder / METRICS)):
        print(f"{folder / METRICS} is not what was written up to step {first_step}", file=sys.stderr)
    unet_rows: int = facts["unet_rows"]
    opacity: float = facts.get("opacity", 0.0)  # stays 0 where nothing is rendered

    def save(step: int) -> None:
        log.flush()
        told = {"step": step, "opacity": opacity, "unet_rows": unet_rows, "seconds": seconds.by_part()}
        told |= {"threads": threads, "device": str(device), "config": as_dict(cfg), "identity": identity(cfg)}
        told |= {"prior": prior.provenance(), "metrics_sha256": file_sha256(folder / METRICS)}
        told |= {"begun_from": begun_from}
        whole = Checkpoint(checkpoint.gather(run.modules(), run.optimizers()), told)
        checkpoint.save(folder / CHECKPOINTS, whole, cfg.logging.checkpoints_kept)

    def show(step: int) -> None:
        row = run.generator.preview()
        save_preview(folder, step, row)
        log.picture(step, row)

    with closing(log), machine.interruptible() as received:
        step, stopping = first_step, len(received)
        while step < cfg.steps and not stopping:
            if step % cfg.logging.preview_every == 0:
                show(step)

            draw = Streams(cfg.seed, step, views.start, device)
            done = take_step(run, step, draw, seconds, camera=ranks_camera(cfg, ranks, step, draw))

            check_finite(step, parameters_of(run.modules()))
            rows = done.terms.unet_rows + len(done.t) * bool(done.learnt)  # a critic learns from one
            numbers = {"t": float(done.t.double().mean())} | found_by(cfg, done)
            opacity = numbers["opacity"]
            log.step(step, cfg.schedule.at(step), numbers, draw.digest())
            step += 1
            stopping, rows = ranks.total(len(received), rows)
            unet_rows += rows
            if step % cfg.logging.checkpoint_every == 0 and step < cfg.steps:
                save(step)

        # What there is, also after a signal; the checkpoint first, because pictures take a while.
        if step > first_step:
            save(step)
        show(step)
        log.close()  # the bar ends here, before anything else is printed
        sha256 = checkpoint.parameters_sha256(run.generator.modules())
        ranks.check_alike(sha256)
        if not ranks.first:
            return opacity
        picture, *_ = run.generator.export(folder)
        manifest |= {
            "finished": step >= cfg.steps,
            "step": step,
            "opacity": opacity,
            "seconds": seconds.by_part(),
            "peak_rss_bytes": max(machine.peak_rss_bytes(), manifest["peak_rss_bytes"]),
            "unet_passes_per_sample": unet_rows / (step * cfg.batch_size) if step else 0.0,
            "processes": ranks.world,
            "parameters_sha256": sha256,
        }
        run_folder.write_manifest(folder, manifest)
        print(f"step {step} of {cfg.steps}: {picture}", flush=True)
    if received:
        raise SystemExit(128 + received[0])
    return opacity


def ranks_camera(cfg: RunConfig, ranks: Ranks, step: int, draw: Streams) -> Cameras | None:
    """The cameras of this process's views; None where it has them all and the step may draw them."""
    if ranks.world == 1:
        return None
    views, resolution = ranks.views(cfg.batch_size), cfg.schedule.at(step).resolution
    return sample_cameras(
        cfg.camera, len(views), resolution, draw.here("camera"), cfg.batch_size, views.start
    )


def load_named_prior(cfg: RunConfig, device: torch.device) -> Prior:
    """Load the prior and say which it is; where its download fails, say that another needs none."""
    try:
        prior = load_prior(cfg.prior, device)
    except UserError as error:
        if cfg.preset == "paper":
            raise UserError(f"{error}, or preset=laptop, which needs no download") from error
        raise
    announce(cfg.prior, prior)
    return prior


def report_on_prompt(cfg: RunConfig, guide: Guide) -> None:
    """Say what of the prompt the prior will not see or not understand; the run goes on."""
    prior, prompts = guide.prior, guide.prompts
    for setting, lost in prompts.cut.items():
        print(
            f"{setting} is longer than the prior's {prior.max_tokens} tokens; cut off: {lost!r}", flush=True
        )
    branches = cfg.loss.needs(torch.arange(1000))
    if cfg.prompts.negative != NEGATIVE_PROMPT and "negative" not in branches:
        print(f"prompts.negative changes nothing: loss={cfg.loss_name} never reads it", flush=True)
    if prior.known_words is not None:
        for sentence in sentences(unknown_words(cfg.prompt, prior.known_words)):
            print(sentence, flush=True)


def found_by(cfg: RunConfig, done: Step) -> dict[str, float]:
    """A step's numbers for the log, read back from the device at once.

    Norms of NFSD's parts are means over this step's samples in each fifth of the timesteps that has any.
    """
    seen, view = done.seen, done.seen.view
    scalars = {
        "opacity": torch.zeros_like(seen.penalty) if view is None else view.opacity.mean(),
        "gradient": done.grad.norm(),
        "penalty": seen.penalty,
        "latents_std": seen.latents.std(),
        **done.learnt,
    }
    norms = component_norms(done.terms, cfg.loss) if isinstance(cfg.loss, NFSD) else {}
    read = torch.cat([torch.stack(list(scalars.values())), *norms.values()]).cpu()
    found = dict(zip(scalars, read.tolist(), strict=False))
    if not isinstance(cfg.loss, NFSD):
        return found
    below = done.t < cfg.loss.cut
    has = {"condition": done.t >= 0, "domain": ~below, "restoring": below}
    for name, of_sample in zip(norms, read[len(scalars) :].split(len(done.t)), strict=True):
        for low in range(0, 1000, 200):
            here = has[name] & (done.t // 200 == low // 200)
            if here.any():
                found[f"{name}/t{low:03d}-{low + 199}"] = float(of_sample[here].mean())
    return found


if __name__ == "__main__":
    sys.exit(door(train, sys.argv[1:]))
