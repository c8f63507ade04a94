"""Dropout: a sensor that is silent for a while."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.stretch import stretches

# The share of the time.
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5)


class Dropout(Corruption):
    """Each channel reads 0 (or the bound that is nearest to it) for one stretch."""

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        silent, _ = stretches(inputs, LEVELS[severity - 1], generator)
        return torch.where(silent, 0.0, inputs)
