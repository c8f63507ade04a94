"""Rows with what is known of them; the currency of every room."""

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stillhouse.data.schema import Schema

UNLABELLED = -1


def known(targets: Tensor) -> Tensor:
    """Return which targets are there, bool [N]: class codes [N] but −1, quantities [N] but NaN; of
    labels [N, L] rows of which at least one is known.
    """
    if not targets.is_floating_point():
        return targets != UNLABELLED
    there = ~targets.isnan()
    return there.any(dim=1) if targets.ndim == 2 else there


@dataclass(frozen=True)
class Dataset:
    """N rows in data space: images in [0, 1], tables in raw units, missing cells NaN.

    Attributes:
        inputs: [N, *schema.shape], float32.
        targets: [N], int64 class codes, −1 where unlabelled; or float32 quantities, NaN where
            unlabelled; or [N, L], float32, 1 where the row has the label, 0 where it has not, NaN
            where nobody knows.
        schema: What a row is.
        rows: [N], int64: the row's number in its source, its name for people and for stored
            answers.
        groups: [N], int64 codes of patient, machine or speaker; None if rows are independent.
        time: [N], float64, any unit that grows; None if rows have no order.
        keys: N names of the rows in their owner's words, such as a file or a patient's code; None
            where the number says it all.
    """

    inputs: Tensor
    targets: Tensor
    schema: Schema
    rows: Tensor
    groups: Tensor | None = None
    time: Tensor | None = None
    keys: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by code."""
        return self.schema.classes

    def take(self, index: Tensor) -> "Dataset":
        """Return the rows at `index` (positions, or a bool mask [N])."""
        at = torch.nonzero(index).flatten() if index.dtype == torch.bool else index
        groups = None if self.groups is None else self.groups[at]
        time = None if self.time is None else self.time[at]
        keys = None if self.keys is None else tuple(self.keys[i] for i in at.tolist())
        return replace(
            self,
            inputs=self.inputs[at],
            targets=self.targets[at],
            rows=self.rows[at],
            groups=groups,
            time=time,
            keys=keys,
        )

    @property
    def labelled(self) -> "Dataset":
        """The rows that have a target: these very ones, not a copy, where all have."""
        there = known(self.targets)
        return self if bool(there.all()) else self.take(there)

    def fingerprint(self) -> str:
        """Return the sha256 over inputs, targets and schema: the same rows in the same order give
        the same one.
        """
        digest = hashlib.sha256(self.schema.identity.encode())
        digest.update(self.inputs.contiguous().numpy().tobytes())
        digest.update(self.targets.contiguous().numpy().tobytes())
        return digest.hexdigest()


def row_digests(inputs: Tensor) -> list[bytes]:
    """Return a digest [N] of each row's inputs; equal rows have equal ones, so that duplicates can
    be found and never straddle splits.
    """
    flat = inputs.reshape(len(inputs), -1).contiguous().numpy()
    return [hashlib.sha256(row.tobytes()).digest() for row in flat]
