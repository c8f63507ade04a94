"""How much arithmetic a model does for one row."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from stillhouse.models.device import device_of

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def macs(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the multiply-accumulates of one row in the model's linear and convolutional layers,
    and in modules that say `row_macs` themselves.

    A module says `row_macs` (int) for products that are no such layer's: a recurrent layer's, or
    attention's scores. Normalisation, activations and pooling
    are left out, as is usual: they are additions and comparisons, and small.

    Args:
        model: Takes rows [B, *shape].
        shape: One row.
    """
    total = 0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ARG001 - torch's signature
        nonlocal total
        if isinstance(module, nn.Linear):
            total += module.in_features * output.numel()
        elif isinstance(module, CONVOLUTIONS):
            total += (
                module.in_channels // module.groups * math.prod(module.kernel_size) * output.numel()
            )
        else:
            total += cast(int, module.row_macs)

    counted = [
        module
        for module in model.modules()
        if isinstance(module, (nn.Linear, *CONVOLUTIONS))
        or isinstance(getattr(module, "row_macs", None), int)
    ]
    handles = [module.register_forward_hook(count) for module in counted]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *shape, device=device_of(model)))
    finally:
        for handle in handles:
            handle.remove()
        model.train(training)
    return total
