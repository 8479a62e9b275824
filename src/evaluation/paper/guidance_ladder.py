"""Figure 5: the same seed by ancestral sampling at guidance scales from 1 to 100."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.evaluation.looks import saturation
from src.evaluation.paper.figure import Figure, Numbers, mean
from src.evaluation.paper.measures import size
from src.evaluation.paper.plate import Row, plate
from src.evaluation.paper.shown import AT_ONCE, decoded
from src.guidance.prior import Prior
from src.guidance.sampling import ddim
from src.streams import Streams

SCALES = (1.0, 4.0, 7.5, 15.0, 30.0, 100.0)
STEPS = 25  # ancestral; for one prompt 0.3 dB of spectrum from 250 (src/evaluation/looks.py)
ROWS = 3
CLIPPED = 1 / 255  # so near to 0 or 1 a channel has nowhere to go

CAPTION = """**Figure 5: guidance on ancestral sampling** ({steps} steps, DDIM with eta = 1), one seed for
all scales.

The paper: "large values of s lead to over-saturated and less realistic results". Measured on {count}
prompts: of all channels of all pixels, {clipped_first:.1%} are at 0 or 1 at s = 1, {clipped_middle:.1%} at
7.5 and {clipped_last:.1%} at 100, and the latents grow from {size_first:.2f} to {size_middle:.2f} and
{size_last:.2f}: {verdict}. The objects' mean chroma (largest less smallest of R, G, B) hardly tells:
{first:.2f}, {middle:.2f} and {last:.2f}, for black and white have none."""


def figure(prior: Prior, prompts: Sequence[str], seed: int) -> Figure:
    """Draw the first prompts at every scale, and measure all; a prompt has the same noise throughout."""
    found: dict[float, Float[Tensor, "N 3 H W"]] = {}
    numbers: Numbers = []
    for scale in SCALES:
        latents = torch.cat(
            [
                ddim(
                    prior,
                    list(prompts[first : first + AT_ONCE]),
                    scale,
                    STEPS,
                    Streams(seed, 0, first, prior.device)("paper/ladder"),
                    eta=1.0,
                )
                for first in range(0, len(prompts), AT_ONCE)
            ]
        )
        found[scale] = images = decoded(prior, latents)
        chroma = torch.tensor([saturation(image[None]) for image in images])
        numbers.append(
            {
                "s": scale,
                "chroma of the object": mean(chroma),
                "clipped channels": mean(clipped(images)),
                "size of the latents": mean(size(latents)),
            }
        )
    rows = [Row(prompt, [images[i] for images in found.values()]) for i, prompt in enumerate(prompts[:ROWS])]
    return Figure(plate([f"s = {scale:g}" for scale in SCALES], rows), numbers, caption(prompts, numbers))


def clipped(images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N"]:
    """Share of a picture's channels that are at 0 or 1, to 8 bits."""
    return ((images < CLIPPED) | (images > 1 - CLIPPED)).float().mean((1, 2, 3))


def caption(prompts: Sequence[str], numbers: Numbers) -> str:
    """Say what is drawn and what was measured."""
    by_scale = {row["s"]: row for row in numbers}
    ends = {"first": by_scale[1.0], "middle": by_scale[7.5], "last": by_scale[100.0]}
    chroma = {end: row["chroma of the object"].value for end, row in ends.items()}
    at_ends = {f"clipped_{end}": row["clipped channels"].value for end, row in ends.items()}
    sizes = {f"size_{end}": row["size of the latents"].value for end, row in ends.items()}
    shares = [row["clipped channels"].value for row in numbers]
    verdict = "as the paper says" if shares == sorted(shares) else "not rising with every s"
    return CAPTION.format(steps=STEPS, count=len(prompts), verdict=verdict, **chroma, **at_ends, **sizes)
