"""The champion's own test rows beside today's: rows that came since may not decide alone whether it
is replaced, for whoever brings the data would choose them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy import bool_
from numpy.typing import NDArray

from stillhouse.gating.evidence import Errors, Groups, Measured, Ranked, Rows
from stillhouse.gating.rule import Asked, Test


@dataclass(frozen=True)
class BothTest:
    """Two tests of the same bound, on all of today's rows and on the frozen ones; both have to be
    passed.

    Attributes:
        today: On all rows.
        frozen: On those that the champion was tested on.
    """

    today: Test
    frozen: Test

    @property
    def binding(self) -> Test:
        """The one that is further from passing."""
        return self.frozen if self.frozen.met > self.today.met else self.today

    @property
    def met(self) -> float:
        """P-value of "the bound is missed on one of them" (intersection-union)."""
        return self.binding.met

    @property
    def missed(self) -> float:
        """P-value of "the bound is met on both", corrected for asking twice."""
        return min(1.0, 2 * min(self.today.missed, self.frozen.missed))

    @property
    def rows(self) -> int:
        """Of the binding test."""
        return self.binding.rows

    @property
    def discordant(self) -> tuple[int, int] | None:
        """Of the binding test."""
        return self.binding.discordant

    def interval(self, level: float) -> tuple[float, float]:
        """Return that of the binding test."""
        return self.binding.interval(level)

    def rows_needed(self, level: float) -> int | None:
        """Return that of the binding test."""
        return self.binding.rows_needed(level)

    def power(self, level: float) -> float | None:
        """Return that of the test with fewer rows."""
        return self.frozen.power(level)


def both(today: Asked, frozen: Asked, champion: str | None) -> Asked:
    """Return the question on both sets of rows; observed and bound are those of the binding one."""
    if today.test is None or frozen.test is None:
        return today
    test = BothTest(today.test, frozen.test)
    if test.binding is not frozen.test:
        return replace(today, test=test)
    rows = f"the rows that {champion} was tested on"
    return replace(frozen, test=test, about=f"{frozen.about} of {rows}" if frozen.about else rows)


def restricted(found: Measured, rows: NDArray[bool_]) -> Measured | None:
    """Return what was measured on some of the rows [N]; None of what cannot be told by row."""
    if isinstance(found, Rows) and all(len(own) == len(rows) for own in found.outcomes.values()):
        return Rows({who: own[rows] for who, own in found.outcomes.items()})
    if isinstance(found, Errors):
        return Errors({who: own[rows] for who, own in found.by_row.items()}, found.unit, found.root)
    if isinstance(found, Ranked) and len(found.positive) == len(rows):
        inside = {who: own[rows] for who, own in found.scores.items()}
        return Ranked(inside, found.positive[rows])
    if isinstance(found, Groups) and found.inside:
        kept = {name: own[rows[found.inside[name]]] for name, own in found.outcomes.items()}
        left = {name: own for name, own in kept.items() if len(own)}
        return Groups(left) if left else None
    return None


def frozen_rows(keys: Sequence[str], before: Collection[str]) -> NDArray[bool_] | None:
    """Return which of today's rows [N] the champion was tested on; None where all of them are.

    Args:
        keys: Of today's test rows, N.
        before: Of the champion's.
    """
    known = set(before)
    inside = np.array([key in known for key in keys], dtype=bool)
    return None if inside.all() else inside
