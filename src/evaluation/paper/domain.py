"""Figure 3: delta_N and delta_D, told apart by pairs of an in-domain picture and the same one filtered.

With the same noise in both, delta_N = eps(z_t(x_ID); "", t) and delta_D = eps(z_t(x_OOD); "", t) - delta_N.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from src.evaluation.paper import filters
from src.evaluation.paper.asking import ask, noise_like, noise_ratio
from src.evaluation.paper.figure import Figure, Numbers, mean
from src.evaluation.paper.measures import content, cosine, size, strength
from src.evaluation.paper.plate import Row, plate
from src.evaluation.paper.shown import Shown, decoded, encoded, gain, zero_colour
from src.guidance.prior import Prior

TIMES = (100, 200, 300, 500, 700, 900)
MIDDLE = 500  # the t that is drawn; the paper does not say which its own is

CAPTION = """**Figure 3: delta_N and delta_D at t = {t}.** (a) x_ID, samples of the prior; (b) x_OOD, the
same blurred by a Gaussian (above) and filtered bilaterally (below); (c) delta_N, decoded as it is; (d)
delta_D, {gain:g} times, decoded; (e) x_OOD with delta_D: a difference of noises delta_D moves the latents
by -(sigma / alpha) delta_D, which is what the paper's x_OOD + delta_D can mean. On the right the zero
latent. The paper states neither its t nor its filters; ours are a Gaussian of {gaussian:g} pixels and a
bilateral filter of {place:g} pixels and {colour:g} in colour, on 128x128.

The paper: delta_N "appears to consist of noise uncorrelated with the image content", "delta_D is large in
areas where the distortion is most pronounced and adding delta_D to x_OOD effectively enhances the
realism". Measured on {count} samples, at t = {t}: delta_N has a cosine of {with_noise:.2f} with the drawn
noise and of {with_content:+.2f} with the content. For the Gaussian filter, the sizes of delta_D and of the
distortion correlate over cells at {where_g:.2f}, and (e) is {left_g:.0%} as far from x_ID as x_OOD was;
for the bilateral filter {where_b:.2f} and {left_b:.0%}.

That (e) looks better says little of the prior. delta_N is taken from x_ID: the more the noise hides, the
more alike are the two predictions, and the nearer does subtracting them come to putting x_ID itself back
({last:.0%} left at t = {last_t}). Without a look at x_ID, with the drawn noise in the place of delta_N,
(e) would be the prior's own denoised picture of x_OOD: {own_g:.0%} as far from x_ID as the blurred picture
and {own_b:.0%} as far as the bilaterally filtered one at t = {t}; at best, over the table's t,
{best_g:.0%} and {best_b:.0%}."""


class Pair(NamedTuple):
    """A filter's name, and latents of all pictures in the domain and out of it."""

    filtered: str
    images: Float[Tensor, "N 3 H W"]
    latents: Float[Tensor, "N C h w"]


def figure(prior: Prior, shown: Shown, seed: int) -> Figure:
    """Draw the first picture blurred and the second filtered bilaterally; measure all pictures, both ways."""
    scale = prior.image_size / 128
    clean = encoded(prior, shown.images, seed)
    pairs = []
    for name, images in (
        ("Gaussian", filters.gaussian(shown.images, scale * filters.GAUSSIAN)),
        (
            "bilateral",
            filters.bilateral(shown.images, scale * filters.BILATERAL_PLACE, filters.BILATERAL_COLOUR),
        ),
    ):
        pairs.append(Pair(name, images, encoded(prior, images, seed)))
    noise = noise_like(clean, seed, 0)
    numbers, seen = Numbers(), {}
    for t in TIMES:
        denoising = ask(prior, clean, noise, t)[1]
        for pair in pairs:
            domain = ask(prior, pair.latents, noise, t)[1] - denoising
            ratio = noise_ratio(prior, t)
            moved = pair.latents - ratio * domain
            alone = pair.latents - ratio * (domain + denoising - noise)
            numbers.append(
                {
                    "t": t,
                    "filter": pair.filtered,
                    "cosine of delta_N with the noise": mean(cosine(denoising, noise)),
                    "with the content": mean(cosine(denoising, content(clean))),
                    "size of delta_D": mean(size(domain)),
                    "its cells and the distortion's": mean(alike(domain, pair.latents - clean)),
                    "distance left": mean(size(moved - clean) / size(pair.latents - clean)),
                    "left without x_ID": mean(size(alone - clean) / size(pair.latents - clean)),
                }
            )
            if t == MIDDLE:
                seen[pair.filtered] = (denoising, domain, moved)
    times = gain(torch.cat([domain[:2] for _, domain, _ in seen.values()]))
    return Figure(picture(prior, shown, pairs, seen, times), numbers, caption(shown, numbers, times))


def alike(one: Float[Tensor, "N C h w"], other: Float[Tensor, "N C h w"]) -> Float[Tensor, "N"]:
    """Correlation, over cells, of how much there is of either."""
    a, b = (strength(part).flatten(1) for part in (one, other))
    return torch.cosine_similarity(a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True))


def picture(
    prior: Prior,
    shown: Shown,
    pairs: list[Pair],
    seen: dict[str, tuple[Tensor, Tensor, Tensor]],
    times: float,
) -> Image.Image:
    """The paper's columns: one picture for each filter."""
    rows, zero = [], zero_colour(prior)
    for i, pair in enumerate(pairs):
        denoising, domain, moved = (part[i : i + 1] for part in seen[pair.filtered])
        parts = decoded(prior, torch.cat([denoising, times * domain, moved]))
        rows.append(
            Row(f"{shown.captions[i]}; {pair.filtered}", [shown.images[i], pair.images[i], *parts, zero])
        )
    names = ["(a) x_ID", "(b) x_OOD", "(c) delta_N", f"(d) delta_D, {times:g} times"]
    return plate([*names, "(e) x_OOD - (sigma / alpha) delta_D", "the zero latent"], rows)


def caption(shown: Shown, numbers: Numbers, times: float) -> str:
    """Say what is drawn and what was measured."""
    at = {row["filter"]: row for row in numbers if row["t"] == MIDDLE}
    own = {
        name: min(row["left without x_ID"].value for row in numbers if row["filter"] == name) for name in at
    }
    gaussian, bilateral = at["Gaussian"], at["bilateral"]
    return CAPTION.format(
        t=MIDDLE,
        gain=times,
        gaussian=filters.GAUSSIAN,
        place=filters.BILATERAL_PLACE,
        colour=filters.BILATERAL_COLOUR,
        count=len(shown.images),
        with_noise=gaussian["cosine of delta_N with the noise"].value,
        with_content=gaussian["with the content"].value,
        where_g=gaussian["its cells and the distortion's"].value,
        where_b=bilateral["its cells and the distortion's"].value,
        left_g=gaussian["distance left"].value,
        left_b=bilateral["distance left"].value,
        last=numbers[-2]["distance left"].value,
        last_t=numbers[-2]["t"],
        own_g=gaussian["left without x_ID"].value,
        own_b=bilateral["left without x_ID"].value,
        best_g=own["Gaussian"],
        best_b=own["bilateral"],
    )
