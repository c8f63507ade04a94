"""Impulse noise: dead and hot pixels."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The share of pixels.
LEVELS = (0.03, 0.06, 0.09, 0.17, 0.27)


class ImpulseNoise(Corruption):
    """Some pixels of each channel are black or white.

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
        hit = torch.rand(inputs.shape, generator=generator) < LEVELS[severity - 1]
        white = torch.rand(inputs.shape, generator=generator) < 0.5
        return torch.where(hit, white.to(inputs.dtype), inputs)
