"""Fog: clouds between lens and subject."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption
from stillhouse.robustness.corruptions.plane import clouds

# How thick it is, and how smooth. Those that Hendrycks and Dietterich 2019 (arXiv:1903.12261) set
# for small images.
LEVELS = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))


class Fog(Corruption):
    """Adds clouds and dims the whole by as much.

    The clouds are sums of ever finer grids instead of the original's diamonds and squares.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def apply(
        self,
        inputs: Tensor,
        *,
        severity: int,
        space: Space,
        generator: torch.Generator,
    ) -> Tensor:
        thick, decay = LEVELS[severity - 1]
        most = inputs.amax(dim=(1, 2, 3), keepdim=True) if len(inputs) else 1.0
        return (inputs + thick * clouds(inputs, generator, decay=decay)) * most / (most + thick)
