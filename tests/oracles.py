"""Closed forms that several test files compare with; float64, and written from the papers, not from src."""

import torch
from torch import Tensor


def alpha_bar(t: Tensor) -> Tensor:
    """Stable Diffusion's alpha^2: product of 1 - beta, sqrt(beta) linear from sqrt(.00085) to sqrt(.012)."""
    steps = torch.arange(1000, dtype=torch.float64) / 999
    betas = (0.00085**0.5 + steps * (0.012**0.5 - 0.00085**0.5)) ** 2
    return torch.exp(torch.log1p(-betas).cumsum(0))[t]


def pull(t: Tensor, deviation: float) -> Tensor:
    """k(t) = sigma alpha / (alpha^2 s^2 + sigma^2): E[eps] = k (z - mu) for a prior N(mu, s^2)."""
    squared = alpha_bar(t)
    return (squared * (1 - squared)).sqrt() / (squared * deviation**2 + 1 - squared)


def push_over_pull(t_min: int, t_max: int, cut: int, sigma_power: float, deviation: float) -> float:
    """R of NFSD: sum of w k over t >= cut divided by its sum over t < cut, t uniform on t_min ... t_max."""
    t = torch.arange(t_min, t_max + 1)
    weighted = (1 - alpha_bar(t)) ** (sigma_power / 2) * pull(t, deviation)
    return float(weighted[t >= cut].sum() / weighted[t < cut].sum())
