"""Recordings and subjects that are unlike the others: a sensor with an offset, a louder
microphone.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from stillhouse.validation.expectation import Expectation, Rows
from stillhouse.validation.fences import fences

FEWEST = 5  # groups; of fewer nobody can say what is usual


class UsualRecordings(Expectation):
    """Odd is every row of a group (a recording, a subject, a speaker) whose median of a channel's
    mean, deviation or step lies further outside the groups' quartiles than so many times their
    distance.

    Args:
        fences: How many times.
    """

    accepts = frozenset({"image", "series"})

    def __init__(self, *, fences: Annotated[float, Gt(0)] = 6.0) -> None:
        self.fences = fences

    def judge(self, rows: Rows) -> NDArray[Any]:
        said = np.full(len(rows), "", dtype=object)
        if rows.groups is None:
            return said
        codes, member = np.unique(rows.groups, return_inverse=True)
        if len(codes) < FEWEST:
            return said
        for name, values in rows.measures.items():
            medians = np.array([np.median(values[member == at]) for at in range(len(codes))])
            low, high = fences(medians, self.fences)
            for at in np.flatnonzero((medians < low) | (medians > high)):
                mine = (member == at) & (said == "")
                said[mine] = (
                    f"its recording's {name} is {medians[at]:.4g}, "
                    f"not within {low:.4g} to {high:.4g}"
                )
        return said
