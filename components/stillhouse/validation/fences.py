"""Where the usual ends."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fences(values: NDArray[Any], times: float) -> tuple[float, float]:
    """Return the ends beyond which a value is far from these: their quartiles, widened by so many
    times their distance. Of values without spread nothing is far.

    Source:
        Tukey 1977, Exploratory Data Analysis, section 2D.

    Example:
        >>> fences(np.arange(5.0), 2)
        (-3.0, 7.0)
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return -np.inf, np.inf
    low, high = np.quantile(known, (0.25, 0.75))
    far = times * (high - low)
    return (-np.inf, np.inf) if far == 0 else (float(low - far), float(high + far))
