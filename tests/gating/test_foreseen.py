import numpy as np
import pytest

from stillhouse.evaluation import intervals
from stillhouse.evaluation.sequential import Foresight, course
from stillhouse.gating.evidence import Evidence, Partly, Rows
from stillhouse.gating.foreseen import ForeseenTest, asked_under_attack, most_failing
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import judge

UNDER = {"metric": "robust/linf/accuracy", "at_least": 0.3}
CLEAN = {"metric": "test/accuracy", "at_least": 0.9}


@pytest.mark.parametrize(("total", "bound", "level"), [(540, 0.3, 0.0125), (100, 0.6, 0.05)])
def test_the_most_that_fails_has_its_upper_bound_below_and_one_row_more_does_not(
    total, bound, level
):
    most = most_failing(total, bound, level)
    assert intervals.upper(most, total, level) <= bound
    assert intervals.upper(most + 1, total, level) > bound


def test_a_bound_that_no_count_can_miss_is_never_failed():
    assert most_failing(10, 0.01, 0.05) == -1
    assert not ForeseenTest(Partly(np.zeros(9, bool), 10, 0.01), 0.01, 0.05).fails


def seen(right, rows=32, total=540):
    return Evidence(
        {
            "robust/linf/accuracy": Partly(np.arange(rows) < right, total, 0.01),
            "test/accuracy": Rows({"student": np.arange(total) < total - 5}),
        },
        total,
    )


def test_a_settled_failure_rejects_and_says_how_far_it_looked():
    told = judge(parse([CLEAN, UNDER]), seen(0))
    assert told.verdict == "reject"
    rule = told.findings[1]
    assert (rule.verdict, rule.rows_used, rule.rows_total) == ("fail", 32, 540)
    assert "the first 32 of 540 rows" in rule.sentence
    assert rule.interval[1] < 0.3


def test_what_is_not_settled_at_the_gate_s_own_level_holds_and_nothing_passes():
    told = judge(parse([CLEAN, UNDER]), seen(8))
    assert (told.verdict, told.findings[1].verdict) == ("hold", "undecided")
    assert judge(parse([CLEAN, UNDER]), seen(32)).findings[1].verdict == "undecided"


def test_where_one_more_row_would_save_it_a_failure_is_foreseen_in_at_most_delta_of_orders():
    most = most_failing(200, 0.6, 0.05)
    wrong = course(Foresight(200, most + 1, 0.05), most + 1, every=32)
    assert 0 < wrong.fails <= 0.05
    assert wrong.passes + wrong.fails == pytest.approx(1)


def test_only_rules_that_decide_and_ask_for_a_floor_can_stop_a_suite():
    assert asked_under_attack(parse([CLEAN, UNDER]), 0.05) == {"linf": (0.3, 0.025)}
    assert asked_under_attack(parse([CLEAN, {**UNDER, "gates": False}]), 0.05) == {}
    assert (
        asked_under_attack(parse([CLEAN, {"metric": "robust/l2/accuracy", "at_most": 0.9}]), 0.05)
        == {}
    )
    both = parse([UNDER, {**UNDER, "at_least": 0.5}])
    assert asked_under_attack(both, 0.05) == {"linf": (0.5, 0.025)}
