"""Nothing that is not a number goes further than the step in which it came up."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from src.errors import UserError

# What usually helps, by what came up.
LOWER = "lower optimizer.lr_encoding and its neighbours or loss.guidance_scale"
REMEDIES = {
    "prediction": "set prior.precision=float32 (half precision overflows first in the UNet)",
    "latents": "set prior.precision=float32 (half precision overflows in the autoencoder)",
}


def parameters_of(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Every parameter, by the name that the sentence would give it."""
    return {
        f"parameter {part}.{name}": parameter.detach()
        for part, module in modules.items()
        for name, parameter in module.named_parameters()
    }


def check_finite(step: int, quantities: Mapping[str, Tensor]) -> None:
    """Raise UserError naming the first of a step's quantities, in the order in which they came to be, that
    holds NaN or infinity; one look at the device for all of them.
    """
    finite = torch.stack([value.isfinite().all() for value in quantities.values()]).tolist()
    for (name, value), fine in zip(quantities.items(), finite, strict=True):
        if not fine:
            wrong = int((~value.isfinite()).sum())
            remedy = REMEDIES.get(name.split(" ")[0], LOWER)
            raise UserError(
                f"step {step}: {name} is not finite in {wrong} of {value.numel()} places; the last "
                f"checkpoint is clean and kept: {remedy}, and start over with fresh=true"
            )
