"""Of many things that fall into the same slot, the nearest: one minimum over (distance, number)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


@torch.no_grad()
def nearest(slot: Int[Tensor, " N"], distance: Float[Tensor, " N"], slots: int) -> Int[Tensor, " slots"]:
    """For every slot the number of its nearest thing, the first of equals, or -1 where there is none.

    Distances are at least 0 and count as float32, whose bits, read as integers, are in the same order: so a
    distance and a number fit one integer, and a minimum does not depend on the order in which it is taken.
    """
    bits = distance.float().contiguous().view(torch.int32).long()
    both = bits << 32 | torch.arange(len(slot), device=slot.device)
    last = torch.full((slots,), 2**63 - 1, device=slot.device)
    found = last.scatter_reduce(0, slot, both, "amin")
    return torch.where(found == last, -1, found & 2**32 - 1)
