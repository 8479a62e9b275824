"""Training: the same numbers whatever happens to the process; and a run's folder holds what was promised."""

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.config import RunConfig
from src.cost import threads
from src.errors import UserError
from src.guidance.load import load_prior
from src.guidance.prompts import PromptBank
from src.run import machine
from src.run.log import Log
from src.train import train
from tests.runs import tiny

ROOT = Path(__file__).parent.parent


class Killed(BaseException):
    """Stands for kill -9: nothing in src may catch it."""


def manifest(cfg: RunConfig) -> dict[str, Any]:
    return json.loads((Path(str(cfg.out)) / "manifest.json").read_text())


def metrics(cfg: RunConfig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(str(cfg.out)) / "metrics.jsonl").read_text().splitlines()]


def killed_at(monkeypatch: pytest.MonkeyPatch, step: int, cfg: RunConfig) -> None:
    """Train and die in the middle of a step, with rows written that no checkpoint covers."""
    log_step = Log.step

    def log_or_die(self: Log, now: int, *rest: Any) -> None:
        log_step(self, now, *rest)
        if now == step:
            raise Killed

    with monkeypatch.context() as context:
        context.setattr(Log, "step", log_or_die)
        with pytest.raises(Killed):
            train(cfg)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    cfg = tiny(tmp_path_factory.mktemp("undisturbed"))
    train(cfg)
    return cfg


def test_the_folder_holds_what_was_promised(undisturbed: RunConfig) -> None:
    """Oracle: the issue's list."""
    folder = Path(str(undisturbed.out))
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *(
            "config.yaml",
            "metrics.jsonl",
            "manifest.json",
            "events",
            "checkpoints",
            "previews",
            "previews.png",
        ),
        *("turntable.mp4", "turntable.webp", "sheet.png"),
        ".lock",
    }
    told = manifest(undisturbed)
    assert told["prior"] == {}  # it is computed
    assert {"preset", "device", "threads", "versions", "commit", "peak_rss_bytes"} <= set(told)
    assert set(told["seconds"]) == {"render", "encode", "unet", "backward", "optimiser", "rest"}
    assert all(spent > 0 for spent in told["seconds"].values())
    assert (told["render_backend"], told["hash_grid_backend"]) == ("torch", "torch")
    assert told["resumed_from_steps"] == []
    assert told["finished"]
    assert len(told["parameters_sha256"]) == 64
    assert [row["step"] for row in metrics(undisturbed)] == list(range(7))


def test_norms_of_nfsds_parts_are_told_apart_by_t(undisturbed: RunConfig) -> None:
    """Oracle: eq. 7 with a cut of 200: only below it something restores, only above is a domain part."""
    named = {name for row in metrics(undisturbed) for name in row if "/t" in name}
    assert {name.split("/")[0] for name in named} == {"condition", "domain", "restoring"}
    assert {name for name in named if "restoring" in name} <= {"restoring/t000-199"}
    assert "domain/t000-199" not in named
    for row in metrics(undisturbed):
        assert any(name.startswith("condition/t") for name in row)


def test_unet_passes_are_what_the_loss_asked_for(undisturbed: RunConfig) -> None:
    """Oracle: two rows a sample, and a third where t >= 200; the mean over the rows that were logged."""
    told = manifest(undisturbed)["unet_passes_per_sample"]
    assert 2 <= told <= 3
    assert told * 14 == pytest.approx(round(told * 14))  # 7 steps of 2 views: a whole number of rows


def test_previews_grow_by_a_row(undisturbed: RunConfig) -> None:
    """Oracle: rows at steps 0, 3, 6 and the end, of four 8-pixel views each."""
    with Image.open(Path(str(undisturbed.out)) / "previews.png") as grid:
        assert grid.size == (4 * 8, 4 * 8)


