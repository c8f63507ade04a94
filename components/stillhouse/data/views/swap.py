"""Tables with some cells of other rows."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.config import Share
from stillhouse.data.schema import Schema
from stillhouse.data.view import View


class Swap(View):
    """Replaces each cell, by chance, with the cell of another row in the same column, missing ones
    included: every value is one that the column really holds.

    Which class such a row belongs to only the teacher can say, so that the view has no label.

    Args:
        share: Chance that a cell is replaced.

    Source:
        Swap noise: M. Jahrer, first place of the Porto Seguro competition, 2017.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"table"})
    keeps_label: ClassVar[bool] = False

    def __init__(self, *, share: Share = 0.1) -> None:
        self.share = share

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        rows, columns = inputs.shape
        donor = torch.randint(rows, (rows, columns), generator=generator)
        replaced = torch.rand(rows, columns, generator=generator) < self.share
        return torch.where(replaced, inputs[donor, torch.arange(columns)], inputs)
