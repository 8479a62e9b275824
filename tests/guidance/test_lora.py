"""A LoRA on the prior: what diffusers makes of the same file, however it names its layers."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from src.errors import UserError
from src.guidance.critic import Critic, CriticConfig
from src.guidance.load import announce, load_prior
from src.guidance.prior import Precision, Prior, PriorConfig
from src.streams import Streams

RANK, ALPHA = 2, 6.0
T = torch.tensor([20, 500, 980])


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def matrices(prior: Prior) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B for the UNet's attention, a convolution of it, and the text encoder, by part and layer."""
    found = {}
    for part, network in {"unet": prior.unet, "text_encoder": prior._text_encoder}.items():
        for name, layer in network.named_modules():
            if name.endswith(
                (".to_q", ".to_out.0", ".q_proj", ".out_proj", ".fc1", "mid_block.resnets.0.conv1")
            ):
                name = f"text_model.{name.removeprefix('text_model.')}" if part == "text_encoder" else name
                out, into, *pixels = layer.weight.shape
                down = normals(RANK, into, *pixels, seed=len(found))
                up = 0.2 * normals(out, RANK, *[1] * len(pixels), seed=-1 - len(found))
                found[f"{part}.{name}"] = down, up
    return found


def kohya(found: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    tensors = {}
    for name, (down, up) in found.items():
        part, _, layer = name.partition(".")
        stem = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + layer.replace(".", "_")
        tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        tensors[f"{stem}.alpha"] = torch.tensor(ALPHA)
    return tensors


def peft(found: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    sides = {f"{name}.lora_A.weight": down for name, (down, _) in found.items()}
    return sides | {f"{name}.lora_B.weight": up for name, (_, up) in found.items()}


def of_2023(found: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    tensors = {}
    for name, (down, up) in found.items():
        stem = f"{name}.lora"
        if ".attn" in name:
            block, _, layer = name.rpartition(".to_")
            stem = f"{block}.processor.to_{layer.removesuffix('.0')}_lora"
        if name.startswith("text_encoder"):
            stem = f"{name}.lora_linear_layer"
        tensors |= {f"{stem}.down.weight": down, f"{stem}.up.weight": up}
    return tensors


def settings(folder: Path, file: Path, **more: Any) -> PriorConfig:
    return PriorConfig(path=str(folder), precision=Precision.float32, lora=str(file), **more)


def saved(tensors: dict[str, Tensor], folder: Path, metadata: dict[str, str] | None = None) -> Path:
    file = folder / "style.safetensors"
    save_file(tensors, file, metadata)
    return file


def asked(prior: Prior) -> tuple[Tensor, Tensor]:
    text = prior.embed(["a lion"])
    return text, prior.predict_noise(normals(3, 4, 16, 16), T, text.expand(3, -1, -1))


@pytest.mark.parametrize("spelling", [kohya, peft, of_2023])
def test_diffusers_makes_the_same_of_the_file(
    tiny_folder: Path, tiny_prior: Prior, tmp_path: Path, spelling: Any
) -> None:
    """Oracle: diffusers' own loader and peft's layers beside the weights, at half the scale."""
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader
    from peft.tuners.tuners_utils import BaseTunerLayer

    file = saved(spelling(matrices(tiny_prior)), tmp_path)
    ours = load_prior(settings(tiny_folder, file, lora_scale=0.5), "cpu")
    theirs = copy.deepcopy(tiny_prior)
    tensors, alphas = Loader.lora_state_dict(str(file), unet_config=theirs.unet.config)
    with torch.random.fork_rng():
        Loader.load_lora_into_unet(tensors, alphas, theirs.unet)
        Loader.load_lora_into_text_encoder(tensors, alphas, theirs._text_encoder)
    for network in (theirs.unet, theirs._text_encoder):
        for layer in network.modules():
            if isinstance(layer, BaseTunerLayer):
                layer.set_scale(layer.active_adapters[0], 0.5)
    before = asked(tiny_prior)
    for mine, right, old in zip(asked(ours), asked(theirs), before, strict=True):
        assert (mine - old).abs().max() > 1e-2
        torch.testing.assert_close(mine, right, rtol=0, atol=2e-5)  # one sum in float32 in place of two


def test_pefts_alpha_in_the_header_counts(tiny_folder: Path, tiny_prior: Prior, tmp_path: Path) -> None:
    """Oracle: kohya's file, which has alpha beside the matrices; what we do not know of peft is refused."""
    found = matrices(tiny_prior)
    kohyas = load_prior(settings(tiny_folder, saved(kohya(found), tmp_path)), "cpu")
    told = {"unet.lora_alpha": ALPHA, "text_encoder.lora_alpha": ALPHA, "unet.use_rslora": False}
    header = {"lora_adapter_metadata": json.dumps(told)}
    pefts = load_prior(settings(tiny_folder, saved(peft(found), tmp_path, header)), "cpu")
    for one, other in zip(asked(kohyas), asked(pefts), strict=True):
        assert torch.equal(one, other)
    of_unet = {name.removeprefix("unet."): pair for name, pair in found.items() if name.startswith("unet")}
    alone = saved(peft(of_unet), tmp_path, {"lora_adapter_metadata": json.dumps({"lora_alpha": ALPHA})})
    unet = load_prior(settings(tiny_folder, alone), "cpu").unet.state_dict()
    assert all(torch.equal(unet[name], right) for name, right in kohyas.unet.state_dict().items())
    header = {"lora_adapter_metadata": json.dumps(told | {"unet.use_rslora": True})}
    with pytest.raises(UserError, match=r"made with unet\.use_rslora=True, which we do not know"):
        load_prior(settings(tiny_folder, saved(peft(found), tmp_path, header)), "cpu")


def test_what_it_changed_is_said_and_its_digest_kept(
    tiny_folder: Path, tiny_prior: Prior, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: layers counted by hand; the digest is the file's, whatever its name."""
    found = matrices(tiny_prior)
    cfg = settings(tiny_folder, saved(kohya(found), tmp_path), lora_scale=-0.5)
    prior = load_prior(cfg, "cpu")
    announce(cfg, prior)
    of_unet = sum(name.startswith("unet") for name in found)
    assert (
        f"prior.lora={cfg.lora} x -0.5 changes {of_unet} layers of the UNet and {len(found) - of_unet} "
        "of the text encoder"
    ) in capsys.readouterr().out
    digest = prior.provenance()["lora"]["sha256"]
    moved = tmp_path / "other.safetensors"
    Path(str(cfg.lora)).rename(moved)
    again = load_prior(settings(tiny_folder, moved), "cpu").provenance()["lora"]
    assert again == {"source": str(moved), "revision": None, "sha256": digest}
    assert set(digest) == {"file"}


def test_vsds_critic_begins_at_the_changed_prior(
    tiny_folder: Path, tiny_prior: Prior, tmp_path: Path
) -> None:
    """Oracle: the changed prior's own numbers, bit for bit, before and after the critic has learnt."""
    prior = load_prior(settings(tiny_folder, saved(peft(matrices(tiny_prior)), tmp_path)), "cpu")
    text, before = asked(prior)
    critic = Critic(prior, text, CriticConfig(learning_rate=1e-2), Streams(0, 0))
    pose, noised = torch.eye(4).flatten().expand(3, -1), normals(3, 4, 16, 16)
    assert torch.equal(critic.predict(noised, T, pose), before)
    critic.learn(noised, pose, Streams(0, 1))
    assert not torch.equal(critic.predict(noised, T, pose), before)
    assert torch.equal(asked(prior)[1], before)


def spoilt(found: dict[str, tuple[Tensor, Tensor]], how: str) -> dict[str, Tensor]:
    tensors = kohya(found)
    name = next(iter(found)).removeprefix("unet.").replace(".", "_")
    down, up = (f"lora_unet_{name}.lora_{side}.weight" for side in ("down", "up"))
    if how == "LoHa":
        tensors[f"lora_unet_{name}.hada_w1_a"] = tensors.pop(down)
    if how == "DoRA":
        tensors[f"lora_unet_{name}.dora_scale"] = torch.ones(1)
    if how == "SDXL":
        tensors[f"lora_unet_input_blocks_4_1_{name}.lora_down.weight"] = tensors[down].clone()
    if how == "half":
        del tensors[up]
    if how == "wider":
        tensors[down] = torch.ones(RANK, 99)
    if how == "infinite":
        tensors[up] = torch.full_like(tensors[up], torch.inf)
    return {} if how == "empty" else tensors


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("LoHa", r"holds 1 tensors that belong to no layer of this prior \(lora_unet_.*hada_w1_a"),
        ("DoRA", r"belong to no layer of this prior \(lora_unet_.*dora_scale"),
        ("SDXL", r"belong to no layer of this prior \(lora_unet_input_blocks"),
        ("half", r"has half of what changes lora_unet_down"),
        ("wider", r"made for another model: it changes lora_unet.*by \(\d+, 2\) times \(2, 99\)"),
        ("infinite", r"leaves numbers in lora_unet_.* that are not finite: choose a smaller scale"),
        ("empty", r"holds nothing"),
    ],
)
def test_what_is_no_lora_of_this_prior_is_refused(
    tiny_folder: Path, tiny_prior: Prior, tmp_path: Path, how: str, sentence: str
) -> None:
    """Oracle: one sentence that names the file and the tensor, in place of a model half changed."""
    file = saved(spoilt(matrices(tiny_prior), how), tmp_path)
    with pytest.raises(UserError, match=rf"prior\.lora=.*{sentence}.*leave prior\.lora out"):
        load_prior(settings(tiny_folder, file), "cpu")


def test_a_file_that_cannot_be_read(tiny_folder: Path, tmp_path: Path) -> None:
    """Oracle: the sentence for nothing there, a folder, a pickle, and a file cut short."""
    (tmp_path / "cut.safetensors").write_bytes(b"\x40")
    (tmp_path / "style.pt").write_bytes(b"a pickle")
    for name, said in {
        "gone.safetensors": "is no file",
        ".": "is a folder",
        "style.pt": "is no .safetensors file",
        "cut.safetensors": "cannot be read",
    }.items():
        with pytest.raises(UserError, match=rf"prior\.lora=.*{said}.*: name a LoRA"):
            load_prior(settings(tiny_folder, tmp_path / name), "cpu")


def test_settings_that_change_nothing_are_refused() -> None:
    """Oracle: a scale of nothing, and a LoRA on what has no network."""
    with pytest.raises(UserError, match=r"prior\.lora_scale=0\.5 scales what prior\.lora=FILE adds"):
        PriorConfig(lora_scale=0.5)
    with pytest.raises(UserError, match=r"prior=gaussian has no network"):
        PriorConfig(name="gaussian", lora="x.safetensors")
