"""Muon for matrices and convolutions, AdamW for everything else, as one optimiser."""

from collections.abc import Iterable
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS = (0.9, 0.99)
EPS = 1e-8
ADAM_RMS = 0.2  # of a step of AdamW, in units of the learning rate: Liu et al. 2025, "Muon is scalable"
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024; five rounds


@torch.no_grad()
def orthogonalized(matrices: Float[Tensor, "count rows columns"]) -> Float[Tensor, "count rows columns"]:
    """Near U V^T of each M = U S V^T, singular values within about [0.7, 1.2]: Jordan et al. 2024, "Muon".

    Five rounds of X <- (a + b A + c A^2) X with A = X X^T on the shorter side; a zero matrix stays zero. All
    rounds are polynomials of the first A, so only their product meets X: a third of the work for a 3x3
    convolution, which is nine times as long as it is wide.
    """
    a, b, c = NEWTON_SCHULZ
    upright = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if upright else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    square, product = x @ x.mT, None
    for rounds_left in reversed(range(5)):
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        polynomial.diagonal(dim1=1, dim2=2).add_(a)
        product = polynomial if product is None else polynomial @ product
        if rounds_left:
            square = polynomial @ square @ polynomial
    x = product @ x
    return x.mT if upright else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, for all matrices of networks (Jordan et al. 2024).

    A convolution is a matrix of its output channels by all the rest. Biases, norms and tables that are
    looked up take AdamW's step (Loshchilov & Hutter 2019). The first makes as long a step as the second at
    the same rate.
    """

    def __init__(self, networks: Iterable[nn.Module], learning_rate: float, weight_decay: float) -> None:
        networks = list(networks)
        looked_up = {
            id(p)
            for n in networks
            for m in n.modules()
            if isinstance(m, nn.Embedding)
            for p in m.parameters()
        }
        parameters = [p for n in networks for p in n.parameters()]
        hidden = [p for p in parameters if p.ndim > 1 and id(p) not in looked_up]
        chosen = {id(p) for p in hidden}
        groups = [
            {"params": hidden, "muon": True},
            {"params": [p for p in parameters if id(p) not in chosen], "muon": False},
        ]
        super().__init__(groups, {"lr": learning_rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closures here
        """One step of every parameter that has a gradient."""
        for group in self.param_groups:
            moved: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if not moved:
                continue
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
            if not group["muon"]:
                self._as_adam(moved, group["lr"])
                continue
            # All matrices of one shape at once: a GPU would spend its time on being told of each.
            for _, same in groupby(sorted(moved, key=_shape), _shape):
                self._along_matrices([*same], group["lr"])

    def _along_matrices(self, moved: list[Tensor], learning_rate: float) -> None:
        momenta = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in moved]
        grads = _gradients(moved)
        torch._foreach_lerp_(momenta, grads, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(grads, momenta, MOMENTUM)
        steps = orthogonalized(torch.stack(ahead).flatten(2)).view(len(moved), *moved[0].shape)
        length = ADAM_RMS * max(steps[0].shape[0], steps[0, 0].numel()) ** 0.5
        torch._foreach_add_(moved, [*steps], alpha=-learning_rate * length)

    def _as_adam(self, moved: list[Tensor], learning_rate: float) -> None:
        for p in moved:
            if not self.state[p]:
                start = {"step": torch.zeros(()), "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
                self.state[p].update(start)
            self.state[p]["step"] += 1
        means, squares = ([self.state[p][name] for p in moved] for name in ("mean", "square"))
        mean, square = ([1 - b ** float(self.state[p]["step"]) for p in moved] for b in BETAS)
        grads = _gradients(moved)
        torch._foreach_lerp_(means, grads, 1 - BETAS[0])
        torch._foreach_mul_(squares, BETAS[1])
        torch._foreach_addcmul_(squares, grads, grads, value=1 - BETAS[1])
        spread = torch._foreach_sqrt(torch._foreach_div(squares, square))
        torch._foreach_add_(spread, EPS)
        torch._foreach_addcdiv_(moved, torch._foreach_div(means, mean), spread, value=-learning_rate)


def _shape(p: Tensor) -> tuple[int, ...]:
    return tuple(p.shape)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]
