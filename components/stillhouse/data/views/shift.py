"""Images moved by whole pixels."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.config import Count
from stillhouse.data.schema import Schema
from stillhouse.data.view import View


class Shift(View):
    """Moves each image up or down and left or right by up to `pixels`; what comes in repeats the
    edge.

    Args:
        pixels: At most.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def __init__(self, *, pixels: Count = 1) -> None:
        self.pixels = pixels

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        rows, channels, height, width = inputs.shape
        by = torch.randint(-self.pixels, self.pixels + 1, (2, rows, 1), generator=generator)
        down = (torch.arange(height) + by[0]).clamp(0, height - 1)
        right = (torch.arange(width) + by[1]).clamp(0, width - 1)
        at = torch.arange(rows).view(-1, 1, 1, 1)
        channel = torch.arange(channels).view(1, -1, 1, 1)
        return inputs[at, channel, down.view(rows, 1, -1, 1), right.view(rows, 1, 1, -1)]
