"""How well scores [N] tell positive rows from negative ones, whatever the threshold: the area under
the ROC curve, its variance, and that of a difference on the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import DataError
from stillhouse.evaluation.intervals import Interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """The areas of one or two models on the same rows.

    Attributes:
        areas: [K], in [0, 1].
        covariance: [K, K], of the areas.
        pairs: How many pairs of a positive and a negative row share no row: the smaller class.
    """

    areas: Floats
    covariance: Floats
    pairs: int


def ranking(scores: Sequence[Floats], positive: Bools) -> Ranking:
    """Return the areas under K models' ROC curves, with their covariance.

    The area is the share of pairs of a positive and a negative row in which the positive one has
    the higher score, ties counting half. Each row's own share of pairs (its placement) gives the
    covariance.

    Args:
        scores: K times [N]; higher means positive.
        positive: [N].

    Raises:
        DataError: There are not two rows of each class: no variance can be told.

    Source:
        DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, equations 3 to 6; placements by
        ranks as in Sun and Xu 2014, IEEE Signal Processing Letters 21.
    """
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        raise DataError(
            f"{m} positive and {n} negative rows are too few to rank.",
            fix="Give the split at least two rows of each class.",
        )
    of_positive, of_negative = np.empty((len(scores), m)), np.empty((len(scores), n))
    for at, each in enumerate(scores):
        ranks = rankdata(each)
        of_positive[at] = (ranks[positive] - rankdata(each[positive])) / n
        of_negative[at] = 1 - (ranks[~positive] - rankdata(each[~positive])) / m
    covariance = np.atleast_2d(np.cov(of_positive)) / m + np.atleast_2d(np.cov(of_negative)) / n
    return Ranking(of_positive.mean(axis=1), covariance, min(m, n))


def auc(scores: Floats, positive: Bools) -> float:
    """Return the area under the ROC curve; NaN where a class has no row.

    Example:
        >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
        0.75
    """
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return float("nan")
    return float((rankdata(scores)[positive].sum() - m * (m + 1) / 2) / (m * n))


def p_above(of: Ranking, bound: float) -> float:
    """Return the p-value of "the population's area is `bound` or less".

    The area's logit is taken for normal, which keeps the level better than the area itself does:
    nearly, with some hundred rows of the rarer class; with few and a bound near 1 the p-value is
    too small (`benchmarks/gating/areas.py`). Where every pair is in order DeLong's variance is 0,
    and pairs that share no row are counted instead: all of k in order has a probability of bound^k
    at most.
    """
    from scipy.special import logit, ndtr

    area, variance = float(of.areas[0]), float(of.covariance[0, 0])
    if bound <= 0 or bound >= 1:
        return 0.0 if bound <= 0 else 1.0
    if area >= 1 or variance <= 0:
        return float(bound**of.pairs) if area > bound else 1.0
    if area <= 0:
        return 1.0
    deviation = variance**0.5 / (area * (1 - area))
    return float(ndtr((logit(bound) - logit(area)) / deviation))


def bounds(of: Ranking, level: float) -> tuple[float, float]:
    """Return the one-sided bounds of the area, each of error rate `level`; they agree with
    `p_above`.
    """
    from scipy.special import expit, logit, ndtri

    area, variance = float(of.areas[0]), float(of.covariance[0, 0])
    exact = float(level ** (1 / of.pairs))
    if area >= 1 or area <= 0 or variance <= 0:
        return (min(exact, area) if area > 0 else 0.0), (max(1 - exact, area) if area < 1 else 1.0)
    reach = float(-ndtri(level)) * variance**0.5 / (area * (1 - area))
    return float(expit(logit(area) - reach)), float(expit(logit(area) + reach))


def interval(scores: Floats, positive: Bools, level: float = 0.95) -> Interval:
    """Return [low, estimate, high] of the area. Errors as `ranking`."""
    found = ranking([scores], positive)
    low, high = bounds(found, (1 - level) / 2)
    area = float(found.areas[0])
    return min(low, area), area, max(high, area)


def spread_of_difference(of: Ranking) -> float:
    """Return the standard deviation of the first area minus the second."""
    c = of.covariance
    return float(max(c[0, 0] + c[1, 1] - 2 * c[0, 1], 0.0) ** 0.5)
