"""Series with noise on every value."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.config import NonNegative
from stillhouse.data.schema import Schema
from stillhouse.data.view import View


class Jitter(View):
    """Adds normal noise to each value of a series.

    Args:
        share: The noise's standard deviation, as a share of the channel's own in these rows.

    Source:
        Um et al. 2017, arXiv:1706.00527, section 3 (jittering).
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def __init__(self, *, share: NonNegative = 0.05) -> None:
        self.share = share

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        spread = inputs.double().std(dim=(0, 1), correction=0).to(inputs.dtype)
        noise = torch.randn(inputs.shape, generator=generator)
        return inputs + self.share * spread * noise
