"""Figure 2: the condition direction delta_C = eps(z_t; y, t) - eps(z_t; "", t) at t = 100 ... 1000."""

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from src.evaluation.paper.asking import ask, noise_like
from src.evaluation.paper.figure import Figure, Numbers, index, label, mean
from src.evaluation.paper.measures import common_share, cosine, inside, size, strength
from src.evaluation.paper.plate import Row, heat, plate
from src.evaluation.paper.shown import Shown, decoded, gain, linear_colour, zero_colour
from src.guidance.prior import Prior

TIMES = (100, 200, 300, 500, 700, 1000)
MIDDLE = 500
ROWS = 2  # pictures that are looked at; all are measured
DRAWS = 3  # noises a picture

CAPTION = """**Figure 2: delta_C = eps(z_t; y, t) - eps(z_t; "", t)** at the paper's t, one noise for all
of them. Left: {what}. Then delta_C, {gain:g} times, decoded (A.1 of the paper; the zero latent, "no
change", is on the right: mean colour {red:.2f}, {green:.2f}, {blue:.2f}). Descent subtracts delta_C, so
what is decoded here is the negative of what the prompt asks for. Below, how much of it there is in each
cell of the latents, black for none, each map to its own largest value.

The paper: delta_C "is fairly clean and concentrated around the main object", "uncorrelated with the added
noise" and "consistently aligned" for different t. Measured on {count} pictures, {draws} noises
each{verdict}.

A.1's premise, that a linear map of a latent's cell gives its colour: R^2 = {r2} for red, green and blue."""

VERDICT = """:
at t = {t} {energy:.0%} of its energy lies inside the true silhouette, which covers {area:.0%} of the
picture: {times:.1f} times as much as chance; from {least:.0%} to {most:.0%} over all t. With the noise it
has a cosine of at most {noise:.2f} at any t, and {common_least:.0%} to {common_most:.0%} of its energy is
common to all noises"""


def figure(prior: Prior, shown: Shown, seed: int) -> Figure:
    """Draw delta_C of the first pictures for one noise, and measure it over all pictures and three noises."""
    noises = [noise_like(shown.latents, seed, draw) for draw in range(DRAWS)]
    found = {}
    for t in TIMES:
        asked = [ask(prior, shown.latents, noise, index(t), shown.captions) for noise in noises]
        found[t] = torch.stack([cond - uncond for cond, uncond in asked])
    numbers: Numbers = []
    for t, parts in found.items():
        row: dict[str, object] = {"t": t, "index": index(t), "size": mean(size(parts[0]))}
        if shown.silhouettes is not None:
            row["energy inside the silhouette"] = mean(inside(parts[0], shown.silhouettes))
        row["common to all noises"] = mean(common_share(parts))
        row["cosine with the noise"] = mean(cosine(parts[0], noises[0]))
        row[f"cosine with t = {MIDDLE}'s"] = mean(cosine(parts[0], found[MIDDLE][0]))
        numbers.append(row)
    seen = {t: parts[0, :ROWS] for t, parts in found.items()}
    times = gain(seen[MIDDLE])
    return Figure(picture(prior, shown, seen, times), numbers, caption(prior, shown, numbers, times))


def picture(
    prior: Prior, shown: Shown, parts: dict[int, Float[Tensor, "N C h w"]], times: float
) -> Image.Image:
    """Two rows a picture: delta_C decoded, and how much of it there is in each cell."""
    zero = zero_colour(prior)
    rows = []
    for i in range(min(ROWS, len(shown.images))):
        each = torch.stack([part[i] for part in parts.values()])
        rows.append(Row(shown.captions[i], [shown.images[i], *decoded(prior, times * each), zero]))
        maps = [heat(cells, float(cells.max())) for cells in strength(each)]
        largest = [f"largest {float(cells.max()):.2f}" for cells in strength(each)]
        if shown.silhouettes is None:
            rows.append(Row("delta_C by cell", [torch.ones_like(zero), *maps], ["", *largest]))
        else:
            outline = shown.silhouettes[i].expand(3, -1, -1)
            rows.append(Row("delta_C by cell", [outline, *maps], ["true silhouette", *largest]))
    return plate(["picture", *map(label, parts), "the zero latent"], rows)


def caption(prior: Prior, shown: Shown, numbers: Numbers, times: float) -> str:
    """Say what is drawn and what was measured."""
    verdict, what = " (the silhouettes are not known)", "samples of the prior"
    if shown.silhouettes is not None:
        what = "photographs of the toy world, whose true silhouettes are known"
        energy = {row["t"]: row["energy inside the silhouette"].value for row in numbers}
        common = [row["common to all noises"].value for row in numbers]
        area = float(shown.silhouettes.mean())
        verdict = VERDICT.format(
            t=MIDDLE,
            energy=energy[MIDDLE],
            area=area,
            times=energy[MIDDLE] / area,
            least=min(energy.values()),
            most=max(energy.values()),
            noise=max(abs(row["cosine with the noise"].value) for row in numbers),
            common_least=min(common),
            common_most=max(common),
        )
    red, green, blue = zero_colour(prior).mean((1, 2)).tolist()
    r2 = ", ".join(f"{share:.2f}" for share in linear_colour(shown).tolist())
    said = CAPTION.format(
        what=what, gain=times, red=red, green=green, blue=blue, count=len(shown.images), draws=DRAWS,
        verdict=verdict, r2=r2,
    )  # fmt: skip
    return said