def test_previews_are_in_tensorboard(undisturbed: RunConfig) -> None:
    """Oracle: the steps of the previews' own files."""
    assert undisturbed.out is not None
    events = EventAccumulator(str(Path(undisturbed.out) / "events"))
    events.Reload()
    files = (Path(undisturbed.out) / "previews").glob("step-*.png")
    assert [event.step for event in events.Images("preview")] == sorted(int(path.stem[5:]) for path in files)


@pytest.mark.parametrize("steps", [[0], [3], [5], [1, 3, 6]])
def test_a_killed_run_ends_bit_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: RunConfig, steps: list[int]
) -> None:
    """Oracle: the undisturbed twin's parameters and draws; every step is in metrics.jsonl once."""
    cfg = tiny(tmp_path)
    for step in steps:
        killed_at(monkeypatch, step, cfg)
    train(cfg)
    assert manifest(cfg)["parameters_sha256"] == manifest(undisturbed)["parameters_sha256"]
    assert metrics(cfg) == metrics(undisturbed)
    assert manifest(cfg)["unet_passes_per_sample"] == manifest(undisturbed)["unet_passes_per_sample"]
    # Checkpoints are at 2, 4 and 6: a sitting that died at step k left the last multiple of 2 up to k.
    assert manifest(cfg)["resumed_from_steps"] == [step // 2 * 2 for step in steps if step >= 2]


def test_threads_that_were_timed_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: RunConfig
) -> None:
    """Oracle: the twin that named its threads, bit for bit: timing draws nothing, and happens once a run."""
    timed: list[list[int]] = []

    def seconds_of(work: Callable[[], None], counts: list[int]) -> dict[int, float]:
        work()
        timed.append(counts)
        return {count: float(count) for count in counts}

    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr(threads, "seconds_of", seconds_of)
    cfg = tiny(tmp_path, "threads=null")
    killed_at(monkeypatch, 5, cfg)
    train(cfg)
    assert timed == [[1, 2]]
    assert manifest(cfg)["threads"] == 1
    assert manifest(cfg)["parameters_sha256"] == manifest(undisturbed)["parameters_sha256"]
    assert metrics(cfg) == metrics(undisturbed)


def test_a_broken_checkpoint_costs_one_interval_and_no_bit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: RunConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Oracle: the undisturbed twin, resumed from step 2 because step 4's file is cut short."""
    cfg = tiny(tmp_path)
    killed_at(monkeypatch, 5, cfg)
    newest = max((tmp_path / "checkpoints").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])
    train(cfg)
    assert "is broken" in capsys.readouterr().err
    assert manifest(cfg)["resumed_from_steps"] == [2]
    assert manifest(cfg)["parameters_sha256"] == manifest(undisturbed)["parameters_sha256"]


