import numpy as np
import pytest

from stillhouse.errors import DataError, SettingsError
from stillhouse.evaluation import operating

SCORES = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
POSITIVE = np.array([False, False, True, False, True, True])


def test_youdens_threshold_by_hand():
    """At 0.5: 2 of 3 found, 3 of 3 spared, 5/3 in all; at 0.25: 3 of 3 and 2 of 3, 5/3 too: the
    lower one.
    """
    assert operating.choose("youden", SCORES, POSITIVE) == pytest.approx(0.25)


def test_a_sensitivity_is_met_with_the_highest_specificity_and_the_other_way_round():
    assert operating.choose({"sensitivity": 1.0}, SCORES, POSITIVE) == pytest.approx(0.25)
    assert operating.choose({"sensitivity": 0.6}, SCORES, POSITIVE) == pytest.approx(0.5)
    assert operating.choose({"specificity": 1.0}, SCORES, POSITIVE) == pytest.approx(0.5)
    assert operating.choose({"specificity": 0.0}, SCORES, POSITIVE) == pytest.approx(0.05)
    assert operating.choose({"value": 0.7}, SCORES, POSITIVE) == 0.7


def test_every_asked_sensitivity_is_met_on_the_rows_it_was_chosen_on():
    generator = np.random.default_rng(0)
    scores, positive = generator.random(90).round(2), generator.random(90) < 0.2
    for least in (0.0, 0.5, 0.8, 0.95, 1.0):
        found = operating.at(
            operating.choose({"sensitivity": least}, scores, positive), scores, positive
        )
        assert found.found / found.positives >= least


def test_counts_by_hand():
    assert operating.at(0.35, SCORES, POSITIVE) == (2, 3, 2, 3)


def test_one_class_alone_and_two_criteria_are_refused():
    operating.check({"sensitivity": 0.9}, "here")
    with pytest.raises(DataError, match="one class only"):
        operating.choose("youden", SCORES, np.zeros(6, dtype=bool))
    with pytest.raises(SettingsError, match="chosen by one thing"):
        operating.check({"sensitivity": 0.9, "specificity": 0.9}, "here")
