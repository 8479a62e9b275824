"""Rebuild the bundled prior from nothing: `python -m src.toybox.train [name=value ...]`.

Four stages, each resumable by the same command: render the world, fit the autoencoder, encode the world, fit the denoiser
with its text encoder. Every few minutes the current weights are exported in the layout of a StableDiffusionPipeline, so a
prior half-way through can already be sampled (`python -m src.toybox.sample path=...`). Wants the extra `toybox` (numba).
"""

import copy
import json
import os
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.lib.format import open_memmap  # unlike np.load, it never unpickles
from omegaconf import OmegaConf
from torch import Tensor, nn
from tqdm import tqdm

from src.checkpoint import Checkpoint, gather, load_latest, restore, save
from src.guidance.prompts import NEGATIVE_PROMPT, SUFFIXES
from src.toybox import networks
from src.toybox.captions import Subject, caption, vocabulary
from src.toybox.export import export
from src.toybox.world import write_shard


@dataclass
class Settings:
    """What the command line can change."""

    folder: str = "outputs/toybox"  # world, checkpoints, logs
    weights: str = "outputs/toybox/weights"  # the exported pipeline; src/toybox/weights is the one that ships
    shards: int = 50  # of 2,000 pictures
    autoencoder_steps: int = 3700
    denoiser_steps: int = 5000
    batch_size: int = 64
    autoencoder_batch_size: int = 16
    learning_rate: float = 1e-3
    caption_dropout: float = 0.12
    ema: float = 0.999
    seed: int = 0
    processes: int = 2  # one thread each; may change between restarts
    checkpoint_seconds: int = 180


