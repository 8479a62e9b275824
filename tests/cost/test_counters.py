"""The counters of operations, against sums by hand."""

import torch
from torch.nn import functional

from src.cost.counters import Cost, Tally


def costs(run, **tensors: torch.Tensor) -> Cost:  # type: ignore[no-untyped-def]
    """The cost of one call, on a part of its own."""
    with Tally() as tally:
        tally.charge("part")
        run(**tensors)
    return tally.costs["part"]


def test_products_and_what_they_move() -> None:
    """Oracle: two FLOPs a multiply-add; both operands read, the result written."""
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    assert costs(lambda: a @ b) == Cost(2 * 3 * 5 * 7, 4 * (15 + 35 + 21), 0, 4 * 21)


def test_backward_counts_like_forward_twice() -> None:
    """Oracle: a product's gradient is two products of its size."""
    a, b = torch.ones(3, 5, requires_grad=True), torch.ones(5, 7, requires_grad=True)
    with Tally() as tally:
        tally.charge("forward")
        product = a @ b
        tally.charge("backward")
        product.backward(torch.ones(3, 7))
    assert tally.costs["backward"].flops == 2 * tally.costs["forward"].flops


def test_attention_of_processors_is_counted() -> None:
    """Oracle: two batched products of 6 x 8 by 8 x 6 and back, per head, whatever kernel runs them."""
    query = torch.ones(1, 2, 6, 8)
    found = costs(lambda: functional.scaled_dot_product_attention(query, query, query))
    assert found.flops == 2 * 2 * (2 * 6 * 8 * 6)


def test_gathers_and_scatters_move_what_they_touch() -> None:
    """Oracle: by hand: rows read and written, and their indices; never the whole table."""
    table, index = torch.zeros(1000), torch.tensor([1, 5, 7])
    assert costs(lambda: table.index_select(0, index)).bytes == 3 * (4 + 4 + 8)
    assert costs(lambda: table.scatter_add_(0, index, torch.zeros(3))).bytes == 3 * (4 + 8 + 4 + 4) + 3 * 4
    into = torch.empty(3)
    assert costs(lambda: torch.index_select(table, 0, index, out=into)).bytes == 3 * (4 + 4 + 8)


def test_what_moves_nothing_and_what_is_only_written() -> None:
    """Oracle: views and fresh memory are free; a copy reads one side, in-place sums write what they read."""
    a, b = torch.ones(10), torch.ones(10)
    assert costs(lambda: (a.view(2, 5), a[3:], torch.empty(50))).bytes == 0
    assert costs(lambda: a.copy_(b)).bytes == 80
    assert costs(lambda: a.zero_()).bytes == 40
    assert costs(lambda: a.add_(b)).bytes == 120
    assert costs(lambda: torch.add(a, b, out=b)).bytes == 120
    assert costs(lambda: a[:1].expand(10) + b).bytes == 4 + 40 + 40


def test_the_optimiser_moves_seven_words_a_parameter() -> None:
    """Oracle: parameter, gradient and both moments read; all but the gradient written; and a count."""
    parameter = torch.ones(100, requires_grad=True)
    optimizer = torch.optim.AdamW([parameter], fused=True)
    for _ in range(2):
        parameter.grad = torch.ones(100)
        found = costs(optimizer.step)
    assert 7 * 400 <= found.bytes <= 7 * 400 + 16


def test_parts_are_charged_apart() -> None:
    """Oracle: each part its own sums; peaks begin with what is alive when a part's turn comes."""
    with Tally() as tally:
        torch.ones(99)  # nobody's
        tally.charge("first")
        kept = torch.ones(1000)
        tally.charge("second")
        torch.ones(10)
        tally.charge(None)
        torch.ones(10_000)
    assert (tally.costs["first"].bytes, tally.costs["second"].bytes) == (4000, 40)
    assert tally.costs["second"].peak_live_bytes == 4040
    assert tally.costs["first"].peak_live_bytes == kept.nbytes
    assert tally.costs["first"] + tally.costs["second"] * 2.5 == Cost(0, 4100, 4100, 4040)
