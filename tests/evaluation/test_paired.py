import itertools
import math
from functools import cache

import numpy as np
import pytest

from stillhouse.errors import DataError
from stillhouse.evaluation import paired
from stillhouse.evaluation.paired import Pairs


def exact_probability(n, rate_lost, rate_won, inside):
    """The probability of a set of (lost, won), summed outcome by outcome: nothing of the code under
    test.
    """
    tie = max(0.0, 1 - rate_lost - rate_won)
    terms = []
    for lost, won in inside:
        same = n - lost - won
        log = (
            math.lgamma(n + 1)
            - math.lgamma(lost + 1)
            - math.lgamma(won + 1)
            - math.lgamma(same + 1)
        )
        for count, rate in ((lost, rate_lost), (won, rate_won), (same, tie)):
            if count and not rate:
                break
            log += count * math.log(rate) if count else 0.0
        else:
            terms.append(math.exp(log))
    return math.fsum(terms)


@cache
def passing(n, margin, level, most):
    """Every (lost, won) with at most `most` discordant rows that the test passes, asked one by one
    along the edge.
    """
    found, won = [], 0
    for d in range(most + 1):
        won = max(0, min(won, d) - 1)
        while won <= d and paired.p_value(Pairs(d - won, won, n), -margin) > level:
            won += 1
        found += [(d - w, w) for w in range(won, d + 1)]
    return found


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [(0, 6, 0.03125), (6, 16, 0.052479), (12, 12, 1.0), (0, 0, 1.0), (1, 8, 0.0390625)],
)
def test_mcnemar_gives_the_tabulated_exact_p_values(lost, won, p):
    assert paired.mcnemar(lost, won) == pytest.approx(p, rel=2e-3)
    assert paired.mcnemar(won, lost) == paired.mcnemar(lost, won)


def test_mcnemar_is_twice_the_sum_of_the_binomial_s_tail():
    assert paired.mcnemar(6, 59) == pytest.approx(
        2 * sum(math.comb(65, k) for k in range(7)) / 2**65, rel=1e-9
    )


def test_the_score_is_mcnemar_without_a_margin_and_matches_the_likelihood_with_one():
    assert paired.score(9, 21, 100, 0.0) == pytest.approx((21 - 9) / math.sqrt(30))
    lost, won, n, delta = 12, 5, 80, -0.1
    grid = np.linspace(0.1001, 0.9, 400_000)
    likely = grid[
        np.argmax(
            lost * np.log(grid)
            + won * np.log(grid + delta)
            + (n - lost - won)
            * np.log(
                1 - 2 * grid - delta, where=2 * grid + delta < 1, out=np.full(grid.shape, -np.inf)
            )
        )
    ]
    assert paired.score(lost, won, n, delta) == pytest.approx(
        (won - lost - n * delta) / math.sqrt(n * (2 * likely + delta * (1 - delta))), rel=1e-4
    )


def test_tango_s_published_example_has_the_published_bounds():
    # Tango 1998, table: 43 of 44 pairs agree or not as (a, b, c, d) = (43, 0, 1, 0): 95 % interval
    # of (b - c)/n is (-0.118, 0.059).
    assert paired.score_bound(Pairs(lost=1, won=0, n=44), 1.959964) == pytest.approx(
        -0.1181, abs=2e-4
    )
    assert -paired.score_bound(Pairs(lost=0, won=1, n=44), 1.959964) == pytest.approx(
        0.0590, abs=1.2e-3
    )


@pytest.mark.parametrize("margin", [0.0, 0.05, -0.05])
def test_a_student_on_the_bound_passes_no_more_often_than_the_level_whatever_the_discordance(
    margin,
):
    n, level, most = 60, 0.05, 36
    inside = passing(n, margin, level, most)
    for both in (0.0, 0.005, 0.02, 0.05, 0.1):  # the rate that wins and losses share
        lost, won = both + max(margin, 0), both + max(-margin, 0)
        assert (
            exact_probability(n, lost, won, inside) <= level - 1e-6
        )  # more than 36 discordant rows: less often than that


def test_the_test_spends_its_level_where_it_can():
    inside = passing(60, 0.05, 0.05, 36)
    spent = max(
        exact_probability(60, both + 0.05, both, inside) for both in (0.0, 0.01, 0.02, 0.05, 0.1)
    )
    assert spent > 0.04


