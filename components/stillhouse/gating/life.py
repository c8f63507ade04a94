"""One error rate for all of a model's life: each comparison with a champion spends a part of it,
and the parts add up to no more than the whole, however many there will be.
"""

import math


def spent(alpha: float, look: int) -> float:
    """Return the error rate of the `look`-th comparison.

    6 / (π² i²) sums to 1 over i = 1, 2, 3 …, so that by the union bound the probability of ever
    promoting a student that misses a bound is at most `alpha`, on whatever rows and however alike
    the students are. Exact p-values of pairs are never below 1e-7, so that after some hundreds of
    comparisons nothing passes any more: then the life's rate is spent.

    Args:
        alpha: Of the whole life, in (0, 1).
        look: From 1; counted in the ledger.

    Source:
        Foster and Stine 2008, Journal of the Royal Statistical Society B 70 (alpha spending for a
        stream of tests), with Euler's series as the schedule.

    Example:
        >>> round(spent(0.05, 1), 4), round(spent(0.05, 10), 6)
        (0.0304, 0.000304)
    """
    return alpha * 6 / (math.pi * look) ** 2
