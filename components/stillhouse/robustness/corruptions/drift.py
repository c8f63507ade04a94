"""Drift: a sensor that slowly loses its zero."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# How far it has drifted at the end, in standard deviations of the channel.
LEVELS = (0.25, 0.5, 1.0, 1.5, 2.0)


class Drift(Corruption):
    """Adds a straight line from 0 to the drift, up or down, for each row and channel."""

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        rows, times, channels = inputs.shape
        sign = (torch.rand(rows, 1, channels, generator=generator) < 0.5).to(inputs.dtype) * 2 - 1
        ramp = (torch.arange(1, times + 1, dtype=inputs.dtype) / times)[None, :, None]
        return inputs + LEVELS[severity - 1] * space.deviation * sign * ramp
