"""What a prior in training takes over from one that was exported before: `start=FOLDER` of src.toybox.train.

Networks may have grown since. Latent channels that both have keep their place and their weights; new ones
start unheard (zero weights into what follows) and, in the denoiser, silent. Words keep what was learnt of
them, whatever their number is now; new words start at random.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from src.errors import UserError
from src.guidance.loading import first_line
from src.toybox.prior.fitting import Networks


def started(start: str, parts: Networks, tokens: CLIPTokenizer) -> None:
    """Fill `parts` (text and unet, as `networks` builds them) with the weights of the prior in `start`.

    Raises UserError where there is none, or where its networks are of another shape.
    """
    folder = Path(start)
    _take(parts["unet"], _load(UNet2DConditionModel, folder / "unet"), _unet_places)
    old = _load(CLIPTextModel, folder / "text_encoder")
    _rename_words(parts["text"], old, tokens, CLIPTokenizer.from_pretrained(folder / "tokenizer"))


def started_autoencoder(start: str, vae: AutoencoderKL) -> None:
    """Fill an autoencoder with the weights of the one in `start`; raises as `started` does."""
    _take(vae, _load(AutoencoderKL, Path(start) / "vae"), _autoencoder_places)


def lineage(start: str) -> list[dict[str, Any]]:
    """What was trained on the way to the prior in `start`, oldest first; empty without a start."""
    if not start:
        return []
    facts = json.loads((Path(start) / "trained.json").read_text("utf-8"))
    return [*facts.pop("lineage", []), facts]


def _load(kind: Any, folder: Path) -> nn.Module:
    try:
        module: nn.Module = kind.from_pretrained(folder, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"start={folder.parent}: its {folder.name} cannot be read ({first_line(error)})"
        ) from error
    return module.float()


def _take(new: nn.Module, old: nn.Module, places: Any) -> None:
    """Copy every tensor; where the new one is larger, `places` says which of its entries the old ones are."""
    theirs = old.state_dict()
    with torch.no_grad():
        for name, mine in new.state_dict().items():
            given = theirs.get(name)
            if given is not None and given.shape == mine.shape:
                mine.copy_(given)
                continue
            grown = given is not None and all(a >= b for a, b in zip(mine.shape, given.shape, strict=True))
            found = places(name, mine, given) if grown else None
            if found is None:
                raise UserError(
                    f"start=: {name} is of another shape there; such a prior cannot be gone on from"
                )
            found.copy_(given)


def _autoencoder_places(name: str, mine: Tensor, given: Tensor) -> "_Places | None":
    layer = name.rsplit(".", 1)[0]
    means, old = len(mine) // 2, len(given) // 2
    if layer in ("encoder.conv_out", "quant_conv"):  # rows: means, then log-variances
        rows = torch.cat([torch.arange(old), means + torch.arange(old)])
        if layer == "quant_conv" and mine.ndim > 1:
            mine.zero_()
            mine[torch.arange(2 * means), torch.arange(2 * means)] = 1
            return _Places(mine, rows, rows)
        if layer == "quant_conv":
            mine.zero_()
            mine[means:] = -5.0  # log-variances: start almost deterministic
        return _Places(mine, rows)
    if layer == "post_quant_conv":
        rows = torch.arange(len(given))
        if mine.ndim > 1:
            mine.zero_()
            mine[torch.arange(len(mine)), torch.arange(len(mine))] = 1
            return _Places(mine, rows, rows)
        mine.zero_()
        return _Places(mine, rows)
    if name == "decoder.conv_in.weight":
        mine.zero_()
        return _Places(mine, torch.arange(len(mine)), torch.arange(given.shape[1]))
    return None


def _unet_places(name: str, mine: Tensor, given: Tensor) -> "_Places | None":
    if name == "conv_in.weight":
        mine.zero_()
        return _Places(mine, torch.arange(len(mine)), torch.arange(given.shape[1]))
    if name in ("conv_out.weight", "conv_out.bias"):
        mine.zero_()
        return _Places(mine, torch.arange(len(given)))
    return None


class _Places:
    """Some rows, and some columns of them, of a tensor."""

    def __init__(self, tensor: Tensor, rows: Tensor, columns: Tensor | None = None) -> None:
        self.tensor, self.rows, self.columns = tensor, rows, columns

    def copy_(self, values: Tensor) -> None:
        if self.columns is None:
            self.tensor[self.rows] = values
        else:
            self.tensor[self.rows[:, None], self.columns] = values


def _rename_words(new: nn.Module, old: nn.Module, tokens: CLIPTokenizer, old_tokens: CLIPTokenizer) -> None:
    """Every tensor but the table of words as it is; the table by the words themselves."""
    table = "embeddings.token_embedding.weight"
    mine = {name.removeprefix("text_model."): tensor for name, tensor in new.state_dict().items()}
    with torch.no_grad():
        for name, given in old.state_dict().items():
            name = name.removeprefix("text_model.")
            if not name.endswith(table):
                if mine[name].shape != given.shape:
                    raise UserError(f"start=: {name} is of another shape there")
                mine[name].copy_(given)
        ours, theirs = tokens.get_vocab(), old_tokens.get_vocab()
        both = sorted(ours.keys() & theirs.keys())
        given = next(t for name, t in old.state_dict().items() if name.endswith(table))
        mine[table][[ours[word] for word in both]] = given[[theirs[word] for word in both]]
