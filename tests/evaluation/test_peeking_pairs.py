import itertools
from functools import cache

import numpy as np
import pytest

from stillhouse.evaluation import paired
from stillhouse.evaluation.paired import Pairs
from stillhouse.evaluation.peeking_pairs import peeking, settled
from stillhouse.evaluation.sequential_pairs import PairedForesight


class Hasty(PairedForesight):
    """Stops at the first batch that is good by itself: who has no right to δ."""

    def verdict(self, seen):
        passes = paired.p_value(seen, -self.margin) <= self.level
        return "pass" if passes else "not" if seen.n == self.total else None


@cache
def asked(foresight, lost, won, seen):
    return foresight.verdict(Pairs(lost, won, seen))


def told(foresight, order, looks):
    for seen in looks:
        part = order[:seen]
        verdict = asked(foresight, part.count(-1), part.count(1), seen)
        if verdict is not None:
            return verdict
    raise AssertionError("after the last row it knows")


@pytest.mark.parametrize("looks", [[1, 2, 3, 4, 5, 6, 7], [3, 7]])
def test_the_walk_agrees_with_every_order_written_down(looks):
    hasty = Hasty(7, 0.3, 0.3)
    found, both = settled(hasty, looks, 7), 0
    for lost, won in ((0, 0), (1, 1), (2, 1), (1, 3), (3, 2)):
        rows = [-1] * lost + [1] * won + [0] * (7 - lost - won)
        orders = set(itertools.permutations(rows))
        passes = np.mean([told(hasty, order, looks) == "pass" for order in orders])
        assert found.among(lost, won) == pytest.approx((passes, 1 - passes), abs=1e-12)
        both += 0 < passes < 1
    assert both  # told both ways, so that there is something to agree on


def test_it_agrees_with_orders_that_are_drawn():
    foresight, rng = PairedForesight(24, 0.1, 0.05, 0.2), np.random.default_rng(0)
    looks = list(range(6, 25, 6))
    found = settled(foresight, looks, 6)
    rows = np.repeat([-1, 1, 0], [2, 4, 18])
    count = 400
    drawn = [told(foresight, rng.permutation(rows).tolist(), looks) for _ in range(count)]
    passes, fails = found.among(2, 4)
    assert passes + fails == pytest.approx(1)
    assert abs(drawn.count("pass") / count - passes) < 3.5 * (passes * fails / count) ** 0.5 + 1e-9


@pytest.mark.parametrize(
    ("total", "margin", "level", "delta"),
    [(12, 0.2, 0.1, 0.1), (12, 0.0, 0.1, 0.05), (10, 0.3, 0.2, 0.3), (10, -0.1, 0.2, 0.2)],
)
def test_looking_after_every_row_changes_at_most_delta_of_any_set(total, margin, level, delta):
    found = peeking(PairedForesight(total, margin, level, delta))
    assert 0 <= found.changed <= delta
    assert found.fixed <= level
    assert found.passes <= level + delta


def test_who_stops_at_the_first_good_batch_is_caught():
    found = peeking(Hasty(12, 0.2, 0.1, 0.1))
    assert found.changed > 0.3
    assert found.passes > found.fixed + 0.02


def test_where_a_loss_less_does_not_lower_the_p_value_it_still_holds():
    """Two rows of this test are ordered against the proof's wish: with 3 lost and 4 won it passes,
    with 2 lost and 4 won it does not. Foresight from neighbours alone took the second for sure.
    """
    fewer, more = (paired.p_value(Pairs(lost, 4, 12), 0.0) for lost in (2, 3))
    assert more <= 0.86 < fewer
    assert peeking(PairedForesight(12, 0.0, 0.86, 0.3)).changed <= 0.3


def test_what_is_not_followed_counts_as_passed():
    foresight = PairedForesight(10, 0.2, 0.1, 0.1)
    part, whole = peeking(foresight, most=4, rates=9), peeking(foresight, rates=9)
    assert part.most == 4
    assert part.changed <= whole.changed
    assert part.passes >= whole.passes
