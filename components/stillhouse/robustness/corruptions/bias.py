"""Bias: a sensor whose zero is off."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# Standard deviations of the channel.
LEVELS = (0.25, 0.5, 1.0, 1.5, 2.0)


class Bias(Corruption):
    """Adds one amount to each channel of a row, up or down."""

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        rows, _, channels = inputs.shape
        sign = (torch.rand(rows, 1, channels, generator=generator) < 0.5).to(inputs.dtype) * 2 - 1
        return inputs + LEVELS[severity - 1] * space.deviation * sign
