"""How far a number from N rows may be from the population's: exact for counts, by resampling rows
for everything else.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stillhouse.errors import DataError

Interval = tuple[float, float, float]
"""(low, estimate, high)."""

# Draws held at once, 8 bytes each: bounds memory, changes no number.
CHUNK = 4_000_000
GROUPS = 20  # of rows, one of which is left out at a time


def proportion(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return the exact two-sided interval of a share.

    Args:
        successes: How many of the rows.
        n: Rows, at least 1.
        level: Share of repetitions in which the interval holds the truth, at least.

    Raises:
        DataError: There are no rows to count.

    Source:
        Clopper and Pearson 1934, Biometrika 26.

    Example:
        >>> [round(x, 3) for x in proportion(9, 10)]
        [0.555, 0.9, 0.997]
    """
    tail = (1 - level) / 2
    return lower(successes, n, tail), successes / n, upper(successes, n, tail)


def lower(successes: int, n: int, alpha: float = 0.05) -> float:
    """Return the exact one-sided lower bound of a share: it exceeds the truth in at most `alpha` of
    repetitions. Errors as `proportion`.
    """
    from scipy.stats import beta

    _check(successes, n)
    return 0.0 if successes == 0 else float(beta.ppf(alpha, successes, n - successes + 1))


def upper(successes: int, n: int, alpha: float = 0.05) -> float:
    """Return the exact one-sided upper bound of a share: it is below the truth in at most `alpha`
    of repetitions. Errors as `proportion`.
    """
    from scipy.stats import beta

    _check(successes, n)
    return 1.0 if successes == n else float(beta.ppf(1 - alpha, successes + 1, n - successes))


def _check(successes: int, n: int) -> None:
    if n < 1:
        raise DataError(
            "there are no rows to count.", fix="Give the split more rows, with targets."
        )
    if not 0 <= successes <= n:
        raise DataError(f"{successes} of {n} rows is no share.")


def resamples(n: int, count: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Yield how often each of n rows was drawn, [R, n] a chunk, `count` resamples of n draws with
    replacement in all.
    """
    step = max(1, CHUNK // n)
    for start in range(0, count, step):
        size = min(step, count - start)
        drawn = generator.integers(0, n, size=(size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def bootstrap(
    parts: Tensor,
    statistic: Callable[[Tensor], Tensor],
    *,
    seed: int,
    level: float = 0.95,
    count: int = 2000,
) -> Interval:
    """Return the interval of a statistic that depends on its rows through sums, by resampling rows.

    A plug-in statistic such as ECE is too large on N rows, because noise in each bin adds up, and
    larger again on a resample of them. The second step
    shows the size of the first: the percentiles are moved by twice the bias, mean of the resamples
    − estimate, so that the interval speaks of the population; it is widened to hold the estimate
    where that is needed. For means the bias is zero but for the draw. A true ECE of 0 stays out of
    reach: there the lower bound is above it more often than the level says.

    Args:
        parts: [N, K], float64: what each row adds to each of K sums.
        statistic: Sums [R, K] over N rows each → [R].
        seed: Of the draws.
        level: Nominal coverage.
        count: R, resamples.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, sections 10 and 13.
    """
    n = len(parts)
    _check(0, n)
    estimate = float(statistic(parts.sum(dim=0, keepdim=True))[0])
    generator = np.random.default_rng(seed)
    drawn = torch.cat(
        [statistic(torch.from_numpy(weights) @ parts) for weights in resamples(n, count, generator)]
    ).numpy()
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) - 2 * (drawn.mean() - estimate)
    return min(float(low), estimate), estimate, max(float(high), estimate)


def jackknife(
    statistic: Callable[[Tensor], Tensor], rows: int, *, seed: int, level: float = 0.95
) -> Interval:
    """Return the interval of a statistic that is dear to compute, by leaving out a twentieth of the
    rows at a time: Student's t over the twenty answers.

    Args:
        statistic: How often each row counts, [R, N], float64 → [R]; smooth in them, as areas are
            and medians are not.
        rows: N.
        seed: Of who is left out together.
        level: Nominal coverage.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 11.5 (the delete-d
        jackknife), with groups in place of all subsets.
    """
    from scipy.stats import t

    _check(0, rows)
    groups = min(rows, GROUPS)
    point = float(statistic(torch.ones(1, rows, dtype=torch.float64))[0])
    if groups < 2:
        return point, point, point
    order = np.random.default_rng(seed).permutation(rows)
    counts = torch.ones(groups, rows, dtype=torch.float64)
    for at, left_out in enumerate(np.array_split(order, groups)):
        counts[at, torch.from_numpy(left_out)] = 0.0
    told = statistic(counts)
    spread = float(((told - told.mean()).square().sum() * (groups - 1) / groups).sqrt())
    half = float(t.ppf(0.5 + level / 2, groups - 1)) * spread
    return point - half, point, point + half
