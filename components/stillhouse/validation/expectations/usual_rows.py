"""Images and recordings that are unlike train's: far too dark, too flat, too noisy."""

from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from stillhouse.validation.expectation import Expectation, Rows
from stillhouse.validation.fences import fences


class UsualRows(Expectation):
    """Odd is a row of which a channel's mean, deviation or step between neighbours lies further
    outside train's quartiles than so many times their distance.

    Args:
        fences: How many times; 3 is Tukey's "far out", 6 is rare in clean data.
    """

    accepts = frozenset({"image", "series"})

    def __init__(self, *, fences: Annotated[float, Gt(0)] = 6.0) -> None:
        self.fences = fences

    def judge(self, rows: Rows) -> NDArray[Any]:
        said = np.full(len(rows), "", dtype=object)
        for name, values in rows.measures.items():
            low, high = fences(values[rows.train], self.fences)
            for at in np.flatnonzero(np.isfinite(values) & ((values < low) | (values > high))):
                if not said[at]:
                    said[at] = f"{name} is {values[at]:.4g}, not within {low:.4g} to {high:.4g}"
        return said
