"""How well scores [N] tell positive rows from negative ones, whatever the threshold: the area under
the ROC curve, its variance, and that of a difference on the same rows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import DataError
from stillhouse.evaluation.intervals import Interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
HALVINGS = 50  # of an interval's end: to the last digit


@dataclass(frozen=True)
class Ranking:
    """The areas of one or two models on the same rows.

    Attributes:
        areas: [K], in [0, 1].
        covariance: [K, K], of the areas.
        positive: Rows of that class.
        negative: Rows of the other.
    """

    areas: Floats
    covariance: Floats
    positive: int
    negative: int

    @property
    def pairs(self) -> int:
        """How many pairs of a positive and a negative row share no row: the smaller class."""
        return min(self.positive, self.negative)

    @property
    def turned(self) -> "Ranking":
        """The same of scores with their signs turned."""
        return Ranking(1 - self.areas, self.covariance, self.positive, self.negative)


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
    return Ranking(of_positive.mean(axis=1), covariance, m, n)


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


def variance_at(area: float, positive: int, negative: int) -> float:
    """Return the variance of the estimate where the population's area is `area`, for scores of two
    exponentials, whichever class is the wide one: the larger of the two.

    DeLong's variance is told by the few pairs that are out of order; where there are few of them
    it is itself uncertain, and smallest where the area looks largest. This one is known.

    Source:
        Hanley and McNeil 1982, Radiology 143, equations 1 and 2.
    """
    one, other = area / (2 - area), 2 * area**2 / (1 + area)
    own = area * (1 - area)

    def of(rows: float, more: float) -> float:
        first, second = rows - area**2, more - area**2
        return (own + (positive - 1) * first + (negative - 1) * second) / (positive * negative)

    return max(of(one, other), of(other, one), 0.0)


def p_above(of: Ranking, bound: float) -> float:
    """Return the p-value of "the population's area is `bound` or less".

    The larger of two: of the area's logit with DeLong's variance, and of the area with the variance
    that it has at the bound. The second keeps the level where few rows of the rarer class or a
    bound near 1 make the first too sure (`benchmarks/gating/areas.py`). Where every pair is in
    order DeLong's variance is 0, and pairs that share no row are counted instead: all of k in order
    has a probability of bound^k at most.
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
    known = variance_at(bound, of.positive, of.negative) ** 0.5
    likely = (logit(bound) - logit(area)) / deviation, (bound - area) / known
    return float(ndtr(max(likely)))


def bounds(of: Ranking, level: float) -> tuple[float, float]:
    """Return the one-sided bounds of the area, each of error rate `level`, in (0, 0.5]; they agree
    with `p_above`.
    """
    area, variance = float(of.areas[0]), float(of.covariance[0, 0])
    exact = float(level ** (1 / of.pairs))
    if area >= 1 or area <= 0 or variance <= 0:
        return (min(exact, area) if area > 0 else 0.0), (max(1 - exact, area) if area < 1 else 1.0)
    return _lowest(of, level), 1 - _lowest(of.turned, level)


def _lowest(of: Ranking, level: float) -> float:
    """Return the largest area, at most the observed one, that is refused at this level."""
    low, high = 0.0, float(of.areas[0])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if p_above(of, middle) <= level else (low, middle)
    return low


def interval(scores: Floats, positive: Bools, level: float = 0.95) -> Interval:
    """Return [low, estimate, high] of the area. Errors as `ranking`."""
    found = ranking([scores], positive)
    low, high = bounds(found, (1 - level) / 2)
    area = float(found.areas[0])
    return min(low, area), area, max(high, area)


def spread_of_difference(of: Ranking, difference: float | None = None) -> float:
    """Return the standard deviation of the first area minus the second.

    Args:
        of: Both.
        difference: That of the population, if it is to be judged: the spread is then at least what
            two models so far apart have (`variance_at`), correlated as these are. None: DeLong's.
    """
    c = of.covariance
    own = math.sqrt(max(float(c[0, 0] + c[1, 1] - 2 * c[0, 1]), 0.0))
    if difference is None or own <= 0:
        return own
    product = float(c[0, 0] * c[1, 1])
    together = float(c[0, 1]) / math.sqrt(product) if product > 0 else 0.0
    middle = float(of.areas.mean())
    apart = [
        variance_at(min(max(middle + sign * difference / 2, 0.0), 1.0), of.positive, of.negative)
        for sign in (1, -1)
    ]
    known = sum(apart) - 2 * together * math.sqrt(apart[0] * apart[1])
    return max(own, math.sqrt(max(known, 0.0)))
