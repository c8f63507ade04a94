"""A verdict on all rows from some of them: what rules under attack ask for before a suite starts,
and what the gate makes of a suite that was not worth its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.evaluation import intervals
from stillhouse.evaluation.sequential import Foresight
from stillhouse.gating.evidence import Partly
from stillhouse.gating.metrics import NORMS
from stillhouse.gating.rule import Rule
from stillhouse.gating.shares import ShareTest


@dataclass(frozen=True)
class ForeseenTest:
    """Whether the test on all N rows will fail, from some of them in random order.

    A pass is never foreseen here: attacks that were not made could only lower the count.

    Attributes:
        of: What was seen.
        bound: The share of rows that is asked for.
        level: At which the fixed-n test would be judged, decided before anything was seen.
    """

    of: Partly
    bound: float
    level: float

    @property
    def most(self) -> int:
        """The fixed-n test fails where at most so many of the N rows are right."""
        return most_failing(self.of.total, self.bound, self.level)

    @property
    def fails(self) -> bool:
        """Whether that is foreseen."""
        seen, right = len(self.of.right), int(self.of.right.sum())
        return Foresight(self.of.total, self.most + 1, self.of.delta).verdict(seen, right) == "fail"

    @property
    def met(self) -> float:
        """P-value of "the bound is missed": nothing can show that here."""
        return 1.0

    @property
    def missed(self) -> float:
        """P-value of "the bound is met" on all rows, at the best that is not yet excluded."""
        return _fixed(self.most, self.of.total, self.bound).missed if self.fails else 1.0

    @property
    def rows(self) -> int:
        """Rows that were looked at."""
        return len(self.of.right)

    @property
    def discordant(self) -> None:
        """No other model is involved."""
        return None

    def interval(self, level: float) -> tuple[float, float]:
        """Return (0, the bound of the best that is not yet excluded): dearer attacks could only
        lower what was seen.
        """
        most = self.most if self.fails else self.of.total
        return 0.0, intervals.upper(most, self.of.total, level)

    def power(self, level: float) -> None:  # noqa: ARG002
        """Return nothing: there is no equal student to speak of."""
        return None

    def rows_needed(self, level: float) -> int:  # noqa: ARG002
        """Return all rows: they were not all looked at."""
        return self.of.total


def most_failing(total: int, bound: float, level: float) -> int:
    """Return the most right rows of `total` at which a share fails to reach `bound`; −1 where even
    none right would not show it.

    Example:
        >>> most_failing(1000, 0.6, 0.05)
        573
    """
    low, high = -1, total + 1
    while high - low > 1:
        middle = (low + high) // 2
        fails = _fixed(middle, total, bound).missed <= level
        low, high = (middle, high) if fails else (low, middle)
    return low


def _fixed(right: int, total: int, bound: float) -> ShareTest:
    return ShareTest(right, total, bound, ">=")


def asked_under_attack(rules: Sequence[Rule], alpha: float) -> dict[str, tuple[float, float]]:
    """Return, by norm, the highest bound that a deciding rule sets under attack, and the level at
    which it is judged at the least.

    Args:
        rules: Of the gate.
        alpha: Over all of them; Holm judges each at least at its share.
    """
    deciding = [rule for rule in rules if rule.gates and not rule.guards]
    found: dict[str, tuple[float, float]] = {}
    for rule in deciding:
        family, _, rest = rule.metric.partition("/")
        norm = rest.partition("/")[0]
        if family == "robust" and norm in NORMS and rule.floor is not None:
            best = max(rule.floor, found.get(norm, (0.0, 0.0))[0])
            found[norm] = (best, alpha / len(deciding))
    return found
