"""Rows that are equal have one class: two answers to one question cannot both be learned."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.validation.expectation import Expectation, Rows


class LabelsAgree(Expectation):
    """Odd is a labelled row whose equals mostly have another class; where they are as many, all of
    them are. Quantities may differ, and are not judged; of several labels a row, equal rows should
    have the same ones.
    """

    def judge(self, rows: Rows) -> NDArray[Any]:
        if rows.schema.quantity is not None:
            return np.full(len(rows), "", dtype=object)
        codes, names = _coded(rows)
        found: dict[str, Counter[int]] = defaultdict(Counter)
        for key, code, known in zip(rows.equal, codes, rows.labelled, strict=True):
            if known:
                found[key][code] += 1
        said = [
            self._odd(found[key], code, names) if known else ""
            for key, code, known in zip(rows.equal, codes, rows.labelled, strict=True)
        ]
        return np.array(said, dtype=object)

    def _odd(self, counts: Counter[int], code: int, classes: tuple[str, ...]) -> str:
        if len(counts) < 2:
            return ""
        others = {other: count for other, count in counts.items() if other != code}
        other = max(others, key=lambda at: (others[at], -at))
        if counts[code] > others[other]:
            return ""
        rows = "row is" if others[other] == 1 else "rows are"
        return f"'{classes[code]}', and {others[other]} equal {rows} '{classes[other]}'"


def _coded(rows: Rows) -> tuple[list[int], tuple[str, ...]]:
    """Return each row's class and the classes' names; of several labels a row each set of them is
    one class. A label that nobody knows is one more way in which sets differ.
    """
    if not rows.schema.labels:
        return rows.targets.tolist(), rows.schema.classes
    told = np.where(np.isnan(rows.targets), -1, rows.targets).astype(np.int64)
    sets, codes = np.unique(told, axis=0, return_inverse=True)
    names = [
        ", ".join(name for name, own in zip(rows.schema.labels, each, strict=True) if own == 1)
        for each in sets.tolist()
    ]
    return codes.reshape(-1).tolist(), tuple(name or "none" for name in names)
