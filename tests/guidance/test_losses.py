"""The losses against each other and against closed forms: identities, expectations, fixed points, cost."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from src.errors import UserError
from src.guidance.gaussian import gaussian_prior
from src.guidance.losses import CSD, DDS, NFSD, SDS, SJC, VSD, DistillationLoss, component_norms, surrogate
from src.guidance.prompts import PromptBank, PromptConfig, Text
from src.guidance.terms import BRANCHES, Question, ScoreTerms, score_terms
from src.streams import Streams
from tests import oracles

DOUBLE = torch.float64
SHAPE = (
    5,
    3,
    5,
    2,
)  # the batch is as large as a side, so that a wrong broadcast would pass unseen by shape alone
T = torch.tensor([20, 199, 200, 500, 980])
OURS = NFSD(cut=600, weight_below_cut=3.0, alpha_power=1.0, sigma_power=1.0)
LOSSES = (SDS(), SJC(), CSD(), VSD(), NFSD(), OURS)


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def random_terms(t: torch.Tensor = T, seed: int = 0) -> ScoreTerms:
    squared = oracles.alpha_bar(t).view(-1, 1, 1, 1)
    noise, *predicted = normals(5, len(t), *SHAPE[1:], seed=seed)
    return ScoreTerms(t, squared.sqrt(), (1 - squared).sqrt(), noise, *predicted, unet_rows=0)


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal up to the roundings of a handful of float64 operations on values up to 1e3."""
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


# --- identities between the losses, exact for any predictions -----------------------------------------------


@given(st.floats(0, 200), st.floats(0, 200))
def test_csd_is_the_slope_of_sds(one: float, other: float) -> None:
    """Oracle: SDS is affine in its scale, (SDS(s1) - SDS(s2)) = (s1 - s2) CSD(1)."""
    terms = random_terms()
    close(SDS(one)(terms) - SDS(other)(terms), (one - other) * CSD(1.0)(terms))


def test_sjc_is_sds_with_unit_weight() -> None:
    """Oracle: sigma^2 SJC = SDS at the same scale."""
    terms = random_terms()
    close(terms.sigma**2 * SJC(30.0)(terms), SDS(30.0)(terms))


def test_nfsd_against_sds() -> None:
    """Oracle: NFSD - SDS is w noise for t < 200 and w (noise - negative) for t >= 200 (NFSD eq. 5 to 7)."""
    terms = random_terms()
    difference = NFSD(7.5)(terms) - SDS(7.5)(terms)
    close(difference[:2], (terms.sigma**2 * terms.noise)[:2])
    close(difference[2:], (terms.sigma**2 * (terms.noise - terms.negative))[2:])


def test_nfsd_without_a_negative_prompt_is_csd() -> None:
    """Oracle: p_neg = "" makes delta_D vanish, so w s delta_C is left for t >= cut."""
    terms = random_terms()
    terms = replace(terms, negative=terms.uncond)
    close(NFSD(7.5)(terms)[2:], CSD(7.5)(terms)[2:])


def test_vsd_with_a_critic_that_says_the_noise_is_sds() -> None:
    """Oracle: ProlificDreamer, section 3.2: a critic of a single picture is the noise that was drawn."""
    terms = random_terms()
    assert torch.equal(VSD(30.0)(replace(terms, critic=terms.noise)), SDS(30.0)(terms))


def test_vsd_of_what_has_neither_prompt_nor_flaws_is_nfsd() -> None:
    """Oracle: NFSD eq. 11: a critic that says uncond - delta_D leaves delta_D + s delta_C."""
    terms = random_terms()
    below = (T < 200).view(-1, 1, 1, 1)
    critic = torch.where(below, torch.zeros_like(terms.uncond), terms.negative)
    close(VSD(7.5)(replace(terms, critic=critic)), NFSD(7.5)(terms))


def test_dds_is_the_difference_of_two_sds() -> None:
    """Oracle: DDS eq. 3: under the same noise and t the noises cancel; of a thing with itself it is 0."""
    terms, before = random_terms(seed=1), random_terms(seed=2)
    before = replace(before, noise=terms.noise)
    close(DDS(9.0)(replace(terms, reference=before)), SJC(9.0)(terms) - SJC(9.0)(before))
    assert not DDS(9.0)(replace(terms, reference=terms)).any()


