"""What sort of targets rows have, and what follows from it for reading, dividing and counting them:
the one place in this room that tells classes from quantities.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stillhouse.data.codes import require_classes
from stillhouse.data.dataset import UNLABELLED, Dataset, known
from stillhouse.data.schema import Schema
from stillhouse.data.sketch import sketch
from stillhouse.errors import SourceError


class Targets(ABC):
    """What a room asks about targets [N]."""

    unknown: float
    dtype: torch.dtype

    @abstractmethod
    def require(self, dataset: Dataset, *, where: str) -> None:
        """Refuse targets that nothing can be learned from.

        Raises:
            SourceError: There are none, or they are all alike.
        """

    @abstractmethod
    def fault(self, targets: Tensor) -> str:
        """Return why a source's targets are none of this schema; empty if they are."""

    @abstractmethod
    def strata(self, targets: Tensor) -> dict[int, list[int]]:
        """Return positions by stratum, the unlabelled ones under −1: rows are picked in proportion
        to them.
        """

    @abstractmethod
    def lacking(self, targets: Tensor) -> list[str]:
        """Return what known targets lack that others may have, in words: "the class 'a'"."""

    @abstractmethod
    def alike(self, targets: Tensor) -> str:
        """Return in words what known targets all are, if they are all one; else nothing."""

    @abstractmethod
    def statistics(self, targets: Tensor) -> dict[str, Any]:
        """Return a few numbers about the known targets, for drift."""

    def known_count(self, dataset: Dataset) -> int:
        """Return how many rows have a target."""
        return int(known(dataset.targets).sum())


@dataclass(frozen=True)
class Classes(Targets):
    """Codes of classes, int64; −1 where unlabelled."""

    names: tuple[str, ...]
    unknown = float(UNLABELLED)
    dtype = torch.int64

    def require(self, dataset: Dataset, *, where: str) -> None:
        require_classes(dataset, where=where)

    def fault(self, targets: Tensor) -> str:
        low, high = int(targets.min()), int(targets.max())
        if targets.is_floating_point() and bool((targets != targets.round()).any()):
            return "gives targets that are no whole numbers"
        if low < UNLABELLED or high >= len(self.names):
            return f"gives the targets {low} to {high} for {len(self.names)} classes"
        return ""

    def strata(self, targets: Tensor) -> dict[int, list[int]]:
        found = targets.tolist()
        return {
            code: [at for at, target in enumerate(found) if target == code]
            for code in range(UNLABELLED, len(self.names))
        }

    def lacking(self, targets: Tensor) -> list[str]:
        present = set(targets.tolist())
        return [
            f"the class '{name}'" for code, name in enumerate(self.names) if code not in present
        ]

    def alike(self, targets: Tensor) -> str:
        present = set(targets.tolist())
        return f"of only one class, '{self.names[present.pop()]}'" if len(present) == 1 else ""

    def statistics(self, targets: Tensor) -> dict[str, Any]:
        counts = torch.bincount(targets, minlength=len(self.names))
        return {
            "classes": (counts.double() / max(len(targets), 1)).tolist(),
            "class_rows": dict(zip(self.names, counts.tolist(), strict=True)),
        }


@dataclass(frozen=True)
class Quantities(Targets):
    """Numbers, float32; NaN where unlabelled."""

    unknown = float("nan")
    dtype = torch.float32

    def require(self, dataset: Dataset, *, where: str) -> None:
        told = dataset.targets[known(dataset.targets)]
        if not len(told):
            raise SourceError(
                "no row has a target.", where=where, fix="Name the target, and label some rows."
            )
        if self.alike(told):
            raise SourceError(
                f"every target is {float(told[0]):g}; there is nothing to tell apart.",
                where=where,
                fix="Bring rows of other values, or name another target.",
            )

    def fault(self, targets: Tensor) -> str:
        if not targets.is_floating_point():
            return "gives whole-number codes where quantities are wanted"
        return "gives infinite targets" if bool(targets.isinf().any()) else ""

    def strata(self, targets: Tensor) -> dict[int, list[int]]:
        there = known(targets).tolist()
        return {
            UNLABELLED: [at for at, labelled in enumerate(there) if not labelled],
            0: [at for at, labelled in enumerate(there) if labelled],
        }

    def lacking(self, targets: Tensor) -> list[str]:  # noqa: ARG002
        return []

    def alike(self, targets: Tensor) -> str:
        if len(targets) and bool((targets == targets[0]).all()):
            return f"of only one value, {float(targets[0]):g}"
        return ""

    def statistics(self, targets: Tensor) -> dict[str, Any]:
        told = targets.double()
        return {
            "classes": [],
            "target": {
                "mean": float(told.mean()) if len(told) else None,
                "std": float(told.std(correction=0)) if len(told) else None,
            },
            "target_sketch": sketch("(target)", told.numpy()).as_dict(),
        }


def targets_of(schema: Schema) -> Targets:
    """Return what sort of targets rows of a schema have."""
    return Classes(schema.classes) if schema.quantity is None else Quantities()
