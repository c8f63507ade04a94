"""The gate tried on itself, in every run: an A/A replay, in which two equal models are compared on
the run's own rows, and a planted regression, which has to be found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stillhouse.evaluation.paired import Pairs
from stillhouse.gating import matched
from stillhouse.gating.frozen import BothTest
from stillhouse.gating.matched import MatchedTest
from stillhouse.gating.rule import Test
from stillhouse.gating.shares import ShareTest

PLANTED = 0.01  # one point beyond what the rule allows


@dataclass(frozen=True)
class Audited:
    """What a rule does to students that are known.

    Attributes:
        kind: `equal`: two equal models by the run's own discordant rows; `bound`: a student that is
            exactly at the bound.
        passes: How often it passes.
        fails: How often it fails; of an equal student that is a false alarm.
        planted: How far the planted student lies beyond the bound, as a share.
        found: How often that one does not pass.
    """

    kind: Literal["equal", "bound"]
    passes: float
    fails: float
    planted: float
    found: float


def audit(test: Test | None, level: float) -> Audited | None:
    """Return how a rule behaves at this number of rows and this level; None where it cannot be told
    exactly.
    """
    if isinstance(test, BothTest):
        return audit(test.binding, level)
    if isinstance(test, MatchedTest):
        return _pairs(test, level)
    if isinstance(test, ShareTest) and 0 < test.bound < 1:
        return _share(test, level)
    return None


def _pairs(test: MatchedTest, level: float) -> Audited:
    """In the A/A replay each discordant row may as well have fallen to the other model: every way
    in which they can fall is gone through, weighted, so that nothing is drawn.
    """
    from scipy.special import bdtr, bdtrc

    n, d = test.pairs.n, test.pairs.discordant
    fewest = _first(d, lambda won: MatchedTest(Pairs(d - won, won, n), test.margin).met <= level)
    open_ = _first(d, lambda won: MatchedTest(Pairs(d - won, won, n), test.margin).missed > level)
    passes = 1.0 if fewest == 0 else 0.0 if fewest > d else float(bdtrc(fewest - 1, d, 0.5))
    fails = 0.0 if open_ == 0 else float(bdtr(open_ - 1, d, 0.5))
    rate, loss = matched.discordance(test.pairs), test.margin + PLANTED
    passed = matched.power(n, min(rate + abs(loss), 1.0), test.margin, level, -loss)
    return Audited("equal", passes, fails, PLANTED, 1 - passed)


def _share(test: ShareTest, level: float) -> Audited:
    """A student at the bound itself may pass at the level and no more."""
    turned = test.direction == "<="
    passes, fails = _chances(test, test.bound, level)
    beyond = test.bound + (PLANTED if turned else -PLANTED)
    found = 1 - _chances(test, min(max(beyond, 0.0), 1.0), level)[0]
    return Audited("bound", passes, fails, PLANTED, found)


def _chances(test: ShareTest, truth: float, level: float) -> tuple[float, float]:
    """Return how often a student passes and fails whose share in the population is `truth`."""
    from scipy.special import bdtr, bdtrc

    n, turned = test.n, test.direction == "<="

    def counted(successes: int) -> ShareTest:
        return ShareTest(successes, n, test.bound, test.direction)

    above = _first(n, lambda k: (counted(k).missed if turned else counted(k).met) <= level)
    below = _first(n, lambda k: (counted(k).met if turned else counted(k).missed) > level)
    high = 0.0 if above > n else 1.0 if above == 0 else float(bdtrc(above - 1, n, truth))
    low = 0.0 if below == 0 else float(bdtr(below - 1, n, truth))
    return (low, high) if turned else (high, low)


def _first(most: int, holds: Callable[[int], bool]) -> int:
    """Return the least of 0 … most for which a monotone condition holds; most + 1 if none."""
    low, high = -1, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
