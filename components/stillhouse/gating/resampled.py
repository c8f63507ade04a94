"""A bound on a number that is not a share of rows, such as ECE: by resampling the rows, with a
seed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stillhouse.evaluation.intervals import resamples
from stillhouse.gating.evidence import Errors, Resampled
from stillhouse.gating.rule import Direction
from stillhouse.gating.shares import MOST_ROWS

DRAWS = 2000


def resample(
    parts: Tensor, statistic: Callable[[Tensor], Tensor], *, seed: int = 0, count: int = DRAWS
) -> Resampled:
    """Return a statistic with its resamples, moved by their bias as
    `evaluation.intervals.bootstrap` does.

    Args:
        parts: [N, K], float64: what each row adds to each of K sums.
        statistic: Sums [R, K] over N rows each → [R].
        seed: Of the draws.
        count: R.
    """
    return resample_counts(
        lambda counts: statistic(counts @ parts), len(parts), seed=seed, count=count
    )


def resample_counts(
    statistic: Callable[[Tensor], Tensor], rows: int, *, seed: int = 0, count: int = DRAWS
) -> Resampled:
    """Return the same of a statistic that depends on more than sums.

    Args:
        statistic: How often each row was drawn, [R, N], float64 → [R].
        rows: N.
        seed: Of the draws.
        count: R.
    """
    estimate = float(statistic(torch.ones(1, rows, dtype=torch.float64))[0])
    generator = np.random.default_rng(seed)
    drawn = torch.cat(
        [statistic(torch.from_numpy(drawn)) for drawn in resamples(rows, count, generator)]
    ).numpy()
    return Resampled(estimate, np.sort(drawn - (drawn.mean() - estimate)), rows)


def resample_errors(of: Errors, who: str = "student") -> Resampled:
    """Return the mean of a model's errors, or its root, with its resamples."""
    parts = torch.from_numpy(of.by_row[who])[:, None]
    return resample(parts, lambda sums: _mean(sums[:, 0], len(parts), of.root))


def resample_difference(of: Errors, other: str) -> Resampled:
    """Return the student's error minus another model's, on the same resampled rows."""
    parts = torch.from_numpy(np.stack([of.by_row["student"], of.by_row[other]], axis=1))

    def difference(sums: Tensor) -> Tensor:
        own, its = (_mean(sums[:, at], len(parts), of.root) for at in (0, 1))
        return own - its

    return resample(parts, difference)


def _mean(sums: Tensor, rows: int, root: bool) -> Tensor:
    mean = sums / rows
    return mean.clamp_min(0.0).sqrt() if root else mean


@dataclass(frozen=True)
class ResampledTest:
    """Whether the number reaches a bound in the population, as far as resampled rows can tell:
    approximate, unlike the tests of shares.

    Attributes:
        of: The number.
        bound: In its unit.
        direction: Whether at least or at most the bound is asked for.
    """

    of: Resampled
    bound: float
    direction: Direction

    @property
    def met(self) -> float:
        """The share of resamples that miss the bound, the observed rows counted with them."""
        return self._share(
            self.of.draws < self.bound if self.direction == ">=" else self.of.draws > self.bound
        )

    @property
    def missed(self) -> float:
        """The share of resamples that meet the bound, the observed rows counted with them."""
        return self._share(
            self.of.draws >= self.bound if self.direction == ">=" else self.of.draws <= self.bound
        )

    def _share(self, which: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
        return float((1 + which.sum()) / (1 + len(which)))

    @property
    def rows(self) -> int:
        """N."""
        return self.of.rows

    @property
    def discordant(self) -> None:
        """No other model is involved."""
        return None

    def interval(self, level: float) -> tuple[float, float]:
        """Return the quantiles that agree with the p-values, each of error rate `level`."""
        at = max(int(level * (len(self.of.draws) + 1) + 1e-9), 1)
        return min(float(self.of.draws[at - 1]), self.of.estimate), max(
            float(self.of.draws[-at]), self.of.estimate
        )

    def power(self, level: float) -> None:  # noqa: ARG002
        """Return nothing: there is no equal student to speak of."""
        return None

    def rows_needed(self, level: float) -> int | None:
        """Return about the rows at which the observed number would be decided: intervals shrink
        with the root of the rows.
        """
        low, high = self.interval(level)
        reach = self.of.estimate - low if self.of.estimate > self.bound else high - self.of.estimate
        away = abs(self.of.estimate - self.bound)
        if away * MOST_ROWS**0.5 <= reach * self.of.rows**0.5:
            return None
        return max(self.of.rows + 1, int(np.ceil(self.of.rows * (reach / away) ** 2)))
