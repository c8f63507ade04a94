"""Jitter: a clock that does not tick evenly."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# Standard deviation of the moment at which a value is read, in steps of time.
LEVELS = (0.25, 0.5, 1.0, 1.5, 2.5)


class Jitter(Corruption):
    """All channels are read a little too early or too late, between two values linearly; where one
    of them is missing, the value stays as it was.
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
        rows, times, channels = inputs.shape
        late = torch.randn(rows, times, generator=generator) * LEVELS[severity - 1]
        moment = (torch.arange(times) + late).clamp(0, times - 1)
        before = moment.floor().long()
        after = (before + 1).clamp_max(times - 1)
        part = (moment - before)[..., None]
        early, later = (
            inputs.gather(1, at[..., None].expand(-1, -1, channels)) for at in (before, after)
        )
        read = early + part * (later - early)
        return torch.where(read.isnan(), inputs, read)
