"""Figure 7: the latents themselves distilled, by SDS at a nominal and at a high scale and by NFSD."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.config import RunConfig
from src.evaluation.distilled import Distilled, distil
from src.evaluation.looks import spectrum_detail, spectrum_distance
from src.evaluation.paper.figure import Figure, Numbers
from src.evaluation.paper.guidance_ladder import clipped
from src.evaluation.paper.plate import Row, plate
from src.evaluation.paper.shown import decoded
from src.guidance.prior import Prior
from src.guidance.sampling import ddim
from src.streams import Streams

SAMPLES = 4  # of each prompt, by ancestral sampling, that pictures are held against

CAPTION = """**Figure 7: 2-D generation**, theta the latents themselves, from the same Gaussian start and
by the same draws in every row (digest of {count} prompts' draws: {digest}); {steps} steps, lr {lr:g}, the
loss alone. The last row is no distillation: the prior's own ancestral samples at 7.5.

The paper: SDS at 7.5 "generates overly-smooth images that severely lack detail", at 100 "some artifacts
remain", NFSD at 7.5 "succeeds in distilling finer details". Measured against {samples} samples a prompt:
{detail}. {verdict} Detail is power in the finer half of the spectrum, and above 0 it can be noise as well
as detail: look."""


def figure(prior: Prior, runs: Mapping[str, Sequence[RunConfig]], seed: int) -> Figure:
    """Distil every prompt by every method, a row for each; `runs` has a run for each prompt, by title.

    Raises ValueError if the rows did not see the same draws.
    """
    configs = next(iter(runs.values()))
    prompts = [cfg.prompt for cfg in configs]
    drawn = ancestral(prior, prompts, seed)
    samples, own = decoded(prior, drawn.flatten(0, 1)), drawn[:, 0]
    rows, numbers, digests = list[Row](), Numbers(), set[str]()
    for title, each in runs.items():
        found: list[Distilled] = [distil(cfg, prior) for cfg in each]
        digests.add(" ".join(one.digest for one in found))
        latents = torch.cat([one.latents[:1] for one in found])
        images = decoded(prior, latents)
        rows.append(Row(title, list(images)))
        numbers.append(measured(title, latents, images, drawn, samples))
    if len(digests) > 1:
        raise ValueError("the rows of figure 7 saw different draws")
    rows.append(Row("the prior's samples", list(decoded(prior, own))))
    numbers.append(measured("samples", own, decoded(prior, own), drawn, samples))
    caption = CAPTION.format(
        count=len(prompts),
        digest=digests.pop().split()[0],
        steps=configs[0].steps,
        lr=configs[0].optimizer.lr_latents,
        samples=SAMPLES,
        detail=", ".join(f"{row['row']} {row['fine detail (dB)']:+.1f} dB" for row in numbers[:-1]),
        verdict=verdict(numbers[:-1]),
    )
    return Figure(plate(prompts, rows), numbers, caption)


def ancestral(prior: Prior, prompts: Sequence[str], seed: int) -> Float[Tensor, "P S C h w"]:
    """Samples of each prompt, as src/evaluation/looks.py draws them."""
    every = [said for said in prompts for _ in range(SAMPLES)]
    noise = Streams(seed, 0, device=prior.device)("paper/ancestral")
    return ddim(prior, every, 7.5, 25, noise, eta=1.0).unflatten(0, (len(prompts), SAMPLES))


def measured(
    title: str,
    latents: Float[Tensor, "P C h w"],
    images: Float[Tensor, "P 3 H W"],
    drawn: Float[Tensor, "P S C h w"],
    samples: Float[Tensor, "N 3 H W"],
) -> dict[str, object]:
    """A row's numbers, over its prompts together."""
    images, samples = images.cpu(), samples.cpu()
    return {
        "row": title,
        "size of latents, of samples'": float(latents.square().mean().sqrt() / drawn.square().mean().sqrt()),
        "fine detail (dB)": spectrum_detail(images, samples),
        "distance of spectrum (dB)": spectrum_distance(images, samples),
        "clipped channels": float(clipped(images).mean()),
    }


def verdict(numbers: Numbers) -> str:
    """Which row is nearest to the samples in its spectrum."""
    nearest = min(numbers, key=lambda row: row["distance of spectrum (dB)"])
    return (
        f"Nearest to the samples in the whole spectrum is {nearest['row']} "
        f"({nearest['distance of spectrum (dB)']:.1f} dB away)."
    )