class Team:
    """The processes that share one batch: who am I, and the mean of everybody's gradients."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        if size > 1:
            dist.init_process_group("gloo", init_method="env://", rank=rank, world_size=size)

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        if self.size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        flat /= self.size
        for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()


class Fit:
    """One network (or several) under AdamW with a warm-up, a plateau and a linear descent; an exponential mean beside it."""

    def __init__(self, cfg: Settings, team: Team, name: str, steps: int, modules: dict[str, nn.Module]) -> None:
        self.cfg, self.team, self.steps, self.modules = cfg, team, steps, modules
        self.mean = {name: copy.deepcopy(m).requires_grad_(False) for name, m in modules.items()}
        self.parameters = [p for m in modules.values() for p in m.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=cfg.learning_rate, weight_decay=0.01, fused=True)
        self.folder = Path(cfg.folder) / name
        self.log = self.folder / "loss.jsonl"
        self.step = 0
        found = load_latest(self.folder)
        if found is not None:
            restore(self._everything(), self.optimizer, found.tensors)
            self.step = int(found.facts["step"])
        self.team.wait()  # nobody may write a new checkpoint while another still reads

    def run(self, loss_of_step) -> None:  # type: ignore[no-untyped-def]
        """Minimise `loss_of_step(step) -> Tensor` up to the last step, saving as it goes."""
        saved, losses = time.monotonic(), []
        bar = tqdm(total=self.steps, initial=self.step, desc=self.folder.name, disable=self.team.rank > 0)
        while self.step < self.steps:
            for group in self.optimizer.param_groups:
                group["lr"] = self.cfg.learning_rate * self._pace()
            loss = loss_of_step(self.step)
            if not torch.isfinite(loss):
                raise SystemExit(f"{self.folder.name}: the loss of step {self.step} is {loss.item()}")
            loss.backward()
            self.team.average_gradients(self.parameters)
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.step += 1
            decay = min(self.cfg.ema, self.step / (self.step + 10))
            with torch.no_grad():
                for name, module in self.modules.items():
                    for mean, value in zip(self.mean[name].parameters(), module.parameters(), strict=True):
                        mean.lerp_(value, 1 - decay)
            losses.append(loss.item())
            bar.update()
            if self.step % 50 == 0 and self.team.rank == 0:
                bar.set_postfix(loss=f"{np.mean(losses):.4f}")
                with self.log.open("a") if self.log.exists() else _new(self.log) as file:
                    file.write(json.dumps({"step": self.step, "loss": float(np.mean(losses))}) + "\n")
                losses = []
            if self.team.rank == 0 and (time.monotonic() - saved > self.cfg.checkpoint_seconds or self.step == self.steps):
                self.save()
                saved = time.monotonic()
        bar.close()
        self.team.wait()

    def save(self) -> None:
        save(self.folder, Checkpoint(gather(self._everything(), self.optimizer), {"step": self.step}))
        if "unet" in self.mean:
            export(Path(self.cfg.weights), self.mean, Path(self.cfg.folder), self.step * self.cfg.batch_size)

    def _pace(self) -> float:
        """Learning rate as a share of the full one: 100 steps up, flat, the last 30% down."""
        return min(1.0, (self.step + 1) / 100, (self.steps - self.step) / (0.3 * self.steps))

    def _everything(self) -> dict[str, nn.Module]:
        return self.modules | {f"mean-{name}": m for name, m in self.mean.items()}


def _new(path: Path):  # type: ignore[no-untyped-def]
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w")


def to_unit(pixels: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] to [B, 3, H, W] in [-1, 1]."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()
    return (image / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def render_world(cfg: Settings, team: Team) -> None:
    world = Path(cfg.folder) / "world"
    world.mkdir(parents=True, exist_ok=True)
    mine = range(team.rank, cfg.shards, team.size)
    for index in tqdm(mine, desc="world", disable=team.rank > 0):
        if not (world / f"{index:04d}.json").exists():
            write_shard(world, cfg.seed, index)
    team.wait()


def fit_autoencoder(cfg: Settings, team: Team) -> nn.Module:
    """L1 + MSE + a light KL on clean and degraded pictures alike."""
    torch.manual_seed(cfg.seed)
    vae = networks.autoencoder().to(memory_format=torch.channels_last)
    shards = [open_memmap(path, mode="r") for path in sorted((Path(cfg.folder) / "world").glob("*.npy"))]

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([cfg.seed, 1, step])
        picks = rng.integers(0, [len(shards), len(shards[0])], (cfg.autoencoder_batch_size, 2))[team.rank :: team.size]
        image = to_unit(np.stack([shards[s][i] for s, i in picks]))
        posterior = vae.encode(image).latent_dist
        z = posterior.mean + posterior.std * torch.from_numpy(rng.standard_normal(posterior.mean.shape, np.float32))
        error = vae.decode(z).sample - image
        return error.abs().mean() + error.square().mean() + 3e-4 * posterior.kl().mean() / posterior.mean[0].numel()

    fit = Fit(cfg, team, "autoencoder", cfg.autoencoder_steps, {"vae": vae})
    fit.run(loss)
    vae = fit.mean["vae"]
    with torch.no_grad():  # latents of unit variance: fold their mean and deviation into the 1x1 convolutions
        images = to_unit(np.concatenate([shard[:64] for shard in shards[:16]]))
        z = torch.cat([vae.encode(part).latent_dist.mean for part in images.split(64)])
        mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
        out, back = vae.quant_conv, vae.post_quant_conv
        back.bias += back.weight[:, :, 0, 0] @ mean
        back.weight *= std[None, :, None, None]
        out.weight[:4] /= std[:, None, None, None]
        out.bias[:4] = (out.bias[:4] - mean) / std
        out.bias[4:] -= 2 * std.log()
        restored = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in images.split(64)])
        mse = ((restored.clamp(-1, 1) - images) / 2).square().mean((1, 2, 3))
    if team.rank == 0:
        print(f"autoencoder: {(-10 * mse.log10()).mean():.1f} dB mean over {len(images)} pictures")
    return vae


@torch.no_grad()
def encode_world(cfg: Settings, team: Team, vae: nn.Module) -> None:
    """Posterior mean and deviation of every picture, float16 [N, 8, 16, 16] a shard."""
    folder = Path(cfg.folder) / "latents"
    folder.mkdir(exist_ok=True)
    for index in range(team.rank, cfg.shards, team.size):
        path = folder / f"{index:04d}.npy"
        if not path.exists():
            pixels = open_memmap(Path(cfg.folder) / "world" / f"{index:04d}.npy", mode="r")
            posteriors = [vae.encode(to_unit(part)).latent_dist for part in np.array_split(pixels, 40)]
            latents = torch.cat([torch.cat([p.mean, p.std], 1) for p in posteriors]).half()
            np.save(folder / f".{index:04d}.npy", latents.contiguous().numpy())
            os.replace(folder / f".{index:04d}.npy", path)
    team.wait()


def fit_denoiser(cfg: Settings, team: Team, vae: nn.Module) -> None:
    """eps-prediction, weighted by 1 / sqrt(SNR) within [1/4, 4]: plain eps spends most of its effort on the finest noise."""
    torch.manual_seed(cfg.seed)
    words = [*vocabulary(), *NEGATIVE_PROMPT.replace(",", " ").replace("-", " ").split(), ",", "-", "."]
    words += [word for suffixes in SUFFIXES.values() for suffix in suffixes for word in suffix.strip(", ").split()]
    tokens = networks.tokenizer(words, Path(cfg.folder) / "tokenizer")
    modules = {"text": networks.text_encoder(tokens), "unet": networks.denoiser().to(memory_format=torch.channels_last)}
    latents = [open_memmap(path, mode="r") for path in sorted((Path(cfg.folder) / "latents").glob("0*.npy"))]
    facts = [json.loads(path.read_text()) for path in sorted((Path(cfg.folder) / "world").glob("*.json"))]
    alphas = networks.noise_schedule().alphas_cumprod
    weights = (alphas / (1 - alphas)).rsqrt().clamp(0.25, 4)

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([cfg.seed, 2, step])
        picks = rng.integers(0, [len(latents), len(latents[0])], (cfg.batch_size, 2))
        captions = []
        for s, i in picks:
            fact = facts[s][i]
            text = caption(Subject(**fact["subject"]), fact["views"], fact["bad_words"], rng)
            captions.append("" if rng.random() < cfg.caption_dropout else text)
        t = torch.from_numpy(rng.integers(0, 1000, cfg.batch_size))
        noise = torch.from_numpy(rng.standard_normal((2, cfg.batch_size, 4, 16, 16), np.float32))
        mine = slice(team.rank, None, team.size)
        posterior = torch.from_numpy(np.stack([latents[s][i] for s, i in picks[mine]])).float()
        t, (jitter, eps) = t[mine], noise[:, mine]
        z = posterior[:, :4] + posterior[:, 4:] * jitter
        alpha, sigma = alphas[t].sqrt()[:, None, None, None], (1 - alphas[t]).sqrt()[:, None, None, None]
        noised = (alpha * z + sigma * eps).contiguous(memory_format=torch.channels_last)
        ids = tokens(captions[mine], padding="max_length", truncation=True, max_length=networks.TOKENS, return_tensors="pt")
        text = modules["text"](ids.input_ids)[0]
        error = modules["unet"](noised, t, text).sample - eps
        return (weights[t] * error.square().mean((1, 2, 3))).mean()

    fit = Fit(cfg, team, "denoiser", cfg.denoiser_steps, modules)
    fit.mean["vae"] = vae  # exported beside the means of the others; never trained here
    fit._everything = lambda: modules | {f"mean-{n}": fit.mean[n] for n in modules}  # type: ignore[method-assign]
    fit.run(loss)


def work(rank: int, cfg: Settings) -> None:
    """All stages, as one process of a team."""
    torch.set_num_threads(1)
    team = Team(rank, cfg.processes)
    render_world(cfg, team)
    vae = fit_autoencoder(cfg, team)
    encode_world(cfg, team, vae)
    fit_denoiser(cfg, team, vae)


def main() -> None:
    known = {field.name for field in fields(Settings)}
    given = OmegaConf.from_cli(sys.argv[1:])
    unknown = set(map(str, given)) - known
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: no such setting; there are {', '.join(sorted(known))}")
    cfg = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Settings), given))
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29517")
    if cfg.processes == 1:  # type: ignore[union-attr]
        work(0, cfg)  # type: ignore[arg-type]
    else:
        torch.multiprocessing.spawn(work, (cfg,), nprocs=cfg.processes)  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
