"""Muon for matrices and convolutions, AdamW for everything else, as one optimiser."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS = (0.9, 0.99)
EPS = 1e-8
ADAM_RMS = 0.2  # of a step of AdamW, in units of the learning rate: Liu et al. 2025, "Muon is scalable"
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024; five rounds


@torch.no_grad()
def orthogonalized(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Near U V^T of matrix = U S V^T, singular values within about [0.7, 1.2]: Jordan et al. 2024, "Muon".

    Five rounds of X <- (a + b A + c A^2) X with A = X X^T on the shorter side; a zero matrix stays zero. All
    rounds are polynomials of the first A, so only their product meets X: a third of the work for a 3x3
    convolution, which is nine times as long as it is wide.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-7)
    square = x @ x.T

    def polynomial() -> Tensor:
        found = torch.addmm(square, square, square, beta=b, alpha=c)
        found.diagonal().add_(a)
        return found

    product = step = polynomial()
    for _ in range(4):
        square = step @ square @ step
        step = polynomial()
        product = step @ product
    x = product @ x
    return x if len(matrix) <= matrix.shape[1] else x.T


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
            advance = self._along_matrix if group["muon"] else self._as_adam
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.sub_(advance(p, p.grad), alpha=group["lr"])

    def _along_matrix(self, p: Tensor, grad: Tensor) -> Tensor:
        momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
        momentum.lerp_(grad, 1 - MOMENTUM)
        ahead = orthogonalized(grad.lerp(momentum, MOMENTUM).flatten(1)).view(p.shape)
        return ahead * (ADAM_RMS * max(len(p), p[0].numel()) ** 0.5)

    def _as_adam(self, p: Tensor, grad: Tensor) -> Tensor:
        state = self.state[p]
        if not state:
            state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        state["step"] += 1
        mean, square = (1 - b ** float(state["step"]) for b in BETAS)
        state["mean"].lerp_(grad, 1 - BETAS[0])
        state["square"].mul_(BETAS[1]).addcmul_(grad, grad, value=1 - BETAS[1])
        return state["mean"] / mean / ((state["square"] / square).sqrt() + EPS)
