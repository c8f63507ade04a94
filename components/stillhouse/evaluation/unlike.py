"""Rows that no source would give, to see whether a model is less sure of them: noise, and rows
whose parts come from different rows.
"""

import torch
from torch import Tensor

MOST = 2000  # rows; an area under the curve needs no more


def noise(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows [M, *shape] whose every value is drawn evenly from what stands there in some row,
    smallest to largest; M at most 2,000.

    Args:
        inputs: [N, *shape], N at least 1.
        generator: Of the draws.
    """
    rows = inputs[:MOST]
    flat = inputs.flatten(1)
    low = torch.where(flat.isnan(), torch.inf, flat).amin(dim=0)
    high = torch.where(flat.isnan(), -torch.inf, flat).amax(dim=0)
    low, high = torch.where(low.isinf(), 0.0, low), torch.where(high.isinf(), 0.0, high)
    drawn = torch.rand(len(rows), flat.shape[1], generator=generator, dtype=flat.dtype)
    return (low + (high - low) * drawn).reshape(rows.shape)


def mixed(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows [M, *shape] each of whose values comes from another row: every value is usual,
    and they do not belong together; M at most 2,000. Arguments as `noise`.
    """
    rows = inputs[:MOST]
    flat = rows.flatten(1)
    order = torch.rand(flat.shape, generator=generator).argsort(dim=0)
    return flat.gather(0, order).reshape(rows.shape)