@pytest.fixture
def hangup_heard() -> Iterator[None]:
    """What runs under nohup ignores SIGHUP, and training respects that; here it shall hear it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup_heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_save_and_export_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: RunConfig, number: signal.Signals
) -> None:
    """Oracle: checkpoint and turntable of step 4; the same command then ends like the undisturbed twin."""
    cfg = tiny(tmp_path)
    log_step = Log.step

    def log_and_signal(self: Log, now: int, *rest: Any) -> None:
        log_step(self, now, *rest)
        if now == 2:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as context:
        context.setattr(Log, "step", log_and_signal)
        with pytest.raises(SystemExit) as stopped:
            train(cfg)
    assert stopped.value.code == 128 + number
    assert (tmp_path / "turntable.mp4").exists()
    assert (manifest(cfg)["step"], manifest(cfg)["finished"]) == (3, False)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train(cfg)
    assert manifest(cfg)["resumed_from_steps"] == [3]
    assert manifest(cfg)["parameters_sha256"] == manifest(undisturbed)["parameters_sha256"]


def test_a_finished_run_can_be_extended(tmp_path: Path, undisturbed: RunConfig) -> None:
    """Oracle: 4 steps and then 7 end like 7 at once; the same command again changes nothing."""
    train(tiny(tmp_path, "steps=4"))
    longer = tiny(tmp_path)
    train(longer)
    assert manifest(longer)["parameters_sha256"] == manifest(undisturbed)["parameters_sha256"]
    before = manifest(longer)
    train(longer)
    assert manifest(longer) == before


def test_fresh_starts_over(tmp_path: Path) -> None:
    """Oracle: another seed in the same folder is refused unless fresh; foreign files stay."""
    (tmp_path / "notes.txt").write_text("mine")
    train(tiny(tmp_path, "steps=2"))
    with pytest.raises(
        UserError, match=r"holds a run with seed=0, not 1: choose another out=FOLDER, or fresh"
    ):
        train(tiny(tmp_path, "steps=2", "seed=1"))
    before = manifest(tiny(tmp_path))
    with pytest.raises(UserError, match=r"prior\.path=nowhere"):
        train(tiny(tmp_path, "fresh=true", "prior=toybox", "prior.path=nowhere"))
    assert manifest(tiny(tmp_path)) == before  # what fails before step 0 has replaced nothing
    train(tiny(tmp_path, "steps=2", "seed=1", "fresh=true"))
    assert [row["step"] for row in metrics(tiny(tmp_path))] == [0, 1]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_finished_run_whose_checkpoints_are_gone_is_not_trained_over(tmp_path: Path) -> None:
    """Oracle: the same command asks for fresh=true and changes nothing; with it, the run begins anew."""
    cfg = tiny(tmp_path, "steps=2")
    train(cfg)
    before = manifest(cfg)
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="reached step 2, but no checkpoint to go on from: fresh=true"):
        train(cfg)
    assert manifest(cfg) == before
    train(tiny(tmp_path, "steps=2", "fresh=true"))
    assert manifest(cfg)["parameters_sha256"] == before["parameters_sha256"]


def test_the_same_weights_elsewhere_continue_a_run(tmp_path: Path, base_folder: Path) -> None:
    """Oracle: a copied folder, with a slash behind it, goes on; another byte of weights is refused."""
    model = Path(shutil.copytree(base_folder, tmp_path / "model"))
    settings = ("prior.name=mine", "prior.latent_size=null", "batch_size=1", "video.views=1")
    out = tmp_path / "run"
    train(tiny(out, *settings, f"prior.path={model}", "steps=1"))
    moved = Path(shutil.copytree(model, tmp_path / "moved"))
    train(tiny(out, *settings, f"prior.path={moved}/", "steps=2"))
    assert manifest(tiny(out))["resumed_from_steps"] == [1]
    weights = moved / "unet/diffusion_pytorch_model.fp16.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=r"prior's unet/diffusion_pytorch_model\.fp16\.safetensors has the"):
        train(tiny(out, *settings, f"prior.path={moved}", "steps=3"))


def test_a_negative_prompt_that_nobody_reads_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: NFSD asks for the negative branch, SDS does not."""
    for loss, said in (("nfsd", False), ("sds", True)):
        train(tiny(tmp_path / loss, f"loss={loss}", "prompts.negative=blurry", "steps=1"))
        assert ("prompts.negative changes nothing" in capsys.readouterr().out) is said


@pytest.mark.parametrize("loss", ["sds", "sjc", "csd"])
def test_every_loss_sees_the_same_draws(tmp_path: Path, undisturbed: RunConfig, loss: str) -> None:
    """Oracle: the digests of every step's draws agree with NFSD's; the parameters do not."""
    cfg = tiny(tmp_path, f"loss={loss}")
    train(cfg)
    assert [row["draws"] for row in metrics(cfg)] == [row["draws"] for row in metrics(undisturbed)]
    assert manifest(cfg)["parameters_sha256"] != manifest(undisturbed)["parameters_sha256"]


