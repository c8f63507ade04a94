"""Saturate: colours that are too loud."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.errors import UsageError
from stillhouse.robustness.corruption import Corruption

# What a pixel's saturation is multiplied by, and what is added to it.
LEVELS = ((1.5, 0.0), (2.0, 0.0), (3.0, 0.0), (5.0, 0.1), (20.0, 0.2))


class Saturate(Corruption):
    """Raises the saturation (HSV) of what has a colour.

    Grey pixels stay grey; images of one channel have no colour and are refused.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261) take colour away in the first two severities;
    here they add less of it, so that severities have an order.

    Raises:
        UsageError: The images do not have three channels.
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
        if inputs.shape[1] != 3:
            raise UsageError(
                f"'saturate' needs images of three channels, not {inputs.shape[1]}.",
                fix="Leave it out of robustness.corruptions.",
            )
        times, more = LEVELS[severity - 1]
        value = inputs.amax(dim=1, keepdim=True)
        saturation = (value - inputs.amin(dim=1, keepdim=True)) / value.clamp_min(1e-6)
        raised = torch.where(saturation > 0, (saturation * times + more).clamp_max(1.0), 0.0)
        return value - (value - inputs) * (raised / saturation.clamp_min(1e-6))
