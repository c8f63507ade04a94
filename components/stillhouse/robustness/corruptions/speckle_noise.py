"""Speckle noise: a sensor whose noise grows with the light."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# Standard deviation of the factor. Hendrycks and Dietterich 2019 (arXiv:1903.12261), small images.
LEVELS = (0.06, 0.1, 0.12, 0.16, 0.2)


class SpeckleNoise(Corruption):
    """Multiplies each pixel by a Gaussian factor around 1."""

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        noise = torch.randn(inputs.shape, generator=generator)
        return inputs * (1 + LEVELS[severity - 1] * noise)
