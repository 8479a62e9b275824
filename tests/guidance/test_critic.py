"""VSD's critic: off it is the prior, fitted it knows what is shown better than the prior does."""

import copy

import pytest
import torch
from torch import Tensor

from src.errors import UserError
from src.guidance.critic import Critic, CriticConfig
from src.guidance.prior import Prior
from src.streams import Streams


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def prior(tiny_prior: Prior) -> Prior:
    """One of its own: a critic adds to the UNet."""
    return copy.deepcopy(tiny_prior)


def made(prior: Prior, **settings: float) -> Critic:
    return Critic(prior, prior.embed(["a lion"]), CriticConfig(**settings), Streams(0, 0))


POSE = torch.eye(4).flatten()[None]
T = torch.tensor([20, 500, 980])


def test_it_begins_as_the_prior_and_leaves_the_prior_alone(prior: Prior) -> None:
    """Oracle: the prior's own numbers, bit for bit, before it has learnt and, asked as the prior, after."""
    noised, text = normals(3, 4, 16, 16), prior.embed(["a lion"]).expand(3, -1, -1)
    before = prior.predict_noise(noised, T, text)
    critic = made(prior, learning_rate=1e-2)
    assert torch.equal(critic.predict(noised, T, POSE.expand(3, -1)), before)
    critic.learn(noised, POSE.expand(3, -1), Streams(0, 1))
    assert torch.equal(prior.predict_noise(noised, T, text), before)
    assert not torch.equal(critic.predict(noised, T, POSE.expand(3, -1)), before)


def test_a_second_critic_is_as_the_first(prior: Prior) -> None:
    """Oracle: the same critic on a prior of its own, bit for bit, whatever one before it has learnt.

    That one does not answer with the second's matrices.
    """
    noised, pose = normals(3, 4, 16, 16), POSE.expand(3, -1)
    alone, first = made(copy.deepcopy(prior), learning_rate=1e-2), made(prior, learning_rate=1e-2)
    first.learn(noised, pose, Streams(0, 1))
    second = made(prior, learning_rate=1e-2)
    for critic in (alone, second):
        critic.learn(noised, pose, Streams(0, 2))
    assert torch.equal(second.predict(noised, T, pose), alone.predict(noised, T, pose))
    with pytest.raises(RuntimeError, match="another critic"):
        first.predict(noised, T, pose)


def test_every_part_of_it_learns(prior: Prior) -> None:
    """Oracle: two steps move every matrix: the first those that begin at zero, the second the others."""
    critic = made(prior, learning_rate=1e-2)
    before = {name: parameter.detach().clone() for name, parameter in critic.named_parameters()}
    for step in range(2):
        critic.learn(normals(3, 4, 16, 16), POSE.expand(3, -1), Streams(0, step))
    assert any("lora_A" in name for name in before)
    for name, parameter in critic.named_parameters():
        assert not torch.equal(parameter.detach(), before[name]), name


def test_fitted_to_a_picture_it_predicts_its_noise(prior: Prior) -> None:
    """Oracle: the frozen UNet's own error on the same draws, which it falls 3% below (random networks)."""
    picture = normals(1, 4, 16, 16, seed=1).expand(4, -1, -1, -1)
    pose = POSE.expand(4, -1)
    critic = made(prior, rank=8, learning_rate=1e-2)
    losses = [float(critic.learn(picture, pose, Streams(0, step))) for step in range(80)]
    draw = Streams(0, 10_000)
    t = (draw("t").uniform(4) * 1000).long()
    noise = draw("noise").normal(*picture.shape)
    squared = prior.alphas_cumprod[t].float().view(-1, 1, 1, 1)
    noised = squared.sqrt() * picture + (1 - squared).sqrt() * noise
    text = prior.embed(["a lion"]).expand(4, -1, -1)
    own = float((prior.predict_noise(noised, t, text) - noise).square().mean())
    fitted = float((critic.predict(noised, t, torch.zeros(4, 16)) - noise).square().mean())
    assert fitted < 0.97 * own  # and that without being told the pose
    assert sum(losses[-10:]) < 0.97 * sum(losses[:10])


def test_the_pose_matters_once_it_has_learnt(prior: Prior) -> None:
    """Oracle: two poses with two pictures: what it says of one differs from what it says of the other."""
    critic = made(prior, learning_rate=1e-2, pose_dropout=0.0)
    poses = torch.stack([torch.eye(4).flatten(), -torch.eye(4).flatten()])
    pictures = torch.stack([torch.ones(4, 16, 16), -torch.ones(4, 16, 16)])
    for step in range(10):
        critic.learn(pictures, poses, Streams(0, step))
    noised = normals(1, 4, 16, 16)
    first, second = (critic.predict(noised, T[:1], pose[None]) for pose in poses)
    assert not torch.allclose(first, second, atol=1e-4)


def test_a_sample_in_so_many_is_not_told_its_pose(prior: Prior, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the share asked for, sample by sample: 200 draws of p = 0.3 lie within 4 deviations."""
    critic = made(prior, pose_dropout=0.3)
    seen: list[Tensor] = []

    def answer(noised: Tensor, _t: Tensor) -> Tensor:
        assert critic._pose is not None
        seen.append(critic._pose.any(1))
        return noised + critic.pose_out.sum()

    monkeypatch.setattr(critic, "_answer", answer)
    for step in range(50):
        critic.learn(normals(4, 4, 16, 16), POSE.expand(4, -1), Streams(0, step))
    told = torch.stack(seen)
    assert abs(float(told.double().mean()) - 0.7) < 4 * (0.3 * 0.7 / 200) ** 0.5
    assert told.any(1).logical_and(~told.all(1)).any()  # some batches are told in part


@pytest.mark.parametrize(
    ("setting", "value"), [("rank", 0), ("learning_rate", 0.0), ("pose_dropout", 1.5), ("rank", 2000)]
)
def test_settings_out_of_range_are_named(setting: str, value: float) -> None:
    """Oracle: the sentence repeats setting and value."""
    with pytest.raises(UserError, match=rf"critic.{setting}={value} is out of range"):
        CriticConfig(**{setting: value})
