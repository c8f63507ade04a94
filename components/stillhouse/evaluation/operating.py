"""Where a model of two classes says yes: a threshold of its probability, chosen on val rows alone,
and what it comes to on others.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillhouse.config import Share
from stillhouse.errors import DataError, SettingsError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Criterion = Literal["youden"] | Mapping[Literal["sensitivity", "specificity", "value"], Share]
"""How a threshold is chosen: the largest sensitivity + specificity; the largest specificity with a
sensitivity of at least so much, or the other way round; or a value itself.
"""


class Operating(NamedTuple):
    """What a threshold comes to, each counted.

    Attributes:
        found: Positive rows that are called positive.
        positives: Positive rows.
        spared: Negative rows that are called negative.
        negatives: Negative rows.
    """

    found: int
    positives: int
    spared: int
    negatives: int


def check(criterion: Criterion, where: str) -> None:
    """Refuse what is no criterion.

    Raises:
        SettingsError: It names none, or several.
    """
    if isinstance(criterion, Mapping) and len(criterion) != 1:
        raise SettingsError(
            f"a threshold is chosen by one thing, not {len(criterion)}.",
            where=where,
            fix="Write youden, {sensitivity: 0.9}, {specificity: 0.9} or {value: 0.5}.",
        )


def choose(criterion: Criterion, scores: Floats, positive: Bools) -> float:
    """Return the threshold: rows with that probability or more are called positive.

    Candidates lie half way between neighbouring scores, so that no row lies on one; of equally good
    ones the lowest of the criterion's side wins, always the same.

    Args:
        criterion: See `Criterion`.
        scores: Probability of the positive class [N], of val rows.
        positive: [N].

    Raises:
        DataError: Val has no row of one of the classes.
    """
    if isinstance(criterion, Mapping) and "value" in criterion:
        return float(criterion["value"])
    if not positive.any() or positive.all():
        raise DataError(
            "val has rows of one class only, so that no threshold can be chosen.",
            where="prepare/val.safetensors",
            fix="Raise prepare.split.val, or set distill.threshold: {value: 0.5}.",
        )
    seen = np.unique(scores)
    candidates = np.concatenate([[seen[0] / 2], (seen[1:] + seen[:-1]) / 2, [(seen[-1] + 1) / 2]])
    sorted_positive, sorted_negative = np.sort(scores[positive]), np.sort(scores[~positive])
    m, n = len(sorted_positive), len(sorted_negative)
    found = m - np.searchsorted(sorted_positive, candidates)
    spared = np.searchsorted(sorted_negative, candidates)
    if criterion == "youden":  # in whole numbers, so that ties are ties
        return float(candidates[int(np.argmax(found * n + spared * m))])
    (name, least), *_ = criterion.items() if isinstance(criterion, Mapping) else ()
    if name == "sensitivity":
        allowed = np.flatnonzero(found / m >= least)
        return float(candidates[allowed[-1]])
    allowed = np.flatnonzero(spared / n >= least)
    return float(candidates[allowed[0]])


def at(threshold: float, scores: Floats, positive: Bools) -> Operating:
    """Return what a threshold comes to on rows [N]."""
    called = scores >= threshold
    return Operating(
        int((called & positive).sum()),
        int(positive.sum()),
        int((~called & ~positive).sum()),
        int((~positive).sum()),
    )
