"""What sort of targets rows have, and what follows from it for reading, dividing and counting them:
the one place in this room that tells classes, quantities and several labels a row apart.
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
    """What a room asks about targets [N], or [N, L] of several labels a row."""

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

    def least(self, targets: Tensor) -> tuple[int, str]:  # noqa: ARG002
        """Return how many rows with a target the student's arms must see at least, and one of each
        of what they are, in words.
        """
        return 0, ""

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
        if targets.ndim != 1:
            return f"gives targets of the shape {list(targets.shape)}, not one class a row"
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

    def least(self, targets: Tensor) -> tuple[int, str]:  # noqa: ARG002
        return len(self.names), "classes"

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
        if targets.ndim != 1:
            return f"gives targets of the shape {list(targets.shape)}, not one number a row"
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


@dataclass(frozen=True)
class Labels(Targets):
    """Which of several labels a row has, [N, L], float32: 1, 0, or NaN where nobody knows."""

    names: tuple[str, ...]
    unknown = float("nan")
    dtype = torch.float32

    def require(self, dataset: Dataset, *, where: str) -> None:
        if not bool(known(dataset.targets).any()):
            raise SourceError(
                "no row has a label that is known.",
                where=where,
                fix="Name the labels, and write 1 or 0 in some rows.",
            )
        for name, yes, no in zip(self.names, *counts(dataset.targets), strict=True):
            for rows, what in ((yes, "has"), (no, "lacks")):
                if rows < 2:
                    said = "no row" if not rows else "one row, which cannot be in train and test,"
                    raise SourceError(
                        f"{said} {what} the label '{name}'.",
                        where=where,
                        fix="Bring two rows at least that do, or leave the label out.",
                    )

    def fault(self, targets: Tensor) -> str:
        if targets.ndim != 2 or targets.shape[1] != len(self.names):
            return f"gives targets of the shape {list(targets.shape)} for {len(self.names)} labels"
        if not targets.is_floating_point() or bool(
            (~targets.isnan() & (targets != 0) & (targets != 1)).any()
        ):
            return "gives labels that are neither 0 nor 1 nor NaN"
        return ""

    def strata(self, targets: Tensor) -> dict[int, list[int]]:
        """By the rarest label that a row has, since that is the one which a small share of the rows
        would lose first; rows without any stand by themselves.
        """
        yes, _ = counts(targets)
        rarest_first = sorted(range(len(self.names)), key=lambda at: (yes[at], at))
        place = torch.full((len(targets),), len(self.names))
        for code in reversed(rarest_first):
            place[targets[:, code] == 1] = code
        place[~known(targets)] = UNLABELLED
        found = place.tolist()
        return {
            code: [at for at, own in enumerate(found) if own == code]
            for code in range(UNLABELLED, len(self.names) + 1)
        }

    def least(self, targets: Tensor) -> tuple[int, str]:
        found = self.strata(targets)
        return sum(bool(found[code]) for code in found if code != UNLABELLED), "rarest labels"

    def lacking(self, targets: Tensor) -> list[str]:
        found = zip(self.names, *counts(targets), strict=True)
        return [
            f"the label '{name}'" if not yes else f"any other than the label '{name}'"
            for name, yes, no in found
            if not yes or not no
        ]

    def alike(self, targets: Tensor) -> str:
        yes, no = counts(targets)
        return "without any label" if not sum(yes) else "with every label" if not sum(no) else ""

    def statistics(self, targets: Tensor) -> dict[str, Any]:
        yes, no = counts(targets)
        return {
            "classes": [],
            "label_rows": {
                name: [has, lacks] for name, has, lacks in zip(self.names, yes, no, strict=True)
            },
        }


def counts(targets: Tensor) -> tuple[list[int], list[int]]:
    """Return how many rows are known to have each of the labels [N, L], and how many to lack it."""
    yes: list[int] = (targets == 1).sum(dim=0).tolist()
    no: list[int] = (targets == 0).sum(dim=0).tolist()
    return yes, no


def targets_of(schema: Schema) -> Targets:
    """Return what sort of targets rows of a schema have."""
    if schema.labels:
        return Labels(schema.labels)
    return Classes(schema.classes) if schema.quantity is None else Quantities()
