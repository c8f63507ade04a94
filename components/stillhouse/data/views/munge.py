"""Synthetic rows of a table, close to real ones."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.config import Positive, Share
from stillhouse.data.schema import Schema
from stillhouse.data.view import View

AT_ONCE = 512  # rows whose distances to all rows of the block are held in memory


class Munge(View):
    """Makes of each row a new one between it and its nearest neighbour: a number is drawn around
    the neighbour's, a category is taken over, each with a chance of its own.

    Whole numbers stay whole, values stay inside the schema's bounds and inside what the column
    holds in these rows, missing cells are taken over as they are. The teacher labels the result.

    Args:
        share: Chance that a value changes.
        spread: A number's standard deviation around the neighbour's is their difference over this.

    Source:
        Bucila, Caruana and Niculescu-Mizil 2006, "Model compression", algorithm 1 (MUNGE).
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"table"})
    keeps_label: ClassVar[bool] = False

    def __init__(self, *, share: Share = 0.5, spread: Positive = 2.0) -> None:
        self.share, self.spread = share, spread

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:
        if len(inputs) < 2:
            return inputs.clone()
        near = inputs[_nearest(inputs, schema)]
        coded = torch.tensor([f.kind in ("category", "binary") for f in schema.features])
        whole = torch.tensor([f.kind == "integer" for f in schema.features])
        noise = torch.randn(inputs.shape, generator=generator)
        drawn = near + (inputs - near).abs() / self.spread * noise
        drawn = torch.where(whole, drawn.round(), drawn)
        low, high = _ends(inputs)
        drawn = torch.where(drawn.isnan() | coded, near, drawn.clamp(low, high))
        changed = torch.rand(inputs.shape, generator=generator) < self.share
        return torch.where(changed, drawn, inputs)


def _ends(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and largest value of each column [D]; of one without any, anything goes."""
    infinite = float("inf")
    low = inputs.nan_to_num(nan=infinite).amin(dim=0)
    high = inputs.nan_to_num(nan=-infinite).amax(dim=0)
    none = inputs.isnan().all(dim=0)
    return torch.where(none, -infinite, low), torch.where(none, infinite, high)


def _nearest(inputs: Tensor, schema: Schema) -> Tensor:
    """Return for each row the nearest other one [B]: standardised differences of numbers, 1 where
    categories differ or a cell is missing in one of the two.
    """
    coded = torch.tensor([f.kind == "category" for f in schema.features])
    numbers = inputs[:, ~coded].double()
    mean = numbers.nanmean(dim=0).nan_to_num(nan=0.0)
    spread = (numbers - mean).square().nanmean(dim=0).sqrt().nan_to_num(nan=0.0)
    standard = ((numbers - mean) / torch.where(spread > 0, spread, 1.0)).nan_to_num(nan=0.0)
    parts = [standard, numbers.isnan().double()]
    for column in inputs[:, coded].T:
        codes = column.nan_to_num(nan=-1.0)
        parts.append((codes[:, None] == codes.unique()).double() / 2**0.5)
    places = torch.cat(parts, dim=1)
    found = []
    for start in range(0, len(places), AT_ONCE):
        far = torch.cdist(places[start : start + AT_ONCE], places)
        at = torch.arange(len(far))
        far[at, start + at] = float("inf")
        found.append(far.argmin(dim=1))
    return torch.cat(found)
