"""Shot noise: too few photons."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# How many photons a white pixel gets.
LEVELS = (60, 25, 12, 5, 3)


class ShotNoise(Corruption):
    """Each pixel is a Poisson count. Levels of Hendrycks and Dietterich 2019 (arXiv:1903.12261)."""

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        photons = LEVELS[severity - 1]
        return torch.poisson(inputs.clamp_min(0.0) * photons, generator=generator) / photons
