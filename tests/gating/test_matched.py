import math

import numpy as np
import pytest

from stillhouse.evaluation.paired import Pairs
from stillhouse.gating.matched import MatchedTest, affordable_margin, power, wins_needed


@pytest.mark.parametrize(
    ("lost", "won", "margin", "said"),
    [
        (14, 3, 0.06, "pass"),
        (14, 14, 0.01, "undecided"),
        (60, 5, 0.02, "fail"),
        (5, 54, 0.0, "pass"),
        (2, 30, -0.02, "pass"),
    ],
)
def test_each_of_the_three_answers(lost, won, margin, said):
    test = MatchedTest(Pairs(lost, won, 540), margin)
    low, high = test.interval(0.0125)
    assert {
        "pass": test.met <= 0.0125,
        "fail": test.missed <= 0.0125,
        "undecided": min(test.met, test.missed) > 0.0125,
    }[said]
    assert {
        "pass": low >= -margin - 1e-4,
        "fail": high < -margin + 1e-4,
        "undecided": low < -margin <= high,
    }[said]
    assert test.discordant == (lost, won)


def enumerated(n, rate, margin, level):
    """The power of the exact test against an equal student, outcome by outcome."""
    total = 0.0
    for d in range(n + 1):
        chance = math.exp(
            math.lgamma(n + 1)
            - math.lgamma(d + 1)
            - math.lgamma(n - d + 1)
            + d * math.log(rate)
            + (n - d) * math.log1p(-rate)
        )
        if chance > 1e-5:
            total += (
                chance
                * sum(math.comb(d, w) for w in range(wins_needed(n, d, margin, level), d + 1))
                / 2**d
            )
    return total


@pytest.mark.parametrize(("n", "rate", "margin"), [(200, 0.05, 0.03), (150, 0.02, 0.04)])
def test_the_power_that_is_told_is_that_of_the_exact_test(n, rate, margin):
    exact = enumerated(n, rate, margin, 0.05)
    assert exact - 0.03 <= power(n, rate, margin, 0.05) <= exact + 0.005


def test_power_agrees_with_drawn_test_sets():
    n, rate, margin, level = 540, 0.03, 0.02, 0.05
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(n, [rate / 2, rate / 2, 1 - rate], size=400)
    passed = np.mean(
        [MatchedTest(Pairs(int(lost), int(won), n), margin).met <= level for lost, won, _ in drawn]
    )
    assert passed == pytest.approx(power(n, rate, margin, level), abs=0.06)


@pytest.mark.parametrize("of", [Pairs(8, 6, 540), Pairs(0, 0, 540), Pairs(30, 41, 880)])
def test_without_a_margin_it_is_the_smallest_that_an_equal_student_passes_four_times_in_five(of):
    margin = affordable_margin(of, 0.0125)
    rate = max(of.discordant, 1) / of.n
    assert power(of.n, rate, margin, 0.0125) >= 0.8
    assert (
        power(of.n, rate, round(margin * 0.93, 4), 0.0125) < 0.8 or of.discordant < 3
    )  # with hardly any discordance power jumps


def test_more_rows_afford_a_smaller_margin():
    assert affordable_margin(Pairs(56, 42, 3780), 0.0125) < 0.6 * affordable_margin(
        Pairs(8, 6, 540), 0.0125
    )


def test_rows_needed_would_decide_and_a_tenth_fewer_would_not():
    test = MatchedTest(Pairs(12, 10, 540), 0.015)
    assert test.met > 0.05
    needed = test.rows_needed(0.05)
    for rows, decided in ((needed, True), (int(0.85 * needed), False)):
        more = MatchedTest(Pairs(round(12 * rows / 540), round(10 * rows / 540), rows), 0.015)
        assert (more.met <= 0.05) == decided


def test_an_identical_student_is_never_shown_to_be_better_and_soon_not_worse():
    assert MatchedTest(Pairs(0, 0, 540), 0.0).rows_needed(0.05) is None
    assert MatchedTest(Pairs(0, 0, 540), 0.0).met == 1.0
    assert MatchedTest(Pairs(0, 0, 540), 0.01).met <= 0.0125
    assert MatchedTest(Pairs(0, 0, 540), 0.004).met > 0.0125
