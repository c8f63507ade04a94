"""Images as in a mirror."""

from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.data.schema import Schema
from stillhouse.data.view import View


class Flip(View):
    """Mirrors every second image, by chance, left to right; not for digits, letters or organs that
    lie on one side.

    Args:
        vertical: Also upside down, by a chance of its own.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image"})

    def __init__(self, *, vertical: bool = False) -> None:
        self.vertical = vertical

    def __call__(self, inputs: Tensor, schema: Schema, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        chosen = torch.rand(2, len(inputs), 1, 1, 1, generator=generator) < 0.5
        found = torch.where(chosen[0], inputs.flip(3), inputs)
        return torch.where(chosen[1], found.flip(2), found) if self.vertical else found
