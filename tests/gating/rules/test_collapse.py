import numpy as np
import pytest

from stillhouse.errors import SettingsError
from stillhouse.gating.evidence import Evidence, Groups, Rows
from stillhouse.gating.life import spent
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import judge

RULES = [{"metric": "test/accuracy", "at_least": 0.9}, {"name": "collapse", "drop": 0.2}]


def evidence(right, n=50):
    """2,500 rows of which 2 % are a slice; of these `right` are right, of the others 97 %."""
    outcomes = np.arange(2500) % 100 < 97
    outcomes[:n] = np.arange(n) < right
    groups = {"age > 80": outcomes[:n], "sex = female": outcomes[n:1200]}
    return Evidence(
        {"test/accuracy": Rows({"student": outcomes}), "slices/worst": Groups(groups)}, 2500
    )


def test_a_slice_of_two_per_cent_that_collapses_is_named_and_held_while_the_mean_stays():
    told = judge(parse(RULES), evidence(10))
    assert (told.verdict, told.findings[0].verdict) == ("hold", "pass")
    assert told.findings[1].verdict == "undecided"
    assert "age > 80" in told.why
    assert told.findings[1].observed == 0.2


def test_an_alarm_is_not_deaf_when_little_is_left_of_the_alpha_of_a_life():
    late = spent(0.05, 30)
    assert judge(parse(RULES), evidence(28), late).findings[1].verdict == "pass"
    told = judge(parse(RULES), evidence(28), late, alarms=0.05)
    assert (told.verdict, told.findings[1].level) == ("hold", 0.05)
    assert told.findings[0].level == late


def test_a_slice_that_is_somewhat_worse_rings_no_alarm():
    told = judge(parse(RULES), evidence(42))
    assert told.verdict == "promote"
    assert "No alarm" in told.findings[1].sentence
    watched = judge(parse([RULES[0], {**RULES[1], "gates": False}]), evidence(10))
    assert watched.verdict == "promote"


def test_slices_that_are_like_the_rest_ring_in_at_most_alpha_of_runs():
    rng, alarms = np.random.default_rng(3), 0
    for _ in range(120):
        rows = rng.random(800) < 0.9
        slices = {str(at): rows[rng.random(800) < 0.03] for at in range(8)}
        found = Evidence(
            {"test/accuracy": Rows({"student": rows}), "slices/worst": Groups(slices)}, 800
        )
        alarms += (
            judge(parse([RULES[0], {"name": "collapse", "drop": 0.01}]), found).findings[1].verdict
            == "undecided"
        )
    assert alarms <= 120 * 0.05


def test_where_no_slice_was_found_it_does_not_apply_and_an_alarm_alone_is_no_gate():
    bare = Evidence(
        {"test/accuracy": evidence(50).measured["test/accuracy"]},
        2500,
        {"slices/worst": "val has too few rows."},
    )
    assert judge(parse(RULES), bare).findings[1].verdict == "not_applicable"
    with pytest.raises(SettingsError, match="alarm"):
        parse([RULES[1]])
    with pytest.raises(SettingsError, match="drop"):
        parse([RULES[0], {"name": "collapse", "drop": 20}])


def test_rows_that_are_hard_and_known_to_be_are_no_collapse_unless_half_is_lost():
    def told(right, sure):
        found = evidence(right)
        groups = Groups(found.measured["slices/worst"].outcomes, {"age > 80": sure})
        whole = {**found.measured, "slices/worst": groups}
        return judge(parse(RULES), Evidence(whole, 2500)).findings[1]

    assert told(25, 0.95).verdict == "undecided"
    assert told(25, 0.6).verdict == "pass"
    assert told(5, 0.2).verdict == "undecided"
    assert told(5, 0.2).bound == pytest.approx(
        0.5 * float(evidence(5).measured["test/accuracy"].outcomes["student"].mean())
    )
