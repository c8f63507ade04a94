"""Which train rows the student's arms see, and which of those with their labels."""

import hashlib
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.data.dataset import UNLABELLED, Dataset
from stillhouse.data.keys import row_keys
from stillhouse.data.notices import AllTaken
from stillhouse.data.targets import targets_of
from stillhouse.errors import SettingsError


@dataclass(frozen=True)
class Pick:
    """Positions in train, rising.

    Attributes:
        labelled: Rows that the arms see with their targets.
        unlabelled: Rows that they see without.
    """

    labelled: Tensor
    unlabelled: Tensor


def shares(counts: list[int], total: int, least: int) -> list[int]:
    """Return how many to take of each stratum: in proportion (largest remainder), at least `least`
    where there are as many, `total` in all.

    Args:
        counts: Rows in each stratum.
        total: Rows to take, at most sum(counts).
        least: 0 or 1.
    """
    taken = [min(least, count) for count in counts]
    room = [count - start for count, start in zip(counts, taken, strict=True)]
    left, whole = total - sum(taken), sum(room)
    exact = [left * free / whole if whole else 0.0 for free in room]
    extra = [int(part) for part in exact]
    order = sorted(range(len(counts)), key=lambda at: (extra[at] - exact[at], at))
    for at in order:
        if sum(extra) < left and extra[at] < room[at]:
            extra[at] += 1
    return [start + more for start, more in zip(taken, extra, strict=True)]


def pick(train: Dataset, *, labelled: int | None, unlabelled: int | None) -> Pick:
    """Pick rows, stratified by class, in the order of a hash: the same rows every time.

    Args:
        train: All train rows with all their targets.
        labelled: How many rows the arms see with labels, at least one a class (of several labels a
            row: one of each that is the rarest of some row); None: all that have one.
        unlabelled: How many more they see without; None: 0. Rows that have a label count too; it is
            withheld.

    Raises:
        SettingsError: Fewer labelled rows are asked for than there are classes.

    Warns:
        AllTaken: More are asked for than there are.
    """
    sort = targets_of(train.schema)
    least, kinds = sort.least(train.targets)
    if labelled is not None and labelled < least:
        raise SettingsError(
            f"{labelled} labelled rows cannot hold one of each of {least} {kinds}.",
            where="prepare.labelled",
            fix=f"Ask for at least {least}.",
        )
    ranks = [hashlib.sha256(b"pick\0" + key).digest() for key in row_keys(train)]
    free = sort.strata(train.targets)
    for rows in free.values():
        rows.sort(key=lambda at: (ranks[at], at))
    labelled_rows = [rows for code, rows in free.items() if code != UNLABELLED]
    first = _take(labelled_rows, labelled, 1, "labelled")
    seen = set(first)
    rest = [[at for at in rows if at not in seen] for rows in free.values()]
    second = _take(rest, unlabelled or 0, 0, "unlabelled")
    return Pick(
        torch.tensor(sorted(first), dtype=torch.int64),
        torch.tensor(sorted(second), dtype=torch.int64),
    )


def _take(strata: list[list[int]], asked: int | None, least: int, what: str) -> list[int]:
    there = sum(len(rows) for rows in strata)
    if asked is not None and asked > there:
        warnings.warn(
            f"prepare.{what} asks for {asked} {what} rows, train has {there}: all are taken.",
            AllTaken,
            stacklevel=3,
        )
    total = there if asked is None else min(asked, there)
    counts = shares([len(rows) for rows in strata], total, least)
    return [at for rows, count in zip(strata, counts, strict=True) for at in rows[:count]]
