"""Where losses would go from the same place: the same half-formed latents, t and noises through every loss.

All that differs between two gradients is then the loss.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from src.evaluation.paper.figure import Mean, Numbers, mean
from src.evaluation.paper.filters import gaussian
from src.evaluation.paper.measures import cosine, size
from src.evaluation.paper.plate import Row, plate
from src.evaluation.paper.shown import decoded, encoded, gain, samples, zero_colour
from src.guidance.critic import Critic
from src.guidance.losses import DistillationLoss
from src.guidance.prior import Prior
from src.guidance.prompts import Text
from src.guidance.terms import Question, score_terms
from src.streams import Streams

FIFTHS = range(0, 1000, 200)
DRAWS = 4  # of t and noise, for every picture in every fifth of t
CRITIC_BATCH = 4  # pictures a step of the critic
BLUR, GREY, KEPT = 4.0, 0.8, 0.5  # pixels of 128; the grey, and the share of a picture that is none


class Gradients(NamedTuple):
    """What each loss answers, its w(t) and scale included; rows are fifth by fifth, draw by draw."""

    t: Int[Tensor, "rows N"]
    of: dict[str, Float[Tensor, "rows N C h w"]]


def half_formed(prior: Prior, prompt: str, count: int, seed: int) -> Float[Tensor, "N C h w"]:
    """Latents on their way: samples of the prior for the prompt, blurred and faded towards light grey."""
    whole = samples(prior, [prompt], count, seed).images
    blurred = gaussian(whole, BLUR * prior.image_size / 128)
    return encoded(prior, KEPT * blurred + (1 - KEPT) * GREY, seed)


def ask_all(
    prior: Prior,
    losses: Mapping[str, DistillationLoss],
    latents: Float[Tensor, "N C h w"],
    text: Text,
    seed: int,
    critic: Critic | None = None,
) -> Gradients:
    """Ask the prior once for what any loss needs, and every loss for its gradient; `text` has one row."""
    count = len(latents)
    nowhere = latents.new_zeros(count, 16)  # the pose that a critic is told: pictures have none
    times, found = [], {name: list[Tensor]() for name in losses}
    for row in tqdm(range(len(FIFTHS) * DRAWS), desc="draws", leave=False):
        draw = Streams(seed, row, device=prior.device)
        t = FIFTHS[row // DRAWS] + (draw.here("compare/t").uniform(count) * FIFTHS.step).long()
        noise = draw("compare/noise").normal(*latents.shape).to(latents)
        needs: dict[str, Tensor] = {}
        for loss in losses.values():
            for branch, mask in loss.needs(t).items():
                needs[branch] = needs.get(branch, torch.zeros_like(mask)) | mask
        every = Text(*(said.expand(count, -1, -1) for said in text[:3]))
        terms = score_terms(prior, Question(latents, noise, t, every, nowhere), needs, critic)
        times.append(t)
        for name, loss in losses.items():
            found[name].append(loss(terms))
    return Gradients(torch.stack(times), {name: torch.stack(grads) for name, grads in found.items()})


def fit(critic: Critic, latents: Float[Tensor, "N C h w"], steps: int, seed: int) -> tuple[float, float]:
    """Fit VSD's critic to these pictures; returns its squared error in the first and in the last tenth."""
    errors = []
    for step in tqdm(range(steps), desc="critic", leave=False):
        some = latents.roll(-step * CRITIC_BATCH, 0)[:CRITIC_BATCH]
        draw = Streams(seed, step, device=latents.device)
        errors.append(float(critic.learn(some, some.new_zeros(len(some), 16), draw)))
    tenth = max(1, steps // 10)
    return sum(errors[:tenth]) / tenth, sum(errors[-tenth:]) / tenth


def by_fifth(gradients: Gradients) -> Numbers:
    """Sizes of single gradients and cosines of each pair of losses, in every fifth of t.

    A picture's draws are averaged first: they are alike, and no further pictures.
    """
    names, rows = list(gradients.of), Numbers()
    for fifth, low in enumerate(FIFTHS):
        here = slice(fifth * DRAWS, (fifth + 1) * DRAWS)
        flat = {name: grad[here].flatten(0, 1) for name, grad in gradients.of.items()}

        row: dict[str, object] = {"t": f"{low}-{low + FIFTHS.step - 1}"}
        row |= {f"size of {name}": _over_pictures(size(grad)) for name, grad in flat.items()}
        for i, one in enumerate(names):
            row |= {
                f"{one}, {other}": _over_pictures(cosine(flat[one], flat[other])) for other in names[i + 1 :]
            }
        rows.append(row)
    return rows


def _over_pictures(values: Float[Tensor, "rows"]) -> Mean:
    return mean(values.view(DRAWS, -1).mean(0))


def of_means(gradients: Gradients) -> Numbers:
    """Cosines of each picture's gradients averaged over all t and noises, which is where a run is taken.

    What averages out is mostly gone from them: noise that a loss leaves in its gradient.
    """
    means = {name: grad.mean(0) for name, grad in gradients.of.items()}
    return [
        {"mean gradient": one, "size": mean(size(means[one]))}
        | {f"cosine with {other}": mean(cosine(means[one], means[other])) for other in means}
        for one in means
    ]


def picture(prior: Prior, latents: Float[Tensor, "N C h w"], gradients: Gradients) -> Image.Image:
    """The first picture and its steps (minus the gradient), decoded: one of each fifth, and the mean.

    Each loss has a gain of its own, because what differs in looks is the direction; sizes stand below.
    """
    blank = torch.ones_like(zero_colour(prior))
    first = decoded(prior, latents[:1])[0]
    rows: list[Row] = []
    for name, grad in gradients.of.items():
        steps = torch.cat([-grad[::DRAWS, 0], -grad[:, 0].mean(0, keepdim=True)])
        times = gain(steps)
        sizes = [f"size {float(step.square().mean().sqrt()):.2g}" for step in steps]
        left = first if not rows else zero_colour(prior) if len(rows) == 1 else blank
        rows.append(Row(f"{name}, {times:g} times", [left, *decoded(prior, times * steps)], ["", *sizes]))
    rows[1] = rows[1]._replace(notes=["the zero latent", *rows[1].notes[1:]])
    columns = [f"t = {t}" for t in gradients.t[::DRAWS, 0].tolist()]
    return plate(["half-formed", *columns, f"mean of {len(gradients.t)}"], rows)
