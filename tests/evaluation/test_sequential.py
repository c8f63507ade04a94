import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import DataError
from stillhouse.evaluation import intervals
from stillhouse.evaluation.sequential import (
    Foresight,
    course,
    least_passing,
    peeking,
    verdicts,
)


@pytest.mark.parametrize(("total", "bound", "alpha"), [(50, 0.8, 0.05), (574, 0.9, 0.0125)])
def test_the_least_that_passes_reaches_the_bound_and_one_row_fewer_does_not(total, bound, alpha):
    least = least_passing(total, bound, alpha)
    assert intervals.lower(least, total, alpha) >= bound
    assert intervals.lower(least - 1, total, alpha) < bound


def test_a_bound_that_not_even_all_rows_reach_has_no_least():
    assert least_passing(10, 0.95, 0.05) == 11
    assert Foresight(10, 11).verdict(0, 0) == "fail"


@given(
    total=st.integers(1, 60),
    data=st.data(),
    delta=st.sampled_from([0.2, 0.05, 0.01]),
)
@settings(max_examples=60, deadline=None)
def test_after_the_last_row_it_says_what_the_fixed_test_says(total, data, delta):
    least = data.draw(st.integers(0, total + 1))
    right = data.draw(st.integers(0, total))
    wanted = "pass" if right >= least else "fail"
    assert Foresight(total, least, delta).verdict(total, right) == wanted


def test_by_every_order_of_eight_rows_evidence_is_a_fair_bet_against_the_worst_null():
    # K = least − 1 right rows: over all orders the mean of E after n rows is at most 1
    foresight, right = Foresight(8, 5, 0.05), 4
    orders = list(itertools.combinations(range(8), right))
    for seen in range(8):
        mean = sum(
            math.exp(foresight.evidence(seen, sum(at < seen for at in order))[0])
            for order in orders
        ) / len(orders)
        assert mean <= 1 + 1e-9


@pytest.mark.parametrize("delta", [0.05, 0.01])
def test_where_the_fixed_test_is_a_row_from_the_other_verdict_it_errs_at_most_delta(delta):
    least = least_passing(200, 0.6, 0.05)
    foresight = Foresight(200, least, delta)
    assert 0 < course(foresight, least - 1).passes <= delta
    assert 0 < course(foresight, least).fails <= delta


def test_the_course_of_all_orders_is_what_drawing_them_one_by_one_gives():
    foresight, right, total = Foresight(7, 4, 0.3), 5, 7
    ends = {"pass": 0, "fail": 0}
    rows = 0
    orders = list(itertools.combinations(range(total), right))
    for order in orders:
        for seen in range(1, total + 1):
            said = foresight.verdict(seen, sum(at < seen for at in order))
            if said is not None:
                ends[said], rows = ends[said] + 1, rows + seen
                break
    found = course(foresight, right)
    assert found.passes == pytest.approx(ends["pass"] / len(orders))
    assert found.fails == pytest.approx(ends["fail"] / len(orders))
    assert found.rows == pytest.approx(rows / len(orders))


def test_rows_that_can_no_longer_matter_are_not_looked_at():
    foresight = Foresight(100, 60, 1e-9)
    assert foresight.verdict(60, 60) == "pass"
    assert foresight.verdict(41, 0) == "fail"
    assert foresight.verdict(1, 1) is None


def test_the_limits_are_where_the_verdict_turns():
    foresight = Foresight(120, 80, 0.05)
    for seen in (0, 10, 60, 119):
        fewest, most = foresight.limits(seen)
        said = [foresight.verdict(seen, right) for right in range(seen + 1)]
        assert said == [
            "fail" if r <= most else "pass" if r >= fewest else None for r in range(seen + 1)
        ]


def test_the_goals_of_a_thousand_rows_and_a_bound_of_sixty_per_cent_are_kept():
    foresight = Foresight(1000, least_passing(1000, 0.6, 0.05), 0.01)
    for truly, rows in ((700, 400), (500, 160), (800, 110)):
        assert course(foresight, truly, every=10).rows <= rows


@pytest.mark.parametrize(("seen", "right"), [(5, 6), (11, 3), (3, -1)])
def test_counts_that_cannot_be_are_refused(seen, right):
    assert Foresight(10, 6).verdict(5, 3) is None  # the control
    with pytest.raises(DataError):
        Foresight(10, 6).verdict(seen, right)
    with pytest.raises(DataError):
        Foresight(10, 6, delta=0)


@pytest.mark.parametrize("every", [1, 10, 32])
def test_peeking_changes_the_verdict_of_no_set_of_rows_in_more_than_one_per_cent_of_orders(every):
    """Exact, over all orders of all 201 sets; not one life is simulated."""
    bound, alpha, delta = 0.6, 0.05, 0.01
    foresight = Foresight(200, least_passing(200, bound, alpha), delta)
    found = peeking(foresight, bound, every=every)
    assert 0 < found.changed <= delta
    # and a population that is exactly at the bound passes no oftener than the two together allow
    assert found.fixed <= alpha
    assert found.passes <= found.fixed + delta <= alpha + delta


def test_whoever_looks_only_at_the_end_changes_nothing():
    foresight = Foresight(60, least_passing(60, 0.6, 0.05), 0.01)
    assert peeking(foresight, 0.6, every=60).changed == 0.0


def test_without_the_correction_peeking_would_change_most_of_it():
    """The control: a rule that trusts the share so far turns far more verdicts round."""
    foresight = Foresight(200, least_passing(200, 0.6, 0.05), 0.5)
    assert peeking(foresight, 0.6).changed > 0.1


def test_all_sets_at_once_are_the_courses_of_each():
    foresight = Foresight(40, 26, 0.05)
    passes, fails = verdicts(foresight, every=4)
    for right in (0, 20, 25, 26, 33, 40):
        one = course(foresight, right, every=4)
        assert (passes[right], fails[right]) == pytest.approx((one.passes, one.fails))
    assert passes + fails == pytest.approx(1.0)
