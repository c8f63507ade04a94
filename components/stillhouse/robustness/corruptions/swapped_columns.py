"""Swapped columns: two values that changed places."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The share of the rows.
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4)


class SwappedColumns(Corruption):
    """In some rows two columns that may change hold each other's value.

    What the bounds do not let in arrives as the bound.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"table"})

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        rows, columns = inputs.shape
        free = space.mutable.expand(columns)
        if int(free.sum()) < 2 or not rows:
            return inputs
        hit = torch.rand(rows, 1, generator=generator) < LEVELS[severity - 1]
        pair = torch.where(free, torch.rand(rows, columns, generator=generator), 2.0)
        first, second = pair.argsort(dim=1)[:, :2].unbind(1)
        order = torch.arange(columns).repeat(rows, 1)
        order.scatter_(1, first[:, None], second[:, None])
        order.scatter_(1, second[:, None], first[:, None])
        return torch.where(hit, inputs.gather(1, order), inputs)
