"""Snow: flakes that fall past the lens, and a paler world behind them."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.motion_blur import strokes
from stillhouse.robustness.corruptions.plane import convolve, pixel

# The share of pixels with a flake, and how pale the world is.
LEVELS = ((0.03, 0.05), (0.06, 0.1), (0.1, 0.15), (0.14, 0.2), (0.2, 0.3))
FALL = 2.0  # how long a flake's streak is, in pixels of an image of 32


class Snow(Corruption):
    """White streaks, for each row at an angle of its own near upright, over an image drawn towards
    white.

    Simpler than that of Hendrycks and Dietterich 2019 (arXiv:1903.12261): one layer of flakes of
    one size.
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
        share, pale = LEVELS[severity - 1]
        flakes = (torch.rand(len(inputs), 1, *inputs.shape[-2:], generator=generator) < share).to(
            inputs.dtype
        )
        angles = math.pi / 2 + (torch.rand(len(inputs), generator=generator) - 0.5) * (math.pi / 3)
        streaks = (convolve(flakes, strokes(angles, FALL * pixel(inputs))) * 2).clamp_max(1.0)
        return (inputs + pale * (1 - inputs) + streaks).clamp_max(1.0)
