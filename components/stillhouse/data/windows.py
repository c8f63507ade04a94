"""Cut recordings into windows of one length: where each begins, what it is called, and what its
time was.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Naming = Literal["most", "last"]


@dataclass(frozen=True)
class Windows:
    """Windows of some recordings.

    Attributes:
        places: [W, T], the windows' rows in the file.
        short: How many recordings are shorter than a window.
    """

    places: NDArray[np.int64]
    short: int


def recordings(names: Sequence[str]) -> dict[str, list[int]]:
    """Return recording → its rows in the file's order; recordings come in the order in which they
    begin, and may take turns.
    """
    found: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        found.setdefault(name, []).append(at)
    return found


def windows(rows: dict[str, list[int]], *, length: int, stride: int) -> Windows:
    """Return windows of `length` rows, beginning every `stride` rows from a recording's first; what
    is left at its end is in none.

    Args:
        rows: Recording → its rows, in order.
        length: T.
        stride: Smaller than T: windows overlap.
    """
    places = [
        at[start : start + length]
        for at in rows.values()
        for start in range(0, len(at) - length + 1, stride)
    ]
    short = sum(len(at) < length for at in rows.values())
    return Windows(np.array(places, dtype=np.int64).reshape(-1, length), short)


def name_of(names: Sequence[str | None], naming: Naming) -> str | None:
    """Return a window's class: its last row's, or the one that most of its labelled rows have (of
    equals the one that comes last); None: unlabelled.

    Example:
        >>> name_of(["walk", "sit", None, "sit", "walk"], "most")
        'walk'
        >>> name_of(["walk", None], "last") is None
        True
    """
    if naming == "last":
        return names[-1]
    counts = Counter(name for name in names if name is not None)
    last = {name: at for at, name in enumerate(names)}
    return max(counts, key=lambda name: (counts[name], last[name])) if counts else None
