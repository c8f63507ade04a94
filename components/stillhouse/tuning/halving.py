"""Successive halving: trials that are behind early are dropped, and their steps are saved.

Source:
    Jamieson and Talwalkar 2016, arXiv:1502.07943, figure 3, with shares of a training's steps as
    the budget.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from stillhouse.tuning.objectives import Trial, choose

Inside = Annotated[float, Interval(gt=0, lt=1)]


@dataclass(frozen=True)
class Halving:
    """When trials are looked at before their end, and how many go on.

    Attributes:
        first: Share of the steps after which a round's trials are first compared on val.
        keep: Share of them that goes on, at least one; the next look is after 1 / `keep` times as
            many steps.
    """

    first: Inside = 0.25
    keep: Inside = 0.25

    @property
    def rungs(self) -> tuple[float, ...]:
        """The shares of the steps at which trials are dropped, all below 1."""
        return tuple(self._rungs())

    def _rungs(self) -> Iterator[float]:
        share = self.first
        while share < 1 - 1e-9:
            yield share
            share /= self.keep

    def survivors(
        self, reached: Mapping[int, Mapping[str, float]], objectives: Sequence[str]
    ) -> list[int]:
        """Return the numbers of the trials that go on, in order.

        Args:
            reached: What each trial came to so far, by number.
            objectives: What is aimed at.
        """
        left = [Trial(number, {}, values, "") for number, values in sorted(reached.items())]
        wanted, kept = max(1, math.ceil(self.keep * len(left))), list[int]()
        while left and len(kept) < wanted:
            best = choose(left, objectives)
            if best is None:
                break
            kept.append(best.number)
            left.remove(best)
        return sorted(kept)
