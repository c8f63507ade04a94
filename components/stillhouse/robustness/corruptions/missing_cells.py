"""Missing cells: forms that were not filled in."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The share of the cells that may be missing.
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5)


class MissingCells(Corruption):
    """Empties cells of the columns that may have missing ones, whatever their kind; other columns
    stay.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"table"})
    empties: ClassVar[bool] = True

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        lost = torch.rand(inputs.shape, generator=generator) < LEVELS[severity - 1]
        return torch.where(lost & space.missing, torch.nan, inputs)
