"""Clock skew: a clock that runs too fast or too slow."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# By which share it is off.
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4)


class ClockSkew(Corruption):
    """All channels of a row are read at the times that a wrong clock tells, between two values.

    A fast clock reads the last value until the end. Where a value is missing, the old one stays.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        rows, times, channels = inputs.shape
        sign = (torch.rand(rows, 1, generator=generator) < 0.5).to(inputs.dtype) * 2 - 1
        moment = torch.arange(times) * (1 + LEVELS[severity - 1] * sign)
        moment = moment.clamp(0, times - 1)
        before = moment.floor().long()
        part = (moment - before)[..., None]
        early, later = (
            inputs.gather(1, at[..., None].expand(-1, -1, channels))
            for at in (before, (before + 1).clamp_max(times - 1))
        )
        read = early + part * (later - early)
        return torch.where(read.isnan(), inputs, read)
