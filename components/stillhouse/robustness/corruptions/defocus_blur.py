"""Defocus blur: a lens that is set to the wrong distance."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.plane import convolve, offsets, pixel

# The disk's radius, in pixels of an image of 32; about those that Hendrycks and Dietterich 2019
# (arXiv:1903.12261) set at 224.
LEVELS = (0.6, 0.8, 1.0, 1.25, 1.5)


def disk(radius: float) -> Tensor:
    """Return a kernel [1, k, k] that is even inside a disk, with a soft edge one pixel wide, and of
    sum 1.
    """
    down, across = offsets(math.ceil(radius + 0.5))
    made = (radius + 0.5 - (down.square() + across.square()).sqrt()).clamp(0.0, 1.0)
    return (made / made.sum())[None]


class DefocusBlur(Corruption):
    """Every point becomes a disk."""

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        return convolve(inputs, disk(LEVELS[severity - 1] * pixel(inputs)))
