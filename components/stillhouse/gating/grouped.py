"""A bound on the worst of several groups of rows, such as classes or slices: it holds only if it
holds in every one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from numpy import bool_
from numpy.typing import NDArray

from stillhouse.gating.rule import Direction
from stillhouse.gating.shares import ShareTest


@dataclass(frozen=True)
class GroupsTest:
    """Whether a share reaches a bound in every group.

    That all do is shown where each group shows it by itself, at the full level: an
    intersection-union test, which needs no correction. That some does not is looked for in G
    groups, and therefore judged at the G-th part of the level.

    Attributes:
        of: A test a group, by name; at least one.
        direction: Of all of them.

    Source:
        Berger 1982, Technometrics 24 (intersection-union tests); Bonferroni for the other side.
    """

    of: Mapping[str, ShareTest]
    direction: Direction

    @property
    def worst(self) -> str:
        """The group that is furthest on the wrong side of its bound, as observed; of equal ones the
        one with most rows.
        """
        sign = 1 if self.direction == ">=" else -1

        def beyond(name: str) -> tuple[float, int, str]:
            test = self.of[name]
            return sign * (share(test) - test.bound), -test.n, name

        return min(self.of, key=beyond)

    @property
    def observed(self) -> float:
        """The worst group's share."""
        return share(self.of[self.worst])

    @property
    def met(self) -> float:
        """P-value of "some group misses the bound"."""
        return max(test.met for test in self.of.values())

    @property
    def missed(self) -> float:
        """P-value of "every group meets the bound"."""
        return min(1.0, len(self.of) * min(test.missed for test in self.of.values()))

    @property
    def rows(self) -> int:
        """Of the groups together; one that is in two counts twice."""
        return sum(test.n for test in self.of.values())

    @property
    def discordant(self) -> None:
        """No other model is involved."""
        return None

    def interval(self, level: float) -> tuple[float, float]:
        """Return bounds of the worst group's share: each end is the worst of the groups' own; where
        each has a bound of its own, those of the group that is worst.
        """
        if len({test.bound for test in self.of.values()}) > 1:
            return self.of[self.worst].interval(level / len(self.of))
        bounds = [
            (test.interval(level), test.interval(level / len(self.of))) for test in self.of.values()
        ]
        if self.direction == ">=":
            return min(own[0] for own, _ in bounds), min(all_[1] for _, all_ in bounds)
        return max(all_[0] for _, all_ in bounds), max(own[1] for own, _ in bounds)

    def power(self, level: float) -> None:  # noqa: ARG002
        """Return nothing: there is no equal student to speak of."""
        return None

    def rows_needed(self, level: float) -> int | None:
        """Return about the rows of all groups at which the one in doubt would be decided."""
        name = max(self.of, key=lambda each: self.of[each].met)
        needed = self.of[name].rows_needed(level)
        return None if needed is None else round(self.rows * needed / self.of[name].n)


def share(test: ShareTest) -> float:
    """Return what was observed."""
    return test.successes / test.n


def grouped(
    outcomes: Mapping[str, NDArray[bool_]], bound: float, direction: Direction
) -> GroupsTest:
    """Return the test of groups [N of each], each with at least one row."""
    return GroupsTest(
        {
            name: ShareTest(int(right.sum()), len(right), bound, direction)
            for name, right in outcomes.items()
        },
        direction,
    )
