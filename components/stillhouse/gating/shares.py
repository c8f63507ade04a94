"""An absolute bound on a share of rows: the exact binomial test."""

from dataclasses import dataclass

from stillhouse.evaluation import intervals
from stillhouse.gating.rule import Direction

MOST_ROWS = 10_000_000  # more than anybody will collect: "no number of rows would decide"


@dataclass(frozen=True)
class ShareTest:
    """Whether a share of the population reaches a bound, from `successes` of `n` rows.

    Pass and interval are the same statement: the p-value is at most the level exactly where the
        Clopper-Pearson bound of that level reaches `bound`.

    Attributes:
        successes: Rows that count.
        n: All rows.
        bound: A share, in [0, 1].
        direction: Whether at least or at most the bound is asked for.
    """

    successes: int
    n: int
    bound: float
    direction: Direction

    @property
    def met(self) -> float:
        """P-value of "the bound is missed"; 0 where no share could miss it."""
        if (self.bound <= 0) if self.direction == ">=" else (self.bound >= 1):
            return 0.0
        return self._above() if self.direction == ">=" else self._below()

    @property
    def missed(self) -> float:
        """P-value of "the bound is met"."""
        return self._below() if self.direction == ">=" else self._above()

    def _above(self) -> float:
        from scipy.special import bdtrc

        return 1.0 if self.successes == 0 else float(bdtrc(self.successes - 1, self.n, self.bound))

    def _below(self) -> float:
        from scipy.special import bdtr

        return 1.0 if self.successes == self.n else float(bdtr(self.successes, self.n, self.bound))

    @property
    def rows(self) -> int:
        """N."""
        return self.n

    @property
    def discordant(self) -> None:
        """No other model is involved."""
        return None

    def interval(self, level: float) -> tuple[float, float]:
        """Return the Clopper-Pearson bounds, each of error rate `level`."""
        return intervals.lower(self.successes, self.n, level), intervals.upper(
            self.successes, self.n, level
        )

    def power(self, level: float) -> None:  # noqa: ARG002
        """Return nothing: there is no equal student to speak of."""
        return None

    def rows_needed(self, level: float) -> int | None:
        """Return the rows at which the observed share would pass or fail; None if no number of them
        would.
        """
        low, high = self.n, self.n
        while not self._decided(high, level):
            low, high = high, 2 * high
            if high > MOST_ROWS:
                return None
        while high - low > max(1, high // 200):
            middle = (low + high) // 2
            low, high = (low, middle) if self._decided(middle, level) else (middle, high)
        return high

    def _decided(self, n: int, level: float) -> bool:
        more = ShareTest(round(self.successes * n / self.n), n, self.bound, self.direction)
        return more.met <= level or more.missed <= level
