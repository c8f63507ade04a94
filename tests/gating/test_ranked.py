"""Areas under the ROC curve as the gate judges them."""

import numpy as np
import pytest

from stillhouse.evaluation import ranking
from stillhouse.gating.evidence import Ranked
from stillhouse.gating.ranked import AreaDifferenceTest, AreaTest, affordable_margin, areas

POSITIVE = np.arange(400) < 200
SCORES = np.random.default_rng(0).normal(size=400) + 1.2 * POSITIVE


def test_a_model_that_ranks_every_row_as_the_other_does_is_not_worse():
    both = areas(Ranked({"student": SCORES, "champion": 2 * SCORES + 1}, POSITIVE), "champion")
    margin = affordable_margin(both, 0.05)
    found = AreaDifferenceTest(both, margin, 400)
    assert found.met == pytest.approx(0.05)
    assert found.interval(0.05)[0] == pytest.approx(-margin)
    assert AreaDifferenceTest(both, 0.03, 400).met == pytest.approx(0.97**200)
    assert AreaDifferenceTest(both, 0.0, 400).met == 1.0
    assert AreaDifferenceTest(both, -0.01, 400).met == 1.0


def test_a_model_that_ranks_worse_is():
    noisy = SCORES + np.random.default_rng(1).normal(size=400)
    both = areas(Ranked({"student": noisy, "champion": SCORES}, POSITIVE), "champion")
    found = AreaDifferenceTest(both, 0.01, 400)
    assert found.difference < -0.05
    assert found.missed < 0.01
    assert found.met > 0.9


def drawn(shift, positive, seed):
    """Scores of two models and who is positive; the shifts are those of their positive rows."""
    draw, rows = np.random.default_rng(seed), np.arange(positive + 300) < positive
    shared = draw.normal(size=len(rows))
    return [
        0.9**0.5 * shared + 0.1**0.5 * draw.normal(size=len(rows)) + own * rows for own in shift
    ], rows


AT = {0.95: 2.3262, 0.97: 2.6598, 0.999: 4.3703}  # √2 Φ⁻¹(area): the shift that gives an area


def test_with_few_positive_rows_hardly_any_model_at_the_bound_passes_and_a_better_one_does():
    def passes(area, positive):
        found = [drawn([AT[area]], positive, seed) for seed in range(200)]
        tests = [AreaTest(ranking.ranking(*one), 0.97, ">=", 320) for one in found]
        return np.mean([test.met <= 0.05 for test in tests])

    assert passes(0.97, 20) <= 0.08
    assert passes(0.999, 300) >= 0.9


def test_with_few_positive_rows_hardly_any_model_at_the_margin_passes_and_an_equal_one_does():
    def passes(own, positive):
        found = [drawn([AT[own], AT[0.97]], positive, seed) for seed in range(200)]
        tests = [AreaDifferenceTest(ranking.ranking(*one), 0.02, 320) for one in found]
        return np.mean([test.met <= 0.05 for test in tests])

    assert passes(0.95, 20) <= 0.08
    assert passes(0.97, 300) >= 0.9


def test_a_difference_s_bounds_are_what_is_just_refused():
    noisy = SCORES + 0.3 * np.random.default_rng(1).normal(size=400)
    both = areas(Ranked({"student": noisy, "champion": SCORES}, POSITIVE), "champion")
    low, high = AreaDifferenceTest(both, 0.0, 400).interval(0.05)
    assert low < AreaDifferenceTest(both, 0.0, 400).difference < high
    assert AreaDifferenceTest(both, -low, 400).met == pytest.approx(0.05)
    assert AreaDifferenceTest(both, -high, 400).missed == pytest.approx(0.05)
