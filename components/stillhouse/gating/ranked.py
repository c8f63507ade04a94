"""Bounds on the area under the ROC curve, and on a difference of two of them on the same rows, by
DeLong's variance; where all pairs are in order, by counting pairs that share no row.
"""

from dataclasses import dataclass

import numpy as np

from stillhouse.evaluation import ranking
from stillhouse.evaluation.ranking import Ranking
from stillhouse.gating.evidence import Ranked
from stillhouse.gating.matched import POWER
from stillhouse.gating.rule import Direction
from stillhouse.gating.shares import MOST_ROWS


@dataclass(frozen=True)
class AreaTest:
    """Whether the area reaches a bound in the population.

    Attributes:
        of: The student's area.
        bound: In [0, 1].
        direction: Whether at least or at most the bound is asked for.
        n: All rows.
    """

    of: Ranking
    bound: float
    direction: Direction
    n: int

    @property
    def met(self) -> float:
        """P-value of "the bound is missed"."""
        return self._above() if self.direction == ">=" else self._below()

    @property
    def missed(self) -> float:
        """P-value of "the bound is met"."""
        return self._below() if self.direction == ">=" else self._above()

    def _above(self) -> float:
        return ranking.p_above(self.of, self.bound)

    def _below(self) -> float:
        return ranking.p_above(self.of.turned, 1 - self.bound)

    @property
    def rows(self) -> int:
        """N."""
        return self.n

    @property
    def discordant(self) -> None:
        """No other model is involved."""
        return None

    def interval(self, level: float) -> tuple[float, float]:
        """Return the bounds of the area, each of error rate `level`."""
        return ranking.bounds(self.of, level)

    def power(self, level: float) -> float | None:  # noqa: ARG002
        """Return nothing: there is no equal student to speak of."""
        return None

    def rows_needed(self, level: float) -> int | None:
        """Return about the rows at which the observed area would be decided."""
        low, high = self.interval(level)
        area = float(self.of.areas[0])
        return more_rows(
            self.n, area - self.bound, area - low if area > self.bound else high - area
        )


@dataclass(frozen=True)
class AreaDifferenceTest:
    """Whether the student's area − another's is above −margin in the population.

    Attributes:
        of: Both areas, the student's first.
        margin: In [−1, 1].
        n: All rows.
    """

    of: Ranking
    margin: float
    n: int

    @property
    def difference(self) -> float:
        """The student's area − the other's, on these rows."""
        return float(self.of.areas[0] - self.of.areas[1])

    @property
    def met(self) -> float:
        """P-value of "the difference is −margin or less"."""
        from scipy.special import ndtr

        spread = ranking.spread_of_difference(self.of, -self.margin)
        if spread > 0:
            return float(ndtr((-self.margin - self.difference) / spread))
        if self.difference <= -self.margin:
            return 1.0
        # No pair tells them apart: of k that share no row, none does with a probability of
        # (1 - margin)^k at most.
        return float(min(max(1 - self.margin, 0.0), 1.0) ** self.of.pairs)

    @property
    def missed(self) -> float:
        """P-value of "the difference is −margin or more"."""
        from scipy.special import ndtr

        spread = ranking.spread_of_difference(self.of, -self.margin)
        if spread > 0:
            return float(ndtr((self.difference + self.margin) / spread))
        return 1.0 if self.difference >= -self.margin else 0.0

    @property
    def rows(self) -> int:
        """N."""
        return self.n

    @property
    def discordant(self) -> None:
        """Areas count pairs of rows, not rows."""
        return None

    def interval(self, level: float) -> tuple[float, float]:
        """Return the bounds of the difference, each of error rate `level`."""
        if ranking.spread_of_difference(self.of) <= 0:
            reach = 1 - level ** (1 / self.of.pairs)
            return max(self.difference - reach, -1.0), min(self.difference + reach, 1.0)
        return _end(self.of, self.difference, level, -1.0), _end(self.of, self.difference, level, 1)

    def power(self, level: float) -> float | None:
        """Return how often an equal student would pass, if differences spread as they do here."""
        from scipy.special import ndtr, ndtri

        spread = ranking.spread_of_difference(self.of)
        if spread <= 0:
            return None
        known = ranking.spread_of_difference(self.of, -self.margin)
        return float(ndtr((self.margin + ndtri(level) * known) / spread))

    def rows_needed(self, level: float) -> int | None:
        """Return about the rows at which the observed difference would be decided."""
        low, _ = self.interval(level)
        return more_rows(self.n, self.difference + self.margin, self.difference - low)


def affordable_margin(of: Ranking, level: float) -> float:
    """Return the smallest margin at which an equal student passes in 80 % of such test sets."""
    from scipy.special import ndtri

    spread = ranking.spread_of_difference(of)
    if spread <= 0:
        return float(min(1.0, 1 - level ** (1 / of.pairs)))
    low, high = 0.0, 1.0
    for _ in range(ranking.HALVINGS):
        middle = (low + high) / 2
        known = ranking.spread_of_difference(of, -middle)
        enough = middle >= float(ndtri(POWER)) * spread - float(ndtri(level)) * known
        low, high = (low, middle) if enough else (middle, high)
    return high


def _end(of: Ranking, difference: float, level: float, end: float) -> float:
    """Return the bound of a difference on the side of `end` (−1 or 1), of error rate `level`."""
    from scipy.special import ndtri

    inside, outside = difference, end
    for _ in range(ranking.HALVINGS):
        middle = (inside + outside) / 2
        reach = -float(ndtri(level)) * ranking.spread_of_difference(of, middle)
        near = abs(difference - middle) < reach
        inside, outside = (middle, outside) if near else (inside, middle)
    return outside


def area(found: Ranked) -> Ranking:
    """Return the student's area. Errors as `evaluation.ranking.ranking`."""
    return ranking.ranking([found.scores["student"]], found.positive)


def areas(found: Ranked, other: str) -> Ranking:
    """Return the student's area and another model's. Errors as `area`."""
    return ranking.ranking([found.scores["student"], found.scores[other]], found.positive)


def more_rows(rows: int, away: float, reach: float) -> int | None:
    """Return about how many rows would decide, since intervals shrink with the root of the rows;
    None if no number of them would.
    """
    if abs(away) * MOST_ROWS**0.5 <= reach * rows**0.5:
        return None
    return max(rows + 1, int(np.ceil(rows * (reach / abs(away)) ** 2)))
