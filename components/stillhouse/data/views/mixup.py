"""Two rows in one."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.config import Share
from stillhouse.data.schema import Schema
from stillhouse.data.view import View


class Mixup(View):
    """Lays another row over each row, as a weighted mean; the teacher says what that is, so that
    the view has no label.

    Args:
        least: The row's own weight is drawn evenly between this and 1. At 0.5 it is the paper's
            mixup with α = 1, up to which of the two rows a mixture is said to be of.

    Source:
        Zhang, Cisse, Dauphin and Lopez-Paz 2018, arXiv:1710.09412, equation 1; with a teacher's
        answers in place of mixed labels: Beyer et al. 2022, arXiv:2106.05237, section 2.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "series"})
    keeps_label: ClassVar[bool] = False

    def __init__(self, *, least: Share = 0.5) -> None:
        self.least = least

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        other = inputs[torch.randperm(len(inputs), generator=generator)]
        chance = torch.rand(len(inputs), generator=generator)
        own = (self.least + (1 - self.least) * chance).view(-1, *[1] * (inputs.ndim - 1))
        return own * inputs + (1 - own) * other