def test_on_few_rows_every_outcome_and_every_rate_keeps_the_level():
    n, level = 12, 0.1
    outcomes = [(b, c) for b, c in itertools.product(range(n + 1), repeat=2) if b + c <= n]
    for margin in (0.0, 0.2, -0.1):
        inside = [(b, c) for b, c in outcomes if paired.p_value(Pairs(b, c, n), -margin) <= level]
        rates = [
            (both + max(margin, 0), both + max(-margin, 0))
            for both in np.linspace(0, (1 - abs(margin)) / 2, 41)
        ]
        worst = max(exact_probability(n, lost, won, inside) for lost, won in rates)
        assert worst <= level


def test_bounds_cover_the_truth_at_their_rate():
    n, alpha, lost_rate, won_rate = 20, 0.1, 0.1, 0.05
    above, below = 0.0, 0.0
    for lost, won in itertools.product(range(8), range(6)):
        chance = exact_probability(n, lost_rate, won_rate, [(lost, won)])
        if chance > 3e-3:
            above += chance * (
                paired.lower_bound(Pairs(lost, won, n), alpha) > won_rate - lost_rate
            )
            below += chance * (
                paired.upper_bound(Pairs(lost, won, n), alpha) < won_rate - lost_rate
            )
    assert 0.02 < above <= alpha
    assert 0.02 < below <= alpha


@pytest.mark.parametrize(
    "of",
    [
        Pairs(14, 3, 540),
        Pairs(0, 0, 540),
        Pairs(0, 8, 100),
        Pairs(40, 55, 880),
        Pairs(200, 210, 10_000),
    ],
)
def test_bound_and_p_value_are_the_same_statement_at_every_margin(of):
    low = paired.lower_bound(of, 0.025)
    assert (
        0.85 * 0.025 < paired.p_value(of, low) <= 0.025
    )  # with many rows fewer cells are searched: further out, never nearer
    assert paired.p_value(of, low - 0.002) <= 0.025
    assert paired.p_value(of, low + 0.002) > 0.025
    assert -paired.upper_bound(of.swapped, 0.025) == low


def test_the_p_value_grows_with_the_difference_that_is_denied():
    values = [paired.p_value(Pairs(14, 3, 540), d) for d in np.linspace(-0.2, 0.2, 41)]
    assert all(a <= b * (1 + 1e-3) for a, b in itertools.pairwise(values))


def test_the_score_leaves_no_hole_in_the_region_of_better_outcomes():
    wins = paired._region(Pairs(7, 4, 50))
    for d in range(50):
        assert (
            wins[d] <= wins[d + 1] <= wins[d] + 1
        )  # one tie lost needs at most one win more, and never fewer


@pytest.mark.parametrize(("n", "alpha"), [(540, 0.05), (540, 0.0125), (10_000, 0.05)])
def test_without_a_discordant_row_margin_and_rows_decide(n, alpha):
    assert paired.lower_bound(Pairs(0, 0, n), alpha) == pytest.approx(math.log(alpha) / n, rel=0.25)


def test_a_student_of_the_issue_is_not_six_points_worse_than_its_teacher_and_better_than_labels_alone():
    assert paired.p_value(Pairs(lost=14, won=3, n=540), -0.06) <= 0.05 / 4
    assert paired.p_value(Pairs(lost=6, won=52, n=540), 0.0) <= 0.05 / 4
    assert (
        paired.p_value(Pairs(lost=40, won=3, n=540), -0.06) > 0.05 / 4
    )  # 37 rows worse: 6.9 points
    assert paired.p_value(Pairs(lost=29, won=29, n=540), 0.0) > 0.05 / 4


def test_more_cells_come_nearer_and_never_below():
    exact = paired.p_value(Pairs(20, 20, 880), -0.02, 8000)
    few = [paired.p_value(Pairs(20, 20, 880), -0.02, cells) for cells in (16, 64, 256)]
    assert few == sorted(few, reverse=True)
    assert exact <= few[-1] <= exact * 1.06


@pytest.mark.parametrize(
    "of", [Pairs(0, 100, 100), Pairs(100, 0, 100), Pairs(0, 0, 1), Pairs(50, 50, 100)]
)
def test_extreme_outcomes_have_bounds_inside_minus_one_and_one(of):
    low, high = paired.lower_bound(of, 0.01), paired.upper_bound(of, 0.01)
    assert -1 <= low <= of.difference <= high <= 1


def test_outcomes_become_counts_and_unequal_rows_are_refused():
    student, other = np.array([True, True, False, False]), np.array([True, False, True, True])
    assert paired.pairs(student, other) == Pairs(lost=2, won=1, n=4)
    with pytest.raises(DataError, match="cannot be paired"):
        paired.pairs(student, other[:3])


def test_counts_that_cannot_be_are_refused():
    assert Pairs(3, 4, 7).discordant == 7
    with pytest.raises(DataError, match="no comparison"):
        Pairs(3, 5, 7)
