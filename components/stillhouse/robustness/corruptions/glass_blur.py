"""Glass blur: frosted glass before the lens."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.blur import gaussian_blur
from stillhouse.robustness.corruptions.plane import grid, pixel, sample

# Blur in pixels, how far pixels wander, which share of them. The idea is Hendrycks and Dietterich's
# (2019, arXiv:1903.12261); the levels are ours, so that each severity changes more than the last.
LEVELS = ((0.3, 1, 0.3), (0.4, 1, 0.5), (0.5, 1, 0.7), (0.6, 2, 0.85), (0.7, 2, 1.0))


class GlassBlur(Corruption):
    """Pixels change places with neighbours, between two slight blurs.

    All wander at once, each reading a neighbour drawn for it, where the original swaps them one
    after the other.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        sigma, far, share = LEVELS[severity - 1]
        rows, _, height, width = inputs.shape
        step = torch.rand(rows, 2, height, width, generator=generator) * 2 - 1
        moves = torch.rand(rows, 1, height, width, generator=generator) < share
        step = (step * pixel(inputs) * (far + 0.49)).round() * moves
        down, across = grid(inputs)
        wandered = sample(
            gaussian_blur(inputs, sigma),
            (down + step[:, 0]).clamp(0, height - 1),
            (across + step[:, 1]).clamp(0, width - 1),
        )
        return gaussian_blur(wandered, sigma)