def test_classifier_free_guidance_has_one_convention() -> None:
    """Oracle: at scale 1 SDS is cond - noise, at 0 uncond - noise (NFSD eq. 1), and CSD is 0."""
    terms = random_terms()
    close(SJC(1.0)(terms), terms.cond - terms.noise)
    close(SJC(0.0)(terms), terms.uncond - terms.noise)
    assert not CSD(0.0)(terms).any()


@pytest.mark.parametrize(("alpha_power", "sigma_power"), [(0.0, 2.0), (0.0, 0.0), (1.0, 1.0), (2.0, -1.0)])
def test_weight_is_a_product_of_powers(alpha_power: float, sigma_power: float) -> None:
    """Oracle: alpha^a sigma^b from alpha^2 in Python floats."""
    grad = SDS(7.5, alpha_power, sigma_power)(random_terms()) / SJC(7.5)(random_terms())
    for i, squared in enumerate(oracles.alpha_bar(T).tolist()):
        expected = squared ** (alpha_power / 2) * (1 - squared) ** (sigma_power / 2)
        close(grad[i], torch.full_like(grad[i], expected))


# --- samples of a batch do not touch each other -------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_mixed_batch_equals_its_samples_one_by_one(loss: DistillationLoss) -> None:
    """Oracle: the same loss on batches of one, t below and above the cut."""
    whole = random_terms()
    for i in range(len(T)):
        row = slice(i, i + 1)
        tensors = {name: value[row] for name, value in vars(whole).items() if isinstance(value, torch.Tensor)}
        assert torch.equal(loss(ScoreTerms(**tensors, unet_rows=0)), loss(whole)[row])


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_reads_only_what_it_asked_for(loss: DistillationLoss) -> None:
    """Oracle: rows that were not asked for are NaN, and the gradient is finite all the same."""
    terms = random_terms()
    masks = {branch: torch.zeros_like(T, dtype=torch.bool) for branch in (*BRANCHES, "critic")}
    masks |= loss.needs(T)
    nan = {
        branch: torch.where(mask.view(-1, 1, 1, 1), getattr(terms, branch), torch.nan)
        for branch, mask in masks.items()
    }
    assert torch.equal(loss(replace(terms, **nan)), loss(terms))


@pytest.mark.parametrize(("t_min", "t_max", "most"), [(20, 980, 2.85), (20, 500, 2.65)])
def test_unet_rows_per_sample(t_min: int, t_max: int, most: float) -> None:
    """Oracle: counted over every t of the range; 2 + the share of t >= 200, and 2 for the other losses."""
    t = torch.arange(t_min, t_max + 1)
    prior = gaussian_prior(size=1)
    text = Text(*(row.expand(len(t), -1, -1) for row in prior.embed(["a lion", "", "blurry"])))
    latents = torch.zeros(len(t), 3, 1, 1)
    rows = score_terms(prior, Question(latents, latents, t, text), NFSD().needs(t)).unet_rows
    assert rows == 2 * len(t) + t_max - 199
    assert rows / len(t) <= most
    for loss in (SDS(), SJC(), CSD()):
        assert score_terms(prior, Question(latents, latents, t, text), loss.needs(t)).unet_rows == 2 * len(t)


# --- expectations and fixed points under Gaussian priors ----------------------------------------------------

DEVIATION = 0.5
MEANS = {"a lion": normals(3, 5, 2, seed=1), "": normals(3, 5, 2, seed=2), "blurry": normals(3, 5, 2, seed=3)}


