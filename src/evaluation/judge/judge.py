"""A CLIP that looks at pictures and reads sentences: the small one that ships here, or any other.

All go through the same lines: transformers' CLIPModel from safetensors, pictures resized and normalised as
the model's own preprocessor_config.json says.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from src.errors import UserError
from src.guidance.loading import first_line, quiet
from src.guidance.source import CHECKOUT
from src.run.checkpoint import parameters_sha256

BUNDLED = "src/evaluation/judge/weights"
REMEDY = f"choose judge={BUNDLED} (bundled), a folder or a hub id in transformers' CLIPModel format"
# Light grey: what the judge was measured on (docs/judge.md); white things and black things both stand out.
BACKGROUND = (0.75, 0.75, 0.75)
ERRORS = "errors.json"  # beside the bundled weights
CHUNK = 64  # pictures at once
SHIFT = 0.03  # of the side; docs/judge.md has what others gave
LOOKS = ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))  # by SHIFT, down and right
FILTERS = {2: "bilinear", 3: "bicubic"}  # PIL's numbers, as preprocessor_config.json has them


class Judge:
    """A dual encoder: pictures and sentences to unit vectors whose cosine says how well they agree."""

    def __init__(
        self, name: str, model: Any, tokenizer: Any, pictures: dict[str, Any], errors: Any = None
    ) -> None:
        self.name = name
        self.errors: dict[str, Any] | None = errors
        self._model, self._tokenizer = model, tokenizer
        self._size = _side(pictures)
        self._filter = FILTERS.get(int(pictures.get("resample", 3)), "bicubic")
        known = json.dumps([pictures, errors], sort_keys=True).encode()
        self.sha256 = hashlib.sha256(parameters_sha256({"clip": model}).encode() + known).hexdigest()
        self._mean = torch.tensor(pictures["image_mean"])[:, None, None]
        self._std = torch.tensor(pictures["image_std"])[:, None, None]

    @torch.no_grad()
    def images(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N D"]:
        """Unit vectors of square pictures in [0, 1], each the mean of five looks.

        A vision transformer cuts a picture into patches, and what it says depends on where the cuts fall:
        each picture is seen as it is and moved to four sides (cf. ten crops, Krizhevsky et al. 2012, 4.1).
        """
        rows = []
        for part in images.split(CHUNK):
            rows.append(torch.stack([self._look(seen) for seen in moved(part)]).mean(0))
        return F.normalize(torch.cat(rows), dim=-1)

    def _look(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N D"]:
        if images.shape[-2:] != (self._size, self._size):
            size = (self._size, self._size)
            images = F.interpolate(images, size, mode=self._filter, antialias=True).clamp(0, 1)
        pooled = self._model.vision_model(pixel_values=(images - self._mean) / self._std).pooler_output
        return F.normalize(self._model.visual_projection(pooled), dim=-1)

    @torch.no_grad()
    def texts(self, texts: list[str]) -> Float[Tensor, "P D"]:
        """Unit vectors of sentences; what exceeds the model's tokens is cut off."""
        rows = []
        for start in range(0, len(texts), 2 * CHUNK):
            part = texts[start : start + 2 * CHUNK]
            tokens = self._tokenizer(part, padding=True, truncation=True, max_length=77, return_tensors="pt")
            pooled = self._model.text_model(
                input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
            ).pooler_output
            rows.append(self._model.text_projection(pooled))
        return F.normalize(torch.cat(rows), dim=-1)


def moved(images: Float[Tensor, "N 3 H W"]) -> list[Float[Tensor, "N 3 H W"]]:
    """The pictures in place, then moved by SHIFT along both diagonals; the border's pixels go on outwards."""
    height, width = images.shape[-2:]
    reach = round(SHIFT * width)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    corners = [((1 + down) * reach, (1 + right) * reach) for down, right in LOOKS]
    return [padded[..., top : top + height, left : left + width] for top, left in corners]


def _side(pictures: dict[str, Any]) -> int:
    """The side in pixels that the model sees: older files have a number, newer ones a dictionary."""
    size = pictures.get("crop_size") or pictures["size"]
    return int(size if isinstance(size, int) else size.get("height", size.get("shortest_edge")))


def load_judge(name: str = BUNDLED) -> Judge:
    """Load a judge from a folder (here or in the checkout), else by its hub id, in float32 on the processor.

    The hub client's own settings hold (HF_HOME, HF_HUB_OFFLINE). Raises UserError if it cannot be had.
    """
    # Imported here because it takes seconds, and only a loaded judge needs it.
    from transformers import CLIPModel, CLIPTokenizer
    from transformers.utils import cached_file

    folders = [folder for folder in (Path(name).expanduser(), CHECKOUT / name) if folder.is_dir()]
    place, options = (str(folders[0]), {"local_files_only": True}) if folders else (name, {})
    try:
        with quiet():
            # The picture settings first: they are small, and tell whether there is a judge at all.
            pictures = json.loads(Path(cached_file(place, "preprocessor_config.json", **options)).read_text())
            model, report = CLIPModel.from_pretrained(
                place, use_safetensors=True, output_loading_info=True, **options
            )
            tokenizer = CLIPTokenizer.from_pretrained(place, **options)
            if report["missing_keys"]:  # the library would go on with random numbers in their place
                raise UserError(f"its file lacks {min(report['missing_keys'])}")
            errors = Path(place) / ERRORS
            known = json.loads(errors.read_text("utf-8")) if errors.is_file() else None
            return Judge(name, model.float().eval().requires_grad_(False), tokenizer, pictures, known)
    except Exception as error:  # a broken file breaks its reader in any way it likes
        raise UserError(f"judge={name} cannot be loaded ({first_line(error)}): {REMEDY}") from error
