import numpy as np
import pytest

from stillhouse.evaluation.paired import Pairs
from stillhouse.gating.audit import audit
from stillhouse.gating.frozen import BothTest
from stillhouse.gating.matched import MatchedTest
from stillhouse.gating.shares import ShareTest


def test_the_replay_of_equal_models_is_what_drawing_the_signs_one_by_one_gives():
    test = MatchedTest(Pairs(9, 12, 400), 0.03)
    found = audit(test, 0.05)
    rng = np.random.default_rng(0)
    drawn = [Pairs(21 - int(w), int(w), 400) for w in rng.binomial(21, 0.5, size=300)]
    passes = np.mean([MatchedTest(pairs, 0.03).met <= 0.05 for pairs in drawn])
    assert found.kind == "equal"
    assert found.passes == pytest.approx(passes, abs=0.09)
    assert found.fails < 0.01


def test_a_student_a_point_beyond_the_margin_is_found_as_often_as_the_level_says():
    found = audit(MatchedTest(Pairs(20, 22, 5000), 0.0), 0.05)
    assert found.planted == 0.01
    assert found.found >= 0.95


def test_no_discordant_row_leaves_nothing_to_replay_and_margin_and_rows_decide():
    wide, none = MatchedTest(Pairs(0, 0, 300), 0.06), MatchedTest(Pairs(0, 0, 300), 0.0)
    assert (audit(wide, 0.05).passes, audit(none, 0.05).passes) == (1.0, 0.0)


@pytest.mark.parametrize("direction", [">=", "<="])
def test_a_share_at_its_bound_passes_and_fails_at_most_at_the_level(direction):
    test = ShareTest(180, 200, 0.9, direction)
    found = audit(test, 0.05)
    rng = np.random.default_rng(1)
    drawn = [ShareTest(int(k), 200, 0.9, direction) for k in rng.binomial(200, 0.9, size=2000)]
    assert found.passes == pytest.approx(np.mean([t.met <= 0.05 for t in drawn]), abs=0.015)
    assert found.fails == pytest.approx(np.mean([t.missed <= 0.05 for t in drawn]), abs=0.015)
    assert max(found.passes, found.fails) <= 0.05
    assert found.found > 1 - found.passes


def test_of_two_sets_of_rows_the_binding_one_is_audited():
    today, frozen = MatchedTest(Pairs(2, 9, 900), 0.02), MatchedTest(Pairs(4, 3, 200), 0.02)
    assert audit(BothTest(today, frozen), 0.05) == audit(frozen, 0.05)
