import numpy as np
import pytest

from stillhouse.errors import DataError
from stillhouse.evaluation import ranking

SCORES = np.array([0.1, 0.4, 0.35, 0.8])
POSITIVE = np.array([False, False, True, True])


def drawn(seed, rows=120, shift=1.0, share=0.3):
    generator = np.random.default_rng(seed)
    positive = generator.random(rows) < share
    positive[:2], positive[2:4] = True, False
    return generator.normal(size=rows) + shift * positive, positive


def test_the_area_agrees_with_scikit_learn_ties_included():
    from sklearn.metrics import roc_auc_score

    for seed in range(5):
        scores, positive = drawn(seed)
        scores = scores.round(1)
        assert ranking.auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
        found = ranking.ranking([scores], positive)
        assert found.areas[0] == pytest.approx(roc_auc_score(positive, scores))


def test_the_variance_by_hand():
    """Placements: positives 1/2 and 1, negatives 1 and 1/2; variances 1/8 each, over 2 rows."""
    found = ranking.ranking([SCORES], POSITIVE)
    assert found.areas[0] == 0.75
    assert found.covariance[0, 0] == pytest.approx(1 / 8 / 2 + 1 / 8 / 2)


def test_the_variance_is_that_of_repeated_samples():
    areas = [ranking.auc(*drawn(seed)) for seed in range(400)]
    told = np.mean([ranking.ranking([drawn(s)[0]], drawn(s)[1]).covariance for s in range(50)])
    assert told == pytest.approx(np.var(areas), rel=0.25)


def test_the_lower_bound_holds_as_often_as_it_says():
    """200 samples with few positives; the truth is Φ(1/√2) = 0.760."""
    from scipy.special import ndtr

    truth = float(ndtr(1 / 2**0.5))
    above = sum(
        ranking.bounds(ranking.ranking([s], p), 0.05)[0] > truth
        for s, p in (drawn(seed, rows=80, share=0.15) for seed in range(200))
    )
    assert above <= 18  # 10 expected; more than 18 would happen once in 200 runs


def test_bound_and_p_value_are_one_statement():
    found = ranking.ranking([drawn(0)[0]], drawn(0)[1])
    low, high = ranking.bounds(found, 0.05)
    assert low < found.areas[0] < high
    assert ranking.p_above(found, low) == pytest.approx(0.05)
    assert ranking.p_above(found.turned, 1 - high) == pytest.approx(0.05)


def test_rows_all_in_order_leave_a_doubt_that_shrinks_with_the_smaller_class():
    positive = np.array([True] * 5 + [False] * 200)
    found = ranking.ranking([positive.astype(float)], positive)
    low, high = ranking.bounds(found, 0.05)
    assert high == 1.0
    assert low == pytest.approx(0.05 ** (1 / 5))
    assert ranking.p_above(found, low) == pytest.approx(0.05)


def test_equal_scores_differ_by_nothing_and_others_by_something():
    scores, positive = drawn(3)
    same = ranking.ranking([scores, scores], positive)
    assert ranking.spread_of_difference(same) == pytest.approx(0, abs=1e-9)
    other = ranking.ranking([scores, drawn(4)[0]], positive)
    assert ranking.spread_of_difference(other) > 0.01


def test_one_positive_row_is_too_few():
    with pytest.raises(DataError, match="1 positive and 3 negative"):
        ranking.ranking([SCORES], np.array([False, False, False, True]))
