"""What every corruption does: make inputs worse the way the world does, in five severities."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from stillhouse.attacks.space import Space
from stillhouse.errors import StillhouseError, UsageError

SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(ABC):
    """Changes rows without looking at any model. A plugin of one `apply`.

    Attributes:
        accepts: The kinds of rows it takes.
        empties: Whether it makes cells missing, so that it takes only rows of which some cell may
            be missing.
        misspells: Whether it makes categories unreadable, so that it takes only rows that have
            some.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"image", "table", "series"})
    empties: ClassVar[bool] = False
    misspells: ClassVar[bool] = False

    @abstractmethod
    def apply(
        self, inputs: Tensor, *, severity: int, space: Space, generator: torch.Generator
    ) -> Tensor:
        """Return corrupted inputs [B, *shape].

        Args:
            inputs: Clean rows [B, *shape], data space; missing cells are NaN.
            severity: 1 (slight) to 5 (severe).
            space: Bounds, each feature's standard deviation, what may change.
            generator: The only source of randomness.
        """


class CorruptionFailed(StillhouseError):
    """A corruption returned what no model can be asked about."""


def corrupt(
    corruption: Corruption,
    inputs: Tensor,
    *,
    severity: int,
    space: Space,
    generator: torch.Generator,
) -> Tensor:
    """Return corrupted rows [N, *shape]: inside the bounds, missing cells and whatever may not
    change as they were.

    A cell that the schema lets be missing may become so, also one that may not change: what is lost
    is not changed. A category that is misspelt is read as missing, whatever the schema says.

    Raises:
        UsageError: The severity is not one of 1 to 5.
        CorruptionFailed: The corruption returned another shape, or values that are not numbers.
    """
    name = type(corruption).__name__
    if severity not in SEVERITIES:
        raise UsageError(
            f"there is no severity {severity!r}.", fix="Severities are 1, 2, 3, 4 and 5."
        )
    moved = corruption.apply(inputs.clone(), severity=severity, space=space, generator=generator)
    if moved.shape != inputs.shape:
        raise CorruptionFailed(
            f"the corruption '{name}' returned {list(moved.shape)} for rows of "
            f"{list(inputs.shape)}.",
            fix="Return one row for each that was given.",
        )
    may = space.missing | space.coded if corruption.misspells else space.missing
    lost = moved.isnan() & may
    if (~moved.isfinite() & ~inputs.isnan() & ~lost).any():
        raise CorruptionFailed(
            f"the corruption '{name}' returned values that are not numbers.",
            fix="Look for a division by zero in it.",
        )
    kept = space.clip(
        torch.where(space.open(inputs) & ~lost, moved.to(inputs.dtype), inputs), inputs
    )
    return torch.where(lost, torch.nan, kept)
