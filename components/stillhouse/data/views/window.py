"""A part of each series, at full length."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.config import Share
from stillhouse.data.schema import Schema
from stillhouse.data.view import View


class Window(View):
    """Cuts a window of each series and stretches it to full length (linear).

    Args:
        least: Smallest share of the length.

    Source:
        Le Guennec, Malinowski and Tavenard 2016, "Data augmentation for time series classification
        using convolutional neural networks" (window slicing).
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def __init__(self, *, least: Share = 0.9) -> None:
        self.least = least

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        rows, steps, _ = inputs.shape
        chance = torch.rand(2, rows, 1, generator=generator)
        length = (self.least + (1 - self.least) * chance[0]) * (steps - 1)
        at = chance[1] * (steps - 1 - length) + length * torch.linspace(0, 1, steps)
        before = at.floor().long().clamp(0, max(steps - 2, 0))
        after = (before + 1).clamp(max=steps - 1)
        share = (at - before).unsqueeze(2)
        row = torch.arange(rows).view(-1, 1)
        return inputs[row, before] * (1 - share) + inputs[row, after] * share
