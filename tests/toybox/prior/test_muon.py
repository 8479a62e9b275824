"""Muon: what it makes of a matrix, and who takes whose step."""

import pytest
import torch
from torch import nn

from src.toybox.prior.muon import ADAM_RMS, BETAS, EPS, Muon, orthogonalized


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 7)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    """Oracle: U V^T of torch's SVD keeps the vectors; the five rounds leave values within [0.65, 1.25].

    The polynomial is made to be fast and not to converge (Jordan et al. 2024).
    """
    u, _, v = torch.linalg.svd(
        torch.randn(shape, generator=torch.Generator().manual_seed(0)), full_matrices=False
    )
    values = torch.logspace(-1, 1, len(v))
    kept = u.T @ orthogonalized((u @ torch.diag(values) @ v)[None])[0] @ v.T
    torch.testing.assert_close(kept, torch.diag(kept.diagonal()), rtol=0, atol=1e-3)  # float32, five rounds
    assert 0.65 < kept.diagonal().min() <= kept.diagonal().max() < 1.25


def test_a_zero_gradient_moves_nothing() -> None:
    """Oracle: 0, which an unguarded norm would turn into NaN."""
    assert torch.equal(orthogonalized(torch.zeros(2, 3, 5)), torch.zeros(2, 3, 5))


def test_vectors_and_embeddings_step_as_torchs_adamw() -> None:
    """Oracle: torch.optim.AdamW over three steps; 1e-6: the same sums in another order."""
    ours, theirs = nn.Embedding(5, 3), nn.Embedding(5, 3)
    theirs.load_state_dict(ours.state_dict())
    mine = Muon([ours], 0.1, weight_decay=0.01)
    other = torch.optim.AdamW(theirs.parameters(), lr=0.1, betas=BETAS, eps=EPS, weight_decay=0.01)
    for step in range(3):
        for table, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            (table.weight * torch.arange(15.0).view(5, 3).sin() * (step + 1)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=1e-6)


def test_a_convolution_steps_as_the_matrix_that_it_is() -> None:
    """Oracle: a linear layer of the same numbers, in either order; its step is as long as AdamW's."""
    gradient = torch.randn(4, 18, generator=torch.Generator().manual_seed(1))
    moved = []
    for layer in (
        nn.Linear(18, 4, bias=False),
        nn.Conv2d(2, 4, 3, bias=False),
        nn.Conv2d(2, 4, 3, bias=False),
    ):
        nn.init.zeros_(layer.weight)
        if moved:
            layer = layer.to(memory_format=torch.channels_last if len(moved) > 1 else torch.contiguous_format)
        layer.weight.grad = gradient.view(layer.weight.shape).clone()
        Muon([layer], 0.5, weight_decay=0.0).step()
        moved.append(layer.weight.detach().reshape(4, 18))
    torch.testing.assert_close(moved[1], moved[0])
    torch.testing.assert_close(moved[2], moved[0])
    # Four singular values near 1 in 72 entries, lengthened by sqrt(18): rms is ADAM_RMS within their spread.
    assert float(moved[0].square().mean().sqrt()) == pytest.approx(0.5 * ADAM_RMS, rel=0.25)


def test_layers_of_one_shape_do_not_mix() -> None:
    """Oracle: each of them alone under an optimiser of its own; 1e-6: products of another size."""
    draw = torch.Generator().manual_seed(2)
    gradients = torch.randn(2, 4, 6, generator=draw)
    together = [nn.Linear(6, 4, bias=False) for _ in gradients]
    alone = [nn.Linear(6, 4, bias=False) for _ in gradients]
    for one, other, gradient in zip(together, alone, gradients, strict=True):
        other.load_state_dict(one.state_dict())
        one.weight.grad, other.weight.grad = gradient.clone(), gradient.clone()
        Muon([other], 0.5, weight_decay=0.01).step()
    Muon(together, 0.5, weight_decay=0.01).step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.weight, other.weight, rtol=0, atol=1e-6)
