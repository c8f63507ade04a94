"""Contrast: fog, or too little light."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The share of the contrast that is left.
LEVELS = (0.75, 0.5, 0.4, 0.3, 0.15)


class Contrast(Corruption):
    """Pulls every pixel towards its channel's mean in that image."""

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        mean = inputs.mean(dim=(-2, -1), keepdim=True)
        return mean + LEVELS[severity - 1] * (inputs - mean)
