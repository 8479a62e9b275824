"""The filters of figure 3, against sums written out and exact invariances."""

import pytest
import torch

from src.evaluation.paper.filters import bilateral, gaussian
from src.streams import Streams

NOISE = Streams(0, 0)("images").uniform(2, 3, 17, 19).double()


def test_gaussian_is_the_weighted_mean() -> None:
    """Oracle: the double sum at a pixel in the middle, in float64."""
    place = torch.arange(-5, 6, dtype=torch.float64)  # 3 deviations of 1.5, rounded up or down: 4
    place = place[1:-1]
    line = (-(place**2) / (2 * 1.5**2)).exp()
    weights = line[:, None] * line
    expected = (NOISE[..., 4:13, 5:14] * weights).sum((-2, -1)) / weights.sum()
    torch.testing.assert_close(gaussian(NOISE, 1.5)[..., 8, 9], expected)


def test_bilateral_is_the_weighted_mean() -> None:
    """Oracle: the double sum over the same window, with both weights."""
    reach, at = 4, NOISE[..., 8, 9]
    total, weights = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            near = NOISE[..., 8 + y, 9 + x]
            apart = ((near - at) ** 2).sum(1, keepdim=True)
            weight = torch.exp(-torch.tensor(x * x + y * y) / (2 * 2.0**2) - apart / (2 * 0.3**2))
            total, weights = total + weight * near, weights + weight
    torch.testing.assert_close(bilateral(NOISE, 2.0, 0.3)[..., 8, 9], total / weights)


@pytest.mark.parametrize("wide", [False, True])
def test_flat_pictures_stay_and_edges_stay_sharp_under_the_bilateral_alone(wide: bool) -> None:
    """Oracle: averages of one colour are that colour; for the bilateral a step of 1 is 28 deviations."""
    flat = torch.full((1, 3, 12, 12), 0.3)
    torch.testing.assert_close(gaussian(flat, 2.0), flat)
    torch.testing.assert_close(bilateral(flat, 2.0, 0.1), flat)
    step = torch.zeros(1, 3, 12, 12)
    step[..., 6:] = 1.0
    if wide:
        step = step.transpose(-1, -2)
    torch.testing.assert_close(bilateral(step, 2.0, 0.06), step)
    assert (gaussian(step, 2.0) - step).abs().max() > 0.3
