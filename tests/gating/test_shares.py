import numpy as np
import pytest

from stillhouse.gating.shares import ShareTest


# Clopper and Pearson's 95 % limits as tables print them (Pearson and Hartley; Newcombe 1998).
@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (81, 263, 0.2527, 0.3676),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_the_interval_is_the_tabulated_one(k, n, low, high):
    assert ShareTest(k, n, 0.5, ">=").interval(0.025) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("direction", [">=", "<="])
@pytest.mark.parametrize(("k", "n"), [(0, 20), (7, 20), (20, 20), (516, 540)])
def test_passing_and_the_interval_are_one_statement(k, n, direction):
    for bound in np.linspace(0.01, 0.99, 57):
        test = ShareTest(k, n, float(bound), direction)
        low, high = test.interval(0.0125)
        reaches, misses = (
            (low >= bound, high < bound) if direction == ">=" else (high <= bound, low > bound)
        )
        assert (test.met <= 0.0125) == reaches
        assert (test.missed <= 0.0125) == misses


def test_a_share_on_the_bound_passes_in_at_most_the_level_of_all_outcomes():
    from math import comb

    n, bound, level = 100, 0.9, 0.05
    size = sum(
        comb(n, k) * bound**k * (1 - bound) ** (n - k)
        for k in range(n + 1)
        if ShareTest(k, n, bound, ">=").met <= level
    )
    assert 0.01 < size <= level


def test_bounds_that_every_share_meets_pass_and_those_that_none_can_show_do_not():
    assert ShareTest(0, 10, 0.0, ">=").met == 0
    assert ShareTest(10, 10, 1.0, "<=").met == 0
    assert ShareTest(10, 10, 1.0, ">=").met == 1
    assert ShareTest(9, 10, 1.0, ">=").missed == 0
    assert ShareTest(0, 10, 0.0, "<=").missed == 1
    assert ShareTest(1, 10, 0.0, "<=").missed == 0


def test_rows_needed_decide_and_fewer_do_not():
    test = ShareTest(490, 540, 0.9, ">=")
    needed = test.rows_needed(0.05)
    assert test.met > 0.05
    assert ShareTest(round(490 / 540 * needed), needed, 0.9, ">=").met <= 0.05
    fewer = int(needed * 0.97)
    assert ShareTest(round(490 / 540 * fewer), fewer, 0.9, ">=").met > 0.05


def test_no_number_of_rows_decides_a_share_that_is_the_bound():
    assert ShareTest(486, 540, 0.9, ">=").rows_needed(0.05) is None
    assert ShareTest(540, 540, 1.0, ">=").rows_needed(0.05) is None
