"""Brightness: an exposure that is too long."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# What is added to the brightest channel of a pixel.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5)


class Brightness(Corruption):
    """Raises a pixel's value (its brightest channel) and keeps its colour.

    Levels of Hendrycks and Dietterich 2019 (arXiv:1903.12261).
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        value = inputs.amax(dim=1, keepdim=True)
        raised = (value + LEVELS[severity - 1]).clamp_max(1.0)
        return torch.where(value > 0, inputs * (raised / value.clamp_min(1e-6)), raised)
