"""What train knows of val and test: equal rows, shared groups, and rows from their future."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stillhouse.data.dataset import Dataset
from stillhouse.data.keys import row_keys

ORDER = ("train", "val", "test")


@dataclass(frozen=True)
class Leakage:
    """Counts for every row, train first, then val, then test.

    Attributes:
        equal: [N]: in how many splits an equal row lies; 1 is clean.
        groups: [N]: in how many splits the row's group lies; None where rows have no groups.
        late: [N]: 1 where a row is younger than the oldest row of a later split; None where rows
            have no time.
    """

    equal: NDArray[np.int64]
    groups: NDArray[np.int64] | None
    late: NDArray[np.int64] | None


def straddling(names: Mapping[str, list[str]]) -> NDArray[np.int64]:
    """Return for every name [N], split after split, in how many splits it occurs."""
    places: dict[str, set[str]] = {}
    for split, found in names.items():
        for name in found:
            places.setdefault(name, set()).add(split)
    return np.array(
        [len(places[name]) for found in names.values() for name in found], dtype=np.int64
    )


def find(splits: Mapping[str, Dataset]) -> Leakage:
    """Return what the splits share.

    Args:
        splits: train, val and test, in this order.
    """
    keys = {name: [key.hex()[:16] for key in row_keys(dataset)] for name, dataset in splits.items()}
    groups = {
        name: [str(code) for code in dataset.groups.tolist()]
        for name, dataset in splits.items()
        if dataset.groups is not None
    }
    times = {name: dataset.time for name, dataset in splits.items() if dataset.time is not None}
    return Leakage(
        straddling(keys),
        straddling(groups) if len(groups) == len(splits) else None,
        _late(times) if len(times) == len(splits) else None,
    )


def _late(times: Mapping[str, torch.Tensor]) -> NDArray[np.int64]:
    names, late = list(times), []
    for at, name in enumerate(names):
        later = [times[other].min() for other in names[at + 1 :] if len(times[other])]
        late.append(
            times[name] > min(later) if later else torch.zeros(len(times[name]), dtype=torch.bool)
        )
    found: NDArray[np.int64] = torch.cat(late).numpy().astype(np.int64)
    return found