def test_the_resolution_switches_on_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: 8 pixels in steps 0 to 2, 16 from step 3 on; t within its range before and after."""
    cfg = tiny(tmp_path)
    train(cfg)
    assert [row["resolution"] for row in metrics(cfg)] == [8, 8, 8, 16, 16, 16, 16]
    assert [row["t_max"] for row in metrics(cfg)] == [980, 980, 980, 500, 500, 500, 500]
    assert all(row["t_min"] <= row["t"] <= row["t_max"] for row in metrics(cfg))


def test_training_moves_the_object_towards_its_prompt(tmp_path: Path) -> None:
    """Oracle: SDS's fixed point: the render nears the mean colour of the Gaussian prior."""
    arguments = ("loss=sds", "loss.guidance_scale=1", "background.solid_probability=0", "steps=60")
    cfg = tiny(
        tmp_path, *arguments, "prompts.views=none", "regularizer.sparsity=0", "optimizer.lr_background=0.03"
    )
    train(cfg)
    prior = load_prior(cfg.prior, "cpu")
    text = PromptBank(prior, cfg.prompt, cfg.prompts)(torch.zeros(1), torch.zeros(1)).cond
    color = (text.view(3, -1).mean(1).numpy() + 1) / 2
    sheets = [np.asarray(Image.open(path)) / 255 for path in sorted((tmp_path / "previews").glob("*.png"))]
    first, *_, last = [np.abs(sheet.mean((0, 1)) - color).mean() for sheet in sheets]
    assert last < 0.5 * first


def test_a_disk_too_small_is_said_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: UserError with both sizes, and no step taken."""
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(UserError, match=r"1 MB left where \d+ MB are needed"):
        train(tiny(tmp_path))
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_folder_that_cannot_be_is_said_before_the_first_step(tmp_path: Path) -> None:
    """Oracle: UserError naming out= and the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^out=.*file/run cannot be written .*choose another folder"):
        train(tiny(tmp_path / "file" / "run"))


def test_a_prompt_too_long_is_cut_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the Gaussian prior's 77 tokens are 75 words, two of them kept for the view."""
    words = [f"w{number}" for number in range(90)]
    train(tiny(tmp_path, "steps=1", prompt=" ".join(words)))
    said = capsys.readouterr().out
    assert "prompt is longer than the prior's 77 tokens; cut off: '" in said
    assert "w89" in said
    assert "w60" not in said.split("cut off")[1]


def test_what_guides_is_said_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the bundled model's folder, printed; and in the manifest, with what hashlib says."""
    cfg = tiny(tmp_path, "prior=toybox", "prior.latent_size=16", "steps=1", "batch_size=1")
    train(cfg)
    line = "prior src/toybox/weights: epsilon prediction, 8x16x16 latents of 128x128 images"
    assert line in capsys.readouterr().out.splitlines()
    files = sorted((ROOT / "src/toybox/weights").rglob("*.safetensors"))
    assert manifest(cfg)["prior"] == {
        "model": {
            "source": "src/toybox/weights",
            "revision": None,
            "sha256": {
                file.relative_to(ROOT / "src/toybox/weights").as_posix(): hashlib.sha256(
                    file.read_bytes()
                ).hexdigest()
                for file in files
            },
        }
    }


@pytest.mark.gpu
def test_cuda_sees_the_same_draws(tmp_path: Path, undisturbed: RunConfig) -> None:
    """Oracle: the processor's digests of every step; a rehearsal beforehand changes nothing."""
    cfg = tiny(tmp_path, "device=cuda")
    train(cfg)
    assert [row["draws"] for row in metrics(cfg)] == [row["draws"] for row in metrics(undisturbed)]
    assert manifest(cfg)["device"] == "cuda"


@pytest.mark.gpu
def test_too_little_gpu_memory_is_said_before_the_first_step(tmp_path: Path) -> None:
    """Oracle: UserError naming the resolution and preset=laptop, and no step taken."""
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2e8 / total))
    try:
        with pytest.raises(UserError, match=r"too little memory for 2048x2048 .* preset=laptop"):
            train(
                tiny(tmp_path, "device=cuda", "schedule.resolution_after=2048", "render.samples_per_ray=512")
            )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert not (tmp_path / "metrics.jsonl").exists()
