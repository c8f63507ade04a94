"""A bound on the difference to another model on the same rows: exact non-inferiority, its power,
and the margin that the rows can afford.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stillhouse.evaluation import paired
from stillhouse.evaluation.paired import Pairs
from stillhouse.gating.shares import MOST_ROWS

POWER = 0.8  # of an equal student, at the margin that is chosen where none is set
STEP = 1e-4  # margins are chosen to a hundredth of a point, upwards
# cells of the nuisance where only a forecast hangs on them: a little pessimistic, much faster
COARSE = 96
SPAN = (
    3.0  # standard deviations of the number of discordant rows that a forecast looks at one by one
)


@dataclass(frozen=True)
class MatchedTest:
    """Whether accuracy of the student − accuracy of the other is above −margin in the population.

    Attributes:
        pairs: The rows.
        margin: In [−1, 1]; negative: a gain is demanded.
    """

    pairs: Pairs
    margin: float

    @property
    def met(self) -> float:
        """P-value of "the difference is −margin or less"."""
        return paired.p_value(self.pairs, -self.margin)

    @property
    def missed(self) -> float:
        """P-value of "the difference is −margin or more"."""
        return paired.p_value(self.pairs.swapped, self.margin)

    @property
    def rows(self) -> int:
        """N."""
        return self.pairs.n

    @property
    def discordant(self) -> tuple[int, int]:
        """Rows that were lost, and rows that were won."""
        return self.pairs.lost, self.pairs.won

    def interval(self, level: float) -> tuple[float, float]:
        """Return the exact bounds of the difference, each of error rate `level`."""
        return paired.lower_bound(self.pairs, level), paired.upper_bound(self.pairs, level)

    def power(self, level: float) -> float:
        """Return how often an equal student with as many discordant rows would pass."""
        return power(self.pairs.n, discordance(self.pairs), self.margin, level)

    def rows_needed(self, level: float) -> int | None:
        """Return the rows at which the observed rates would pass or fail; None if no number of them
        would.

        The score says how many, since it grows with the root of the rows; up to 20,000 rows the
        exact test has the last word.
        """
        from scipy.special import ndtri

        seen = abs(float(paired.score(self.pairs.lost, self.pairs.won, self.pairs.n, -self.margin)))
        if seen < 1e-6 or self.pairs.n * (ndtri(level) / seen) ** 2 > MOST_ROWS:
            return None
        rows = max(self.pairs.n + 1, int(np.ceil(self.pairs.n * (ndtri(level) / seen) ** 2)))
        for _ in range(40):
            if rows > 20_000 or self._decided(rows, level):
                break
            rows = int(np.ceil(rows * 1.02)) + 1
        return rows

    def _decided(self, n: int, level: float) -> bool:
        share = n / self.pairs.n
        more = MatchedTest(
            Pairs(round(self.pairs.lost * share), round(self.pairs.won * share), n), self.margin
        )
        return more.met <= level or more.missed <= level


def discordance(of: Pairs) -> float:
    """Return the rate of discordant rows that power and margin assume: the observed one, at least
    one row.
    """
    return max(of.discordant, 1) / of.n


def wins_needed(n: int, discordant: int, margin: float, level: float) -> int:
    """Return the fewest wins among `discordant` rows that pass; discordant + 1 if none do."""
    from scipy.special import ndtri

    def passes(won: int) -> bool:
        return paired.p_value(Pairs(discordant - won, won, n), -margin, COARSE) <= level

    won = int(paired.critical(n, -margin, float(-ndtri(level)))[discordant])
    while won > 0 and passes(won - 1):
        won -= 1
    while won <= discordant and not passes(won):
        won += 1
    return won


@lru_cache(maxsize=256)
def power(n: int, rate: float, margin: float, level: float, difference: float = 0.0) -> float:
    """Return the probability that an equal student passes, or one that differs by as much as is
    said.

    The exact test needs a few wins more than the score alone. How many is found for each number of
    discordant rows that may well occur; where there are many such numbers, for some of them, and
    rounded up in between.

    Args:
        n: Rows.
        rate: Share of discordant rows, half of them lost by an equal student.
        margin: As in the rule.
        level: Of the test.
        difference: The student's accuracy − the other's in the population, at most `rate` away
            from 0.
    """
    from scipy.special import ndtri

    wins = paired.critical(n, -margin, float(-ndtri(level)))
    reach = SPAN * (n * rate * (1 - rate)) ** 0.5 + 1
    least, most = max(n * rate - reach, 0.0), min(n * rate + reach, float(n))
    at = np.unique(np.rint(np.linspace(least, most, 25 if n <= 2000 else 5)).astype(int))
    more = [wins_needed(n, int(d), margin, level) - int(wins[d]) for d in at]
    d = np.arange(n + 1)
    exact = np.clip(wins + np.ceil(np.interp(d, at, more) - 1e-9).astype(np.int64), 0, d + 1)
    return float(paired.mass(exact, n, np.array([rate]), np.array([difference]))[0])


def affordable_margin(of: Pairs, level: float) -> float:
    """Return the smallest margin, in hundredths of a point, at which an equal student passes in at
    least 80 % of such test sets.

    The rate of discordant rows is the observed one. Looking at it is allowed: the bound that is
    compared with −margin holds for every margin at once.
    """
    from scipy.special import ndtri

    rate, low, high = discordance(of), 0, round(1 / STEP)
    while high - low > 1:
        middle = (low + high) // 2
        wins = paired.critical(of.n, -middle * STEP, float(-ndtri(level)))
        enough = float(paired.mass(wins, of.n, np.array([rate]), np.zeros(1))[0]) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    while high * STEP < 1 and power(of.n, rate, round(high * STEP, 4), level) < POWER:
        high += max(1, high // 100)
    return min(round(high * STEP, 4), 1.0)
