"""Motion blur: a camera or a subject that moves."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.plane import convolve, offsets, pixel

# How far it moves, in pixels of an image of 32.
LEVELS = (1.5, 2.0, 2.5, 3.0, 4.0)


def strokes(angles: Tensor, length: float) -> Tensor:
    """Return kernels [B, k, k] of sum 1: a line one pixel wide through the middle, at these angles
    [B] in radians.
    """
    down, across = offsets(math.ceil(length / 2 + 0.5))
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    along, beside = across * cos + down * sin, down * cos - across * sin
    made = (1 - beside.abs()).clamp_min(0.0) * (length / 2 + 0.5 - along.abs()).clamp(0.0, 1.0)
    return made / made.sum(dim=(1, 2), keepdim=True)


class MotionBlur(Corruption):
    """Every point becomes a stroke, for each row at an angle of its own within 45 degrees of
    level.
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
        angles = (torch.rand(len(inputs), generator=generator) - 0.5) * (math.pi / 2)
        return convolve(inputs, strokes(angles, LEVELS[severity - 1] * pixel(inputs)))
