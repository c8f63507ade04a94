"""A comparison of two models whose verdict on all rows was settled by some of them."""

from dataclasses import dataclass

from stillhouse.evaluation import paired
from stillhouse.evaluation.paired import Pairs, pairs
from stillhouse.gating.evidence import Settled


@dataclass(frozen=True)
class SettledTest:
    """What the exact test of non-inferiority on all N rows is foreseen to say.

    It speaks at the level at which it was foreseen, the strictest that Holm could have judged it
    at: where the other rules would have left it more, it may pass less often, never more.

    Attributes:
        of: What was seen.
    """

    of: Settled

    @property
    def pairs(self) -> Pairs:
        """The rows that were looked at."""
        return pairs(self.of.outcomes["student"], self.of.outcomes["champion"])

    @property
    def seen(self) -> str:
        """Which rows those are, in words."""
        return (
            f"the first {self.rows:,} of {self.of.total:,} rows, in random order; the verdict on "
            f"all is foreseen, wrongly in at most {self.of.delta:.2g} of runs"
        )

    @property
    def met(self) -> float:
        """P-value of "the difference is −margin or less": the level, where it passes there."""
        return self.of.level if self.of.passes else 1.0

    @property
    def missed(self) -> float:
        """P-value of "the difference is −margin or more": that it does not pass shows nothing."""
        return 1.0

    @property
    def rows(self) -> int:
        """Rows that were looked at."""
        return self.pairs.n

    @property
    def discordant(self) -> tuple[int, int]:
        """Rows that were lost, and rows that were won, among them."""
        return self.pairs.lost, self.pairs.won

    def interval(self, level: float) -> tuple[float, float]:
        """Return the bounds that hold however the rows end that were not looked at: all of them
        lost, all of them won; where it passes the difference is above −margin.
        """
        lost, won, left = *self.discordant, self.of.total - self.rows
        low = paired.lower_bound(Pairs(lost + left, won, self.of.total), level)
        high = paired.upper_bound(Pairs(lost, won + left, self.of.total), level)
        return max(low, -self.of.margin) if self.of.passes else low, high

    def power(self, level: float) -> None:  # noqa: ARG002
        """Return nothing: not all rows were looked at."""
        return None

    def rows_needed(self, level: float) -> None:  # noqa: ARG002
        """Return nothing: more of these rows would not decide, which is what was foreseen."""
        return None
