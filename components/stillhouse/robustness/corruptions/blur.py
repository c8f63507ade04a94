"""Blur: a lens out of focus."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# Standard deviation of the Gaussian, in pixels. On images of 8 x 8 the last erases strokes; on
# larger ones it is mild.
LEVELS = (0.4, 0.6, 0.8, 1.0, 1.3)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Return images convolved with a Gaussian; beyond the edge the last pixel goes on.

    Args:
        images: [B, channels, height, width], any height and width.
        sigma: Standard deviation in pixels, above 0. The kernel is cut at 3 sigma.
    """
    radius = math.ceil(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(images.dtype)
    rows, channels, height, width = images.shape
    planes = F.pad(
        images.reshape(rows * channels, 1, height, width),
        (radius, radius, radius, radius),
        mode="replicate",
    )
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return planes.reshape(images.shape)


class Blur(Corruption):
    """Gaussian blur."""

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        return gaussian_blur(inputs, LEVELS[severity - 1])
