"""The best that an attack has met so far, row by row, and which rows it need not ask again."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stillhouse.attacks.gradient import margin
from stillhouse.attacks.meter import Meter

# A row leaves once it is fooled by this much, in logits: by less, another runtime's rounding (1e-5
# is seen) could undo it.
FOOLED_BY = 1e-3


@dataclass
class Found:
    """For each row of a batch the iterate with the smallest margin: any one that fools the model is
    enough.

    Attributes:
        inputs: [B, *shape].
        margins: [B]: the target's logit minus the best other one, at `inputs`.
        meter: Whose budget ends the search; None: it goes on to its end.
    """

    inputs: Tensor
    margins: Tensor
    meter: Meter | None = None

    @classmethod
    def start(cls, model: nn.Module, inputs: Tensor, targets: Tensor) -> "Found":
        """Return the state before any step: the clean rows and their margins; one forward pass."""
        known = margins(model, inputs, targets)
        meter = next((part for part in model.modules() if isinstance(part, Meter)), None)
        return cls(inputs.clone(), known, meter)

    def note(self, at: Tensor, margins: Tensor, rows: Tensor) -> None:
        """Keep the iterates [b, *shape] that are better than what was known of their rows [b]."""
        better = torch.nonzero(margins < self.margins[rows]).flatten()
        if len(better):
            places = rows[better]
            self.inputs[places], self.margins[places] = at[better], margins[better]

    def open(self, rows: Tensor | None = None) -> Tensor:
        """Return which of these rows [b] (all, if None) are not fooled yet, bool [b]; none of them
        once the budget is spent.
        """
        known = self.margins if rows is None else self.margins[rows]
        if self.meter is not None and self.meter.spent:
            return torch.zeros_like(known, dtype=torch.bool)
        return known > -FOOLED_BY

    def survivors(self) -> Tensor:
        """Return the positions of the rows that are not fooled yet, rising."""
        return torch.nonzero(self.open()).flatten()


def margins(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return by how much [B] the model's logit for the target beats the best other one."""
    with torch.no_grad():
        return margin(model(inputs), targets)
