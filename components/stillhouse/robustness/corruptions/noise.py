"""Noise: a worse sensor, a less careful measurement."""

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.robustness.corruption import Corruption

# Standard deviation of the noise, in standard deviations of the feature. The last leaves as much
# noise as signal.
LEVELS = (0.1, 0.25, 0.5, 0.75, 1.0)


class Noise(Corruption):
    """Independent Gaussian noise on every input, as a share of its feature's standard deviation, so
    that all kinds of rows get noise of one meaning.
    """

    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        return inputs + LEVELS[severity - 1] * space.deviation * torch.randn(
            inputs.shape, generator=generator
        )
