"""One prompt becomes a NeRF and a turntable: python -m src.train prompt="a ceramic lion"

The only file that knows the whole story, told in the order in which data flows: prompt, camera, image,
latents, noise predictions, score terms, gradient, optimiser step; then checkpoint, log and video.
"""

import sys
from contextlib import closing
from typing import Any

import torch

from src import accelerators, checkpoint, machine, run_folder
from src.checkpoint import Checkpoint
from src.config import RunConfig, as_dict, identity
from src.door import door
from src.errors import UserError
from src.export.video import export, preview, save_preview
from src.guidance.losses import NFSD, component_norms, surrogate
from src.guidance.prior import Prior, announce, load_prior
from src.guidance.prompts import PromptBank, unknown_words
from src.guidance.terms import ScoreTerms, score_terms
from src.guidance.timesteps import sample_timesteps
from src.log import Log, Seconds
from src.model import CHECKPOINTS, Model, build, make_optimizer
from src.scene.cameras import sample_cameras
from src.scene.regularizers import regularize
from src.scene.rendering import render
from src.streams import Streams


def train(cfg: RunConfig) -> float:
    """Distil the prior into a NeRF of the prompt, or continue where an earlier sitting stopped.

    Leaves in cfg.out everything a run has to show; returns the last step's mean opacity. Raises UserError
    for what the user can put right, and SystemExit after a signal, with all that was reached saved and
    exported.
    """
    # The run: continued if its folder holds one.
    device = machine.choose_device(cfg)
    folder = run_folder.open_folder(cfg)
    saved = None if cfg.fresh else checkpoint.load_latest(folder / CHECKPOINTS)
    facts: dict[str, Any] = saved.facts if saved else {"step": 0, "seconds": {}, "unet_rows": 0}
    first_step: int = facts["step"]
    manifest = run_folder.read_manifest(folder) if saved else {}
    if saved:
        run_folder.check_same_run(cfg, facts["identity"])
        if manifest.get("finished") and first_step >= cfg.steps:
            print(
                f"{folder}: finished at step {first_step}; steps=N goes on, fresh=true starts over",
                flush=True,
            )
            return float(manifest["opacity"])
    threads = machine.set_up(cfg, device, facts)
    cfg = accelerators.settle(cfg, device, facts)
    seconds = Seconds(device, facts["seconds"])
    print(f"{folder}: {f'continuing at step {first_step}' if saved else 'starting'} on {device}", flush=True)

    # The prior, and the prompt seen from every side.
    prior = load_named_prior(cfg, device)
    prompts = PromptBank(prior, cfg.prompt, cfg.prompts)
    prior.release_text_encoder()
    report_on_prompt(cfg, prior, prompts)

    # The scene and its optimiser.
    model = build(cfg, device)
    field, background, occupancy = model
    optimizer = make_optimizer(cfg, model)
    run_folder.check_space(folder, model)
    if saved:
        checkpoint.restore(model.modules(), optimizer, saved.tensors)
    rehearse(cfg, model, prior, prompts, device)

    # Nothing can go wrong any more that could have been known; only now is anything on disk replaced.
    run_folder.begin(cfg, folder)
    manifest = run_folder.open_manifest(
        cfg, device, threads, folder, manifest, first_step if saved else None, prior.provenance()
    )
    log = Log(folder, first_step, cfg.steps, cfg.logging.events_every)
    unet_rows: int = facts["unet_rows"]
    opacity: float = facts.get("opacity", 0.0)

    def save(step: int) -> None:
        log.flush()
        told = {"step": step, "opacity": opacity, "unet_rows": unet_rows, "seconds": seconds.by_part()}
        told |= {"threads": threads, "device": str(device), "config": as_dict(cfg), "identity": identity(cfg)}
        checkpoint.save(folder / CHECKPOINTS, Checkpoint(checkpoint.gather(model.modules(), optimizer), told))

    with closing(log), machine.interruptible() as received:
        step = first_step
        while step < cfg.steps and not received:
            if step % cfg.logging.preview_every == 0:
                save_preview(folder, step, preview(cfg, model, cfg.logging.preview_size))

            stage = cfg.schedule.at(step)
            draw = Streams(cfg.seed, step, device=device)

            # Parameters to image.
            with seconds("render"):
                occupancy.update(field, draw("occupancy"), step)
                camera = sample_cameras(cfg.camera, cfg.batch_size, stage.resolution, draw("camera"))
                view = render(field, background, occupancy, camera, cfg.render, draw)

            # Image to the gradient of its latents.
            with seconds("encode"):
                latents = prior.encode(view.image, draw("vae"))
            with seconds("unet"):
                t = sample_timesteps(stage.t_min, stage.t_max, cfg.batch_size, draw("t"))
                noise = draw("noise").normal(*latents.shape)
                text = prompts(camera.azimuth, camera.elevation)
                terms = score_terms(prior, latents, noise, t, text, cfg.loss.needs(t))
                grad = cfg.loss(terms)  # the whole difference between methods

            # Gradient to parameters.
            with seconds("backward"):
                penalty = regularize(cfg.regularizer, view, step, latents[0].numel())
                (surrogate(latents, grad) + penalty).backward()
            with seconds("optimiser"):
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            opacity = float(view.opacity.detach().mean())
            unet_rows += terms.unet_rows
            numbers = {
                "t": float(t.double().mean()),
                "opacity": opacity,
                "gradient": float(grad.norm()),
                "penalty": float(penalty.detach()),
                "latents_std": float(latents.detach().std()),
                **components(cfg, terms),
            }
            log.step(step, stage, numbers, draw.digest())
            step += 1
            if step % cfg.logging.checkpoint_every == 0 and step < cfg.steps:
                save(step)

        # What there is, also after a signal; the checkpoint first, because pictures take a while.
        if step > first_step:
            save(step)
        log.close()  # the bar ends here, before anything else is printed
        save_preview(folder, step, preview(cfg, model, cfg.logging.preview_size))
        turntable, *_ = export(cfg, model, folder)
        manifest |= {
            "finished": step >= cfg.steps,
            "step": step,
            "opacity": opacity,
            "seconds": seconds.by_part(),
            "peak_rss_bytes": max(machine.peak_rss_bytes(), manifest["peak_rss_bytes"]),
            "unet_passes_per_sample": unet_rows / (step * cfg.batch_size) if step else 0.0,
            "parameters_sha256": checkpoint.parameters_sha256(model.modules()),
        }
        run_folder.write_manifest(folder, manifest)
        print(f"step {step} of {cfg.steps}: {turntable}", flush=True)
    if received:
        raise SystemExit(128 + received[0])
    return opacity


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


