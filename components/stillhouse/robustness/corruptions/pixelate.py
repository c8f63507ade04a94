"""Pixelate: an image that was once smaller."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The share of its sides that is left.
LEVELS = (0.9, 0.75, 0.5, 0.4, 0.25)


def areas(many: int, few: int) -> Tensor:
    """Return [few, many]: which share of each of `few` equal stretches of a line lies in each of
    its `many` pixels.
    """
    long = many / few
    start, pixel = torch.arange(few)[:, None] * long, torch.arange(many)[None]
    return (torch.minimum(start + long, pixel + 1) - torch.maximum(start, pixel)).clamp_min(
        0.0
    ) / long


class Pixelate(Corruption):
    """Makes the image smaller and large again, by means over areas both ways; where the size is
    halved, each pixel becomes the mean of its square of four.
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
        height, width = inputs.shape[-2:]
        few = [max(1, int(length * LEVELS[severity - 1])) for length in (height, width)]
        small = areas(height, few[0]) @ inputs @ areas(width, few[1]).T
        return areas(few[0], height) @ small @ areas(few[1], width).T
