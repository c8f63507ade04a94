"""Synthetic series, between real ones."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.config import Count, Share
from stillhouse.data.schema import Schema
from stillhouse.data.view import View

AT_ONCE = 512  # rows whose distances to all rows of the block are held in memory


class Blend(View):
    """Makes of each series a new one that wanders between it and its nearest neighbour: the
    neighbour's weight is a smooth random curve over time, another for each channel.

    Every value lies between those of the two at the same time, so that bounds and the order of
    channels hold; a value that is missing in either is taken from the series itself. The teacher
    labels the result.

    Args:
        most: The neighbour's largest weight.
        knots: Points in time at which weights are drawn; straight lines between them.

    Source:
        For tables: Bucila, Caruana and Niculescu-Mizil 2006, "Model compression", algorithm 1
        (MUNGE); here the chance of a value is a weight that changes slowly, since a series of
        values from two rows by turns would be none.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})
    keeps_label: ClassVar[bool] = False

    def __init__(self, *, most: Share = 1.0, knots: Count = 4) -> None:
        self.most, self.knots = most, knots

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        rows, length, channels = inputs.shape
        if rows < 2:
            return inputs.clone()
        near = inputs[_nearest(inputs)]
        drawn = self.most * torch.rand(rows, channels, self.knots + 1, generator=generator)
        weight = torch.nn.functional.interpolate(
            drawn, length, mode="linear", align_corners=True
        ).transpose(1, 2)
        blended = inputs + weight * (near - inputs)
        return torch.where(blended.isnan(), inputs, blended)


def _nearest(inputs: Tensor) -> Tensor:
    """Return for each series the nearest other one [B], each channel in its own deviations."""
    flat = inputs.double()
    mean = flat.nanmean(dim=(0, 1), keepdim=True)
    spread = (flat - mean).square().nanmean(dim=(0, 1), keepdim=True).sqrt()
    places = ((flat - mean) / torch.where(spread > 0, spread, 1.0)).nan_to_num(nan=0.0).flatten(1)
    found = []
    for start in range(0, len(places), AT_ONCE):
        far = torch.cdist(places[start : start + AT_ONCE], places)
        at = torch.arange(len(far))
        far[at, start + at] = float("inf")
        found.append(far.argmin(dim=1))
    return torch.cat(found)
