"""Zoom blur: a camera that rushes towards its subject."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.plane import grid, sample

# The largest zoom.
LEVELS = (1.11, 1.16, 1.21, 1.26, 1.31)
STEPS = 8


class ZoomBlur(Corruption):
    """The mean of zooms from 1 to the largest, in eight steps.

    Levels near those of Hendrycks and Dietterich 2019 (arXiv:1903.12261).
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
        down, across = grid(inputs)
        middle, centre = (len(down) - 1) / 2, (across.shape[1] - 1) / 2
        total = inputs.clone()
        for step in range(1, STEPS + 1):
            zoom = 1 + (LEVELS[severity - 1] - 1) * step / STEPS
            rows, columns = middle + (down - middle) / zoom, centre + (across - centre) / zoom
            total = total + sample(inputs, (rows + 0 * columns)[None], (columns + 0 * rows)[None])
        return total / (STEPS + 1)
