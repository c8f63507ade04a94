"""What changes, row by row, for those who use the champion today."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stillhouse.evaluation.paired import mcnemar

NOTHING: dict[str, Any] = {
    "against": None,
    "negative": None,
    "positive": None,
    "rows_negative": [],
    "rows_positive": [],
    "both_right": None,
    "both_wrong": None,
    "p": None,
}


def flips(
    student: NDArray[np.bool_], champion: NDArray[np.bool_], rows: NDArray[np.int64], against: str
) -> dict[str, Any]:
    """Return which right answers turn wrong (negative) and which wrong ones right (positive).

    Args:
        student: Whether it is right, bool [N].
        champion: The same of the model in production, the same rows.
        rows: The rows' numbers in their source, [N].
        against: The champion in words.

    Returns:
        Counts, the rows' numbers, and `p`: the exact two-sided McNemar p-value of "both are right
        equally often".
    """
    lost, won = champion & ~student, student & ~champion
    return {
        "against": against,
        "negative": int(lost.sum()),
        "positive": int(won.sum()),
        "rows_negative": rows[lost].tolist(),
        "rows_positive": rows[won].tolist(),
        "both_right": int((student & champion).sum()),
        "both_wrong": int((~student & ~champion).sum()),
        "p": mcnemar(int(lost.sum()), int(won.sum())),
    }
