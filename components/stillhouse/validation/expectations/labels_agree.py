"""Rows that are equal have one class: two answers to one question cannot both be learned."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.validation.expectation import Expectation, Rows


class LabelsAgree(Expectation):
    """Odd is a labelled row whose equals mostly have another class; where they are as many, all of
    them are. Quantities may differ, and are not judged.
    """

    def judge(self, rows: Rows) -> NDArray[Any]:
        if rows.schema.quantity is not None:
            return np.full(len(rows), "", dtype=object)
        found: dict[str, Counter[int]] = defaultdict(Counter)
        for key, code, known in zip(rows.equal, rows.targets.tolist(), rows.labelled, strict=True):
            if known:
                found[key][code] += 1
        said = [
            self._odd(found[key], code, rows.schema.classes) if known else ""
            for key, code, known in zip(
                rows.equal, rows.targets.tolist(), rows.labelled, strict=True
            )
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
