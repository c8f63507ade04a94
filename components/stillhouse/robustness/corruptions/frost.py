"""Frost: ice on the lens."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.plane import clouds

# How much of the image is left, and how bright the ice is. Those of Hendrycks and Dietterich 2019
# (arXiv:1903.12261) for small images.
LEVELS = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.45), (0.75, 0.55))


class Frost(Corruption):
    """Ice over the image.

    It grows along the ridges of clouds, drawn for each row, where the original lays photographs of
    frost over it.
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
        left, ice = LEVELS[severity - 1]
        ridges = 1 - (2 * clouds(inputs, generator, decay=1.5) - 1).abs()
        return left * inputs + ice * ridges.square()
