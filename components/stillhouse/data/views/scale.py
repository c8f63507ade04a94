"""Series that are louder or softer."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.config import NonNegative
from stillhouse.data.schema import Schema
from stillhouse.data.view import View


class Scale(View):
    """Multiplies each channel of each series by a random factor.

    Args:
        share: Standard deviation of the factor around 1; one below 0 would turn the series over and
            counts as 0.

    Source:
        Um et al. 2017, arXiv:1706.00527, section 3 (scaling).
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"series"})

    def __init__(self, *, share: NonNegative = 0.1) -> None:
        self.share = share

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        drawn = torch.randn(len(inputs), 1, inputs.shape[2], generator=generator)
        return inputs * (1 + self.share * drawn).clamp_min(0)
