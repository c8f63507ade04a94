"""Unit errors: a value entered in another unit than the form asked for."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# The share of the cells.
LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2)
# A decimal point that slipped either way, pounds for kilograms and the reverse.
FACTORS = (10.0, 0.1, 2.2046, 0.4536)


class UnitErrors(Corruption):
    """Multiplies cells by one of a few factors that people get wrong.

    What the bounds do not let in arrives as the bound.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"table"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        hit = torch.rand(inputs.shape, generator=generator) < LEVELS[severity - 1]
        which = torch.randint(0, len(FACTORS), inputs.shape, generator=generator)
        return torch.where(hit, inputs * torch.tensor(FACTORS)[which], inputs)
