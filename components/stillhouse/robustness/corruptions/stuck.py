"""Stuck: a sensor that hangs."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.stretch import stretches

# The share of the time.
LEVELS = (0.1, 0.2, 0.35, 0.5, 0.75)


class Stuck(Corruption):
    """Each channel keeps the value that it had at the beginning of one stretch; a value that was
    missing then holds nothing.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        hangs, first = stretches(inputs, LEVELS[severity - 1], generator)
        held = inputs.gather(1, first)
        return torch.where(hangs & ~held.isnan(), held, inputs)
