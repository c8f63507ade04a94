import numpy as np
import pytest

from stillhouse.evaluation import paired
from stillhouse.evaluation.paired import Pairs
from stillhouse.gating.evidence import Evidence, Rows, Settled
from stillhouse.gating.settings import parse
from stillhouse.gating.settled import SettledTest
from stillhouse.gating.verdict import judge

METRIC = "robust/linf/accuracy"
RULE = {"metric": METRIC, "against": "champion", "margin": 0.1}


def settled(*, passes, seen=96, total=500, lost=4, won=6, level=0.05):
    student, champion = np.ones(seen, bool), np.ones(seen, bool)
    student[:lost] = False
    champion[lost : lost + won] = False
    both = {"student": student, "champion": champion}
    return Settled(both, total, 0.1, level, 0.01, passes=passes)


def evidence(found):
    alone = Rows({"student": np.ones(500, bool)})
    return Evidence({METRIC: alone}, 500, champion="version 3", versus={METRIC: found})


@pytest.mark.parametrize(("passes", "verdict"), [(True, "promote"), (False, "hold")])
def test_what_is_foreseen_decides_and_says_how_far_it_looked(passes, verdict):
    told = judge(parse([RULE]), evidence(settled(passes=passes)))
    [found] = told.findings
    assert told.verdict == verdict
    assert (found.rows_used, found.rows_total, found.discordant) == (96, 500, [4, 6])
    assert found.observed == pytest.approx(2 / 96)
    assert "the first 96 of 500 rows" in found.sentence


def test_its_interval_holds_whatever_the_other_rows_would_have_said():
    open_, passed = settled(passes=False), settled(passes=True)
    worst, best = Pairs(4 + 404, 6, 500), Pairs(4, 6 + 404, 500)
    low, high = paired.lower_bound(worst, 0.05), paired.upper_bound(best, 0.05)
    assert SettledTest(open_).interval(0.05) == (low, high)
    assert SettledTest(passed).interval(0.05) == (-0.1, high)


def test_beside_other_rules_it_speaks_at_the_strictest_level():
    # two rules: Holm may judge the second at 5 %, this one was foreseen at 2.5 %
    clean = {"metric": "test/accuracy", "at_least": 0.5}
    given = evidence(settled(passes=True, level=0.025))
    measured = {**given.measured, "test/accuracy": Rows({"student": np.arange(500) < 260})}
    both = judge(parse([clean, RULE]), Evidence(measured, 500, champion="v", versus=given.versus))
    assert [found.verdict for found in both.findings] == ["undecided", "pass"]
    assert both.findings[1].p_value == 0.025


def test_all_rows_of_both_are_judged_by_the_exact_test():
    found = settled(passes=True, seen=500, lost=4, won=6)
    [told] = judge(parse([RULE]), evidence(Rows(found.outcomes))).findings
    assert told.p_value == paired.p_value(Pairs(4, 6, 500), -0.1)
    assert told.observed == 2 / 500
