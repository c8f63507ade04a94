import itertools
import math

import numpy as np
import pytest

from stillhouse.errors import DataError
from stillhouse.evaluation import paired
from stillhouse.evaluation.paired import Pairs
from stillhouse.evaluation.sequential_pairs import PairedForesight

SMALL = PairedForesight(9, 0.5, 0.2, 0.05)


def orders(lost, won, total):
    """Every order of so many losses and wins among all rows, as (−1, 0, 1)."""
    for places in itertools.permutations(range(total), lost + won):
        if list(places[:lost]) == sorted(places[:lost]) and list(places[lost:]) == sorted(
            places[lost:]
        ):
            order = [0] * total
            for at in places[:lost]:
                order[at] = -1
            for at in places[lost:]:
                order[at] = 1
            yield order


def counted(order, seen):
    return Pairs(order[:seen].count(-1), order[:seen].count(1), seen)


def test_over_every_order_evidence_is_a_fair_bet_against_each_null():
    for lost, won in ((2, 0), (1, 1), (3, 1), (0, 3)):
        passes = paired.p_value(Pairs(lost, won, 9), -0.5) <= 0.2
        drawn = list(orders(lost, won, 9))
        for seen in (3, 7):
            means = np.mean(
                [[math.exp(e) for e in SMALL.evidence(counted(o, seen))] for o in drawn], axis=0
            )
            assert means[1 if passes else 0] <= 1 + 1e-9


def test_it_knows_after_the_last_row_and_never_says_both():
    for lost, won in itertools.product(range(4), range(4)):
        told = SMALL.verdict(Pairs(lost, won, 9))
        assert told == ("pass" if paired.p_value(Pairs(lost, won, 9), -0.5) <= 0.2 else "not")
    passing, failing = SMALL.evidence(Pairs(1, 2, 6))
    assert min(passing, failing) <= 0


def drawn(lost, won, total, rng):
    return rng.permutation(np.repeat([-1, 1, 0], [lost, won, total - lost - won]))


@pytest.mark.parametrize(("lost", "won", "said"), [(2, 25, "pass"), (30, 5, "not")])
def test_a_plain_case_is_settled_long_before_the_end(lost, won, said):
    foresight, rng, stopped = PairedForesight(400, 0.03, 0.05), np.random.default_rng(0), []
    for _ in range(5):
        order = drawn(lost, won, 400, rng).tolist()
        for seen in range(50, 401, 50):
            if (told := foresight.verdict(counted(order, seen))) is not None:
                assert told == said
                stopped.append(seen)
                break
    assert np.mean(stopped) < 350


def test_where_one_row_decides_it_is_foreseen_wrongly_in_at_most_delta_of_orders():
    foresight, rng = PairedForesight(200, 0.03, 0.05, 0.1), np.random.default_rng(1)
    lost, won = next(
        (20 - w, w)
        for w in range(20, -1, -1)
        if paired.p_value(Pairs(20 - w, w, 200), -0.03) > 0.05
    )
    wrong = 0
    for _ in range(40):
        order = drawn(lost, won, 200, rng).tolist()
        told = (foresight.verdict(counted(order, seen)) for seen in range(40, 201, 40))
        wrong += next(one for one in told if one is not None) == "pass"
    assert wrong <= 40 * 0.1 + 3 * (40 * 0.1 * 0.9) ** 0.5


def test_more_rows_than_there_are_are_no_count():
    with pytest.raises(DataError, match="no count"):
        SMALL.evidence(Pairs(1, 1, 10))
    with pytest.raises(DataError, match="nothing to foresee"):
        PairedForesight(10, 0.0, 0.05, 0.0)
