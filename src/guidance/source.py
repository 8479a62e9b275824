"""Where a model's files come from: a folder, the hub's local cache, or the hub itself, in this order."""

import hashlib
import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from src.errors import UserError
from src.guidance.loading import (
    CONFIGS,
    REMEDY,
    WEIGHTS,
    first_line,
    missing_files,
    weight_files,
    weights_among,
    weights_of,
)

CHECKOUT = Path(__file__).parents[2]
HUB_TIMEOUT_SECONDS = 20.0  # to say that a model is there at all; the client itself would wait for ever

# What makes a model Stable Diffusion 2.1-base and no relative of it: 1.5 reads text of width 768, 2.1
# predicts velocities of 96x96 latents, an inpainting model takes 9 channels.
BASE_NAME = "Stable Diffusion 2.1-base"
BASE: dict[str, dict[str, Any]] = {
    "scheduler/scheduler_config.json": {"prediction_type": "epsilon"},
    "unet/config.json": {"in_channels": 4, "sample_size": 64, "cross_attention_dim": 1024},
    "vae/config.json": {"latent_channels": 4, "scaling_factor": 0.18215},
}
# Settings that older files leave out, because their libraries' defaults are the base model's.
IMPLIED = {"prediction_type", "in_channels", "latent_channels", "scaling_factor"}


class Source(NamedTuple):
    """One complete set of a model's files."""

    name: str  # a folder as prior.path has it, or an id of prior.source
    folder: Path
    revision: str | None = None  # the hub's commit; a folder has none
    passed_over: tuple[str, ...] = ()  # the ids that came before it, each with the reason
    file: Path | None = None  # in the folder, where this one is all that is read

    def weights(self) -> list[Path]:
        """Return the weight files that are read; those of a lone autoencoder lie at the folder's top."""
        if self.file is not None:
            return [self.file]
        alone = self.folder / f"{WEIGHTS['vae']}.safetensors"
        return [alone] if alone.is_file() else weight_files(self.folder)

    def provenance(self) -> dict[str, Any]:
        """Return name, revision and the weight files' sha256 (hexadecimal), as a run's manifest has them."""
        digests = {}
        for file in self.weights():
            stat = file.stat()
            digest = _sha256(file, stat.st_mtime_ns, stat.st_size)
            name = "file" if file == self.file else file.relative_to(self.folder).as_posix()
            digests[name] = digest  # a file alone is the same under any name
        return {"source": self.name, "revision": self.revision, "sha256": digests}