def expected_gradient(loss: DistillationLoss, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Mean of the loss over t and noise, exactly: it is affine in the noise, so +-noise average it."""
    squared = oracles.alpha_bar(t).view(-1, 1, 1, 1)
    alpha, sigma = squared.sqrt(), (1 - squared).sqrt()
    noise = normals(1, *z.shape)
    total = torch.zeros_like(z)
    for signed in (noise, -noise):
        noised = alpha * z + sigma * signed
        cond, uncond, negative = (
            sigma * (noised - alpha * MEANS[prompt]) / (alpha**2 * DEVIATION**2 + sigma**2)
            for prompt in ("a lion", "", "blurry")
        )
        spread = signed.expand_as(noised)
        terms = ScoreTerms(t, alpha, sigma, spread, cond, uncond, negative, uncond, unet_rows=0)
        total += loss(terms).mean(0) / 2
    return total


def guided_mean(scale: float) -> torch.Tensor:
    return MEANS[""] + scale * (MEANS["a lion"] - MEANS[""])


def test_expected_sds_gradient() -> None:
    """Oracle: E = w k (z - mu_g) with k = sigma alpha / (alpha^2 s^2 + sigma^2)."""
    z = normals(3, 5, 2)
    for t in (20, 199, 200, 980):
        index = torch.tensor([t])
        weight = (1 - oracles.alpha_bar(index)) * oracles.pull(index, DEVIATION)
        close(expected_gradient(SDS(7.5), z, index), weight * (z - guided_mean(7.5)))


def test_fixed_point_of_sds_is_the_guided_mean() -> None:
    """Oracle: the gradient at mu_g is 0, and one unit away in z it is the mean of w k."""
    t = torch.arange(20, 981)
    close(expected_gradient(SDS(7.5), guided_mean(7.5), t), torch.zeros(3, 5, 2, dtype=DOUBLE))
    slope = float(((1 - oracles.alpha_bar(t)) * oracles.pull(t, DEVIATION)).mean())
    close(expected_gradient(SDS(7.5), guided_mean(7.5) + 1, t), torch.full((3, 5, 2), slope, dtype=DOUBLE))


@pytest.mark.parametrize(
    ("t_max", "sigma_power", "stated"), [(980, 2.0, 10.8), (500, 2.0, 5.3), (980, 0.0, 2.3), (500, 0.0, 1.5)]
)
def test_fixed_point_of_nfsd(t_max: int, sigma_power: float, stated: float) -> None:
    """Oracle: z* = mu_g + R (mu_g - mu_neg), R = push of t >= 200 / pull of t < 200; R to one decimal."""
    ratio = oracles.push_over_pull(20, t_max, 200, sigma_power, DEVIATION)
    assert round(ratio, 1) == stated
    loss = NFSD(7.5, sigma_power=sigma_power)
    fixed = guided_mean(7.5) + ratio * (guided_mean(7.5) - MEANS["blurry"])
    t = torch.arange(20, t_max + 1)
    # The two branches cancel here; each is of the size of the gradient at mu_g.
    size = float(expected_gradient(loss, guided_mean(7.5), t).abs().max())
    assert expected_gradient(loss, fixed, t).abs().max() < 1e-11 * size


def test_weight_below_the_cut_divides_the_overshoot() -> None:
    """Oracle: R becomes R / weight, for a cut of its own."""
    t = torch.arange(20, 981)
    ratio = oracles.push_over_pull(20, 980, 600, 1.0, DEVIATION) / 4
    loss = NFSD(7.5, sigma_power=1.0, cut=600, weight_below_cut=4.0)
    fixed = guided_mean(7.5) + ratio * (guided_mean(7.5) - MEANS["blurry"])
    size = float(expected_gradient(loss, guided_mean(7.5), t).abs().max())
    assert expected_gradient(loss, fixed, t).abs().max() < 1e-11 * size


def test_nfsd_above_the_cut_does_not_see_the_image() -> None:
    """Oracle: the gradient is w k (mu_neg - mu_g) wherever z is (design: it pushes and never pulls back)."""
    t = torch.tensor([700])
    weight = (1 - oracles.alpha_bar(t)) * oracles.pull(t, DEVIATION)
    for z in (normals(3, 5, 2), 10 * normals(3, 5, 2, seed=4)):
        close(expected_gradient(NFSD(7.5), z, t), weight * (MEANS["blurry"] - guided_mean(7.5)))


# --- from gradient to autograd ------------------------------------------------------------------------------


@given(st.integers(1, 7), st.integers(-30, 30))
def test_surrogate_hands_the_gradient_on_bit_by_bit(batch: int, exponent: int) -> None:
    """Oracle: grad / B, at any magnitude, for latents that would swallow it in z - (z - grad)."""
    latents = normals(batch, 4, 3, 2).float().requires_grad_()
    grad = (normals(batch, 4, 3, 2, seed=1) * 10.0**exponent).float()
    surrogate(latents, grad).backward()
    assert latents.grad is not None
    assert torch.equal(latents.grad, grad / batch)


def test_surrogate_does_not_train_the_gradient() -> None:
    """Oracle: a gradient that carries a graph receives nothing."""
    grad = normals(2, 4, 3, 2).requires_grad_()
    surrogate(normals(2, 4, 3, 2).requires_grad_(), grad).backward()
    assert grad.grad is None


def test_from_prompt_to_the_gradient_of_an_image() -> None:
    """Oracle: two views of one image, opposite noises; the chain rule through 2 x - 1 and w k (z - mu_g)."""
    prior = gaussian_prior(size=4, deviation=DEVIATION, dtype=DOUBLE)
    image = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=DOUBLE).requires_grad_()
    latents = prior.encode(image.expand(2, -1, -1, -1), Streams(0, 0)("vae"))
    noise = normals(1, 3, 4, 4)
    bank = PromptBank(prior, "a red lion", PromptConfig())
    text, t, loss = bank(torch.zeros(2), torch.zeros(2)), torch.tensor([300, 300]), SDS(7.5)
    terms = score_terms(prior, Question(latents, torch.cat([noise, -noise]), t, text), loss.needs(t))
    surrogate(latents, loss(terms)).backward()

    cond, uncond = prior.embed(["a red lion, front view", ""]).view(2, 3, 4, 4)
    distance = 2 * image.detach() - 1 - (uncond + 7.5 * (cond - uncond))
    assert image.grad is not None
    close(image.grad, 2 * (1 - oracles.alpha_bar(t[0])) * oracles.pull(t[0], DEVIATION) * distance)


def test_component_norms() -> None:
    """Oracle: root mean squares written out for one sample on either side of the cut."""
    terms = random_terms()
    norms = component_norms(terms, NFSD(7.5, weight_below_cut=3.0))
    below, above = 1, 3
    weight = (1 - oracles.alpha_bar(T)).tolist()

    def size(tensor: torch.Tensor) -> float:
        return math.sqrt(float(tensor.square().sum()) / tensor.numel())

    condition = 7.5 * (terms.cond - terms.uncond)
    assert float(norms["condition"][below]) == pytest.approx(
        3 * weight[below] * size(condition[below]), rel=1e-12
    )
    assert float(norms["condition"][above]) == pytest.approx(
        weight[above] * size(condition[above]), rel=1e-12
    )
    restoring, domain = terms.uncond - terms.noise, terms.uncond - terms.negative
    assert float(norms["restoring"][below]) == pytest.approx(
        3 * weight[below] * size(restoring[below]), rel=1e-12
    )
    assert float(norms["domain"][above]) == pytest.approx(weight[above] * size(domain[above]), rel=1e-12)
    assert norms["restoring"].isnan().tolist() == [False, False, True, True, True]


def test_domain_norm_is_nan_where_the_prior_was_not_asked() -> None:
    """Oracle: `negative` is NaN for t < cut in a run, and so is its norm."""
    terms = random_terms()
    negative = torch.where((T >= 200).view(-1, 1, 1, 1), terms.negative, torch.nan)
    norms = component_norms(replace(terms, negative=negative), NFSD())
    assert norms["domain"].isnan().tolist() == [True, True, False, False, False]


# --- settings -----------------------------------------------------------------------------------------------


def test_defaults_are_the_papers() -> None:
    """Oracle: NFSD sections 4 and 6; SJC's weight is 1."""
    assert (NFSD().guidance_scale, NFSD().cut, NFSD().weight_below_cut) == (7.5, 200, 1.0)
    assert SDS().guidance_scale == SJC().guidance_scale == 100
    assert (SJC().alpha_power, SJC().sigma_power) == (0, 0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"guidance_scale": math.nan}, r"loss\.guidance_scale=nan"),
        ({"guidance_scale": math.inf}, r"loss\.guidance_scale=inf"),
        ({"guidance_scale": -7.5}, r"loss\.guidance_scale=-7\.5 .*choose 0 to"),
        ({"sigma_power": math.nan}, r"loss\.sigma_power=nan"),
        ({"alpha_power": 9.0}, r"loss\.alpha_power=9\.0 .*choose -4 to 4"),
        ({"cut": -1}, r"loss\.cut=-1 .*choose 0 to 1000"),
        ({"cut": 1001}, r"loss\.cut=1001"),
        ({"weight_below_cut": -1.0}, r"loss\.weight_below_cut=-1\.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings: dict[str, float], named: str) -> None:
    """Oracle: the message names key, value and remedy."""
    with pytest.raises(UserError, match=named):
        NFSD(**settings)


@pytest.mark.parametrize("kind", [SDS, SJC, CSD, NFSD])
def test_a_loss_is_its_own_configuration_node(kind: type[DistillationLoss]) -> None:
    """Oracle: the same object built in Python."""
    node = OmegaConf.merge(OmegaConf.structured(kind), OmegaConf.from_dotlist(["guidance_scale=12.5"]))
    assert OmegaConf.to_object(node) == kind(guidance_scale=12.5)
