"""Areas under the ROC curve as the gate judges them."""

import numpy as np
import pytest

from stillhouse.gating.evidence import Ranked
from stillhouse.gating.ranked import AreaDifferenceTest, affordable_margin, areas

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
