"""A part of each image, at full size."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from stillhouse.config import Share
from stillhouse.data.schema import Schema
from stillhouse.data.view import View


class Crop(View):
    """Cuts a window of each image, its sides a random share of the whole ones, and stretches it to
    full size (bilinear).

    Args:
        least: Smallest share of a side.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def __init__(self, *, least: Share = 0.8) -> None:
        self.least = least

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        chance = torch.rand(3, len(inputs), generator=generator)
        side = self.least + (1 - self.least) * chance[0]
        middle = (2 * chance[1:] - 1) * (1 - side)  # of the window, where the image spans −1 … 1
        zero = torch.zeros_like(side)
        rows = (torch.stack([side, zero, middle[0]], 1), torch.stack([zero, side, middle[1]], 1))
        places = F.affine_grid(torch.stack(rows, 1), list(inputs.shape), align_corners=False)
        return F.grid_sample(inputs, places, padding_mode="border", align_corners=False)