def report_on_prompt(cfg: RunConfig, prior: Prior, prompts: PromptBank) -> None:
    """Say what of the prompt the prior will not see or not understand; the run goes on."""
    for setting, lost in prompts.cut.items():
        print(
            f"{setting} is longer than the prior's {prior.max_tokens} tokens; cut off: {lost!r}", flush=True
        )
    unknown = unknown_words(cfg.prompt, prior.known_words) if prior.known_words is not None else {}
    for word, near in unknown.items():
        print(f"the prior does not know {word!r}; the nearest words it knows: {', '.join(near)}", flush=True)


def rehearse(cfg: RunConfig, model: Model, prior: Prior, prompts: PromptBank, device: torch.device) -> None:
    """Run the largest step once and forget it: too little GPU memory shows now and not at step 5,000."""
    if device.type != "cuda":  # a processor's memory cannot run out in a way that one could catch
        return
    resolution = max(cfg.schedule.resolution, cfg.schedule.resolution_after)
    draw = Streams(cfg.seed, 0, device=device)
    try:
        camera = sample_cameras(cfg.camera, cfg.batch_size, resolution, draw("camera"))
        view = render(*model, camera, cfg.render, draw)
        latents = prior.encode(view.image, draw("vae"))
        t = torch.full((cfg.batch_size,), cfg.schedule.t_max, device=device)
        text = prompts(camera.azimuth, camera.elevation)
        terms = score_terms(prior, latents, draw("noise").normal(*latents.shape), t, text, cfg.loss.needs(t))
        surrogate(latents, cfg.loss(terms)).backward()
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"device={device} has too little memory for {resolution}x{resolution} pixels: lower "
            "schedule.resolution_after or render.chunk_samples, or choose preset=laptop"
        ) from error
    for module in model:
        module.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()


def components(cfg: RunConfig, terms: ScoreTerms) -> dict[str, float]:
    """Norms of NFSD's parts where this step's t have them; with t beside them they can be told apart by t."""
    if not isinstance(cfg.loss, NFSD):
        return {}
    norms = {name: float(norm.nanmean()) for name, norm in component_norms(terms, cfg.loss).items()}
    return {name: norm for name, norm in norms.items() if norm == norm}


if __name__ == "__main__":
    sys.exit(door(train, sys.argv[1:]))
