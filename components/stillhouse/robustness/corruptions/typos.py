"""Typos: categories spelt as nobody knows them."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The share of the cells.
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4)


class Typos(Corruption):
    """Some cells of categories hold a text that was never seen.

    The exported model reads such a one as missing.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"table"})
    misspells: ClassVar[bool] = True

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        hit = torch.rand(inputs.shape, generator=generator) < LEVELS[severity - 1]
        return torch.where(hit & space.coded, torch.nan, inputs)
