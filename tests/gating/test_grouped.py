import numpy as np
import pytest

from stillhouse.evaluation import intervals
from stillhouse.gating.grouped import grouped


def rows(right, n):
    return np.arange(n) < right


def test_a_bound_holds_only_if_every_group_shows_it_by_itself():
    found = grouped({"a": rows(98, 100), "b": rows(60, 100)}, 0.9, ">=")
    assert (found.worst, found.observed) == ("b", 0.6)
    assert found.met == found.of["b"].met
    assert found.missed == 2 * found.of["b"].missed
    good = grouped({"a": rows(98, 100), "b": rows(99, 100)}, 0.9, ">=")
    assert good.met == good.of["a"].met < 0.01


def test_at_most_is_the_mirror():
    found = grouped({"a": rows(1, 100), "b": rows(9, 100)}, 0.05, "<=")
    assert (found.worst, found.met) == ("b", found.of["b"].met)
    low, high = found.interval(0.05)
    assert high == pytest.approx(intervals.upper(9, 100, 0.05))
    assert low == pytest.approx(intervals.lower(9, 100, 0.025))


def test_where_every_group_is_at_its_bound_one_is_called_missed_in_at_most_its_level():
    rng = np.random.default_rng(0)
    missed = passed = 0
    for _ in range(200):
        found = grouped({str(g): rng.random(60) < 0.9 for g in range(6)}, 0.9, ">=")
        missed += found.missed <= 0.05
        passed += found.met <= 0.05
    assert missed <= 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5
    assert passed <= 200 * 0.05


def test_more_rows_are_asked_for_where_the_group_in_doubt_is_small():
    found = grouped({"a": rows(980, 1000), "b": rows(19, 20)}, 0.9, ">=")
    assert found.rows_needed(0.05) > 1020
