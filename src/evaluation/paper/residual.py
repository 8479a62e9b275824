"""Figure 4: the residual delta_N - noise of an in-domain picture, which SDS distils, at t = 1 ... 1000."""

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from src.evaluation.paper.asking import ask, noise_like
from src.evaluation.paper.figure import Figure, Numbers, index, label, mean
from src.evaluation.paper.measures import common_share, content, cosine, fine_share, size
from src.evaluation.paper.plate import Row, plate
from src.evaluation.paper.shown import Shown, decoded, gain, zero_colour
from src.guidance.prior import Prior

TIMES = (1, 100, 200, 300, 500, 700, 1000)
MIDDLE = 300
DRAWS = 4  # noises a picture

CAPTION = """**Figure 4: delta_N - noise = eps(z_t; "", t) - noise** of {what}: there delta_D is about 0,
so the unconditional prediction is delta_N. Above, z_t decoded; below, the residual, {gain:g} times,
decoded and clipped; on the right the zero latent.

The paper: "Although we do not expect the residual to be correlated with the image, it may be seen that
some correlation in fact exists, and furthermore, the residual becomes progressively noisier at smaller
timesteps t." Measured on {count} pictures, {draws} noises each: the residual's size goes from {small:.2f}
at t = {t_small} to {large:.2f} at t = {t_large}; the share of its power at fine scales (white noise:
{white:.2f}) from {coarse:.2f} to {fine:.2f}; and of its energy, what all noises have in common goes from
{common_high:.0%} to {common_low:.0%}: {verdict}. Its correlation with the picture's content is largest at
t = {t_corr}, a cosine of {corr:+.2f}, and {corr_low:+.2f} at t = {t_large}."""


def figure(prior: Prior, shown: Shown, seed: int) -> Figure:
    """Draw the residual of the first picture for one noise, and measure it over all pictures and noises."""
    noises = [noise_like(shown.latents, seed, draw) for draw in range(DRAWS)]
    found, numbers = {}, Numbers()
    for t in TIMES:
        found[t] = torch.stack([ask(prior, shown.latents, eps, index(t))[1] - eps for eps in noises])
        numbers.append(
            {
                "t": t,
                "index": index(t),
                "size": mean(size(found[t][0])),
                "power at fine scales": mean(fine_share(found[t][0])),
                "common to all noises": mean(common_share(found[t])),
                "cosine with the content": mean(cosine(found[t][0], content(shown.latents))),
                "cosine with the noise": mean(cosine(found[t][0], noises[0])),
            }
        )
    seen = torch.stack([parts[0, 0] for parts in found.values()])
    times = gain(found[MIDDLE][0, :1])
    white = float(fine_share(noises[0]).mean())
    said = caption(shown, numbers, white, times)
    return Figure(picture(prior, shown, noises[0][:1], seen, times), numbers, said)


def picture(
    prior: Prior,
    shown: Shown,
    noise: Float[Tensor, "1 C h w"],
    residuals: Float[Tensor, "T C h w"],
    times: float,
) -> Image.Image:
    """The noised picture and the residual, a column for each t."""
    zero, blank = zero_colour(prior), torch.ones_like(shown.images[0])
    squared = prior.alphas_cumprod[[index(t) for t in TIMES]].view(-1, 1, 1, 1)
    noised = squared.sqrt().to(noise) * shown.latents[:1] + (1 - squared).sqrt().to(noise) * noise
    sizes = [f"size {float(part.square().mean().sqrt()):.2f}" for part in residuals]
    rows = [
        Row("z_t", [shown.images[0], *decoded(prior, noised)]),
        Row(
            f"residual, {times:g} times",
            [blank, *decoded(prior, times * residuals), zero],
            [shown.captions[0], *sizes, "zero"],
        ),
    ]
    return plate(["picture", *map(label, TIMES), "the zero latent"], rows)


def caption(shown: Shown, numbers: Numbers, white: float, times: float) -> str:
    """Say what is drawn and what was measured, from the least t of 100 or more to the largest."""
    first, last = numbers[1], numbers[-1]  # t = 1 is beyond what any run draws
    by_correlation = max(numbers, key=lambda row: abs(row["cosine with the content"].value))
    fine = [row["power at fine scales"].value for row in numbers[1:]]
    holds = fine == sorted(fine, reverse=True)
    return CAPTION.format(
        what="a photograph of the toy world" if shown.silhouettes is not None else "a sample of the prior",
        gain=times,
        count=len(shown.images),
        draws=DRAWS,
        small=last["size"].value,
        large=first["size"].value,
        t_small=last["t"],
        t_large=first["t"],
        white=white,
        coarse=fine[-1],
        fine=fine[0],
        common_high=last["common to all noises"].value,
        common_low=first["common to all noises"].value,
        verdict="noisier at every smaller t, as the paper says"
        if holds
        else "not noisier at every smaller t",
        t_corr=by_correlation["t"],
        corr=by_correlation["cosine with the content"].value,
        corr_low=first["cosine with the content"].value,
    )