@cache
def _sha256(file: Path, mtime_ns: int, size: int) -> str:
    """Digest of a file's content; a process asks more than once, and a UNet has gigabytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def local_source(path: str, setting: str = "prior.path", remedy: str = REMEDY) -> Source:
    """Return an existing folder; a relative path is looked for here and then in the source checkout.

    Raises UserError, which names `setting` and what to do, if there is none.
    """
    for folder in (Path(path), CHECKOUT / path) if "\0" not in path else ():
        if folder.is_dir():
            return Source(path, folder.resolve())
        if folder.is_file():
            raise UserError(f"{setting}={path} is no folder but a single file: {_unpacked(folder, remedy)}")
    if setting == "prior.path" and re.fullmatch(r"[\w][\w.-]*/[\w.-]+", path):
        raise UserError(
            f"{setting}={path} is no folder here: if it is a model's id on the hub, write prior=sd21 "
            f"prior.source={path} instead; else {remedy}"
        )
    raise UserError(f"{setting}={path} is no folder: {remedy}")


def _unpacked(file: Path, remedy: str) -> str:
    if file.suffix != ".safetensors":  # a .ckpt is a pickle: opening it can run code
        return remedy
    if _is_lora(file):
        return f"it is a LoRA and no model: write prior.lora={file} beside the model that it was made for"
    return (
        'write it out once with python -c "from diffusers import StableDiffusionPipeline as P; '
        f"P.from_single_file('{file}').save_pretrained('FOLDER')\", which fetches small settings (without "
        "a network, add config='FOLDER OF A MODEL OF ITS FAMILY'), and name that FOLDER"
    )


def _is_lora(file: Path) -> bool:
    try:
        with safe_open(file, framework="pt") as tensors:
            return any("lora" in name for name in tensors.keys())  # noqa: SIM118 (it is no dict)
    except (OSError, SafetensorError):
        return False


def hub_source(ids: list[str], base_only: bool) -> Source:
    """Return the first of the hub ids that can be had: from the local cache, else by fetching it.

    With `base_only`, what is not Stable Diffusion 2.1-base is refused, before its weights are fetched. The
    hub client's own settings hold (HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE). Raises UserError with the reason
    for each id.
    """
    from huggingface_hub import constants

    if not ids:
        raise UserError(f"prior.path and prior.source are both empty: {REMEDY}")
    reasons: dict[str, str] = {}
    for find in [_cached] if constants.HF_HUB_OFFLINE else [_cached, _fetched]:
        for repository in ids:
            try:
                folder = find(repository, base_only)
            except Exception as error:  # the hub client's errors share no narrower base class
                reasons[repository] = _reason(error)
            else:
                tried = ids[: ids.index(repository)]
                passed_over = tuple(f"{other} ({reasons[other]})" for other in tried)
                return Source(repository, folder, folder.name, passed_over)
    where = f"the cache in {constants.HF_HUB_CACHE} and the hub at {constants.ENDPOINT} have"
    online = ""
    if constants.HF_HUB_OFFLINE:
        where = f"the hub client is told to stay offline, and the cache in {constants.HF_HUB_CACHE} has"
        online = "unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, or "
    named = f" prior.source={ids[0]}" if len(ids) == 1 else ""
    # HF_HOME can be filled elsewhere, and carried here.
    fetch = f"{online}where there is a network, python -m src.prefetch prior=sd21{named} fetches it once"
    tried_all = "; ".join(f"{repository} ({reason})" for repository, reason in reasons.items())
    raise UserError(
        f"prior.path is not set, and {where} no usable copy of prior.source: {tried_all}: {fetch}; or "
        f"{REMEDY}"
    )


def differences(folder: Path) -> list[str]:
    """List the settings in which a model is not Stable Diffusion 2.1-base."""
    found = []
    for file, expected in BASE.items():
        config = json.loads((folder / file).read_text("utf-8"))
        for name, value in expected.items():
            has = config.get(name, value if name in IMPLIED else None)
            if has != value:
                found.append(f"its {file.split('/')[0]}'s {name} is {has}, not {value}")
    return found


def _cached(repository: str, base_only: bool) -> Path:
    from huggingface_hub import snapshot_download

    folder = Path(
        snapshot_download(repository, allow_patterns=[*CONFIGS, "tokenizer/*"], local_files_only=True)
    )
    return _checked(folder, base_only)


def _fetched(repository: str, base_only: bool) -> Path:
    from huggingface_hub import HfApi, constants, snapshot_download

    listed = HfApi().model_info(repository, files_metadata=True, timeout=HUB_TIMEOUT_SECONDS).siblings or []
    sizes = {file.rfilename: file.size or 0 for file in listed}
    # Half precision is half the download.
    weights = next(filter(None, (weights_among(set(sizes), variant) for variant in (".fp16", ""))), None)
    if weights is None or not set(CONFIGS) <= set(sizes):
        lacking = [name for name in (*CONFIGS, *(weights or weights_of(""))) if name not in sizes]
        raise UserError(f"it lacks {', '.join(lacking)}")

    folder = Path(snapshot_download(repository, allow_patterns=[*CONFIGS, "tokenizer/*"]))
    _refuse_others(folder, base_only)
    needed = sum(sizes[name] for name in weights if not (folder / name).is_file())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"its weights take {needed / 1e9:.1f} GB, but {constants.HF_HUB_CACHE} has {free / 1e9:.1f} GB "
            "left; HF_HOME=FOLDER names another place"
        )
    snapshot_download(repository, allow_patterns=weights, revision=folder.name)
    return _checked(folder, base_only)


def _checked(folder: Path, base_only: bool) -> Path:
    missing = missing_files(folder)
    if missing:
        raise UserError(f"it lacks {', '.join(missing)}")
    _refuse_others(folder, base_only)
    return folder


def _refuse_others(folder: Path, base_only: bool) -> None:
    unlike = differences(folder) if base_only else []
    if unlike:
        raise UserError(f"it is not {BASE_NAME}: {', '.join(unlike)}")


def _reason(error: Exception) -> str:
    """Say in the user's words what the hub client ran into."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return "the hub shows it only to accounts that were granted access"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return "the hub has no such model, or hides it"
    if status is not None:
        return f"the hub answers with status {status}"
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is None:
        return "not in the cache"
    if isinstance(error, ConnectionError) or "Connect" in type(error).__name__:
        return f"the hub cannot be reached: {first_line(error)}"
    return first_line(error)
