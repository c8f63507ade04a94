"""Saturation: an amplifier that is set too high."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# How far a value may lie from its row's mean, in standard deviations of the channel.
LEVELS = (1.5, 1.25, 1.0, 0.75, 0.5)


class Saturation(Corruption):
    """Cuts each channel at a distance from its mean over the time."""

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        middle = inputs.nanmean(dim=1, keepdim=True)
        far = LEVELS[severity - 1] * space.deviation
        return torch.minimum(torch.maximum(inputs, middle - far), middle + far)
