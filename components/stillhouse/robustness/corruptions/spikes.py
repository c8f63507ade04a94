"""Spikes: glitches on the wire."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The share of values.
LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2)
SIZE = 5.0  # in standard deviations of the channel


class Spikes(Corruption):
    """Single values jump by five standard deviations, up or down."""

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        hit = torch.rand(inputs.shape, generator=generator) < LEVELS[severity - 1]
        sign = (torch.rand(inputs.shape, generator=generator) < 0.5).to(inputs.dtype) * 2 - 1
        return torch.where(hit, inputs + SIZE * space.deviation * sign, inputs)
