from dataclasses import dataclass, replace

import numpy as np
import pytest

from stillhouse.gating.evidence import Evidence, Exact, Rows
from stillhouse.gating.rule import Asked, Rule
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import decide, holm, judge, unique


def rows(right, n=540):
    return np.arange(n) < right


def evidence(student=516, champion="version 6", incomparable="", n=540, **others):
    """Rows of which the first ones are right; `others` are counts of right rows, all inside or
    outside the student's.
    """
    outcomes = {
        "student": rows(student, n),
        **{who: rows(right, n) for who, right in others.items()},
    }
    return Evidence(
        {"test/accuracy": Rows(outcomes), "edge/size_kb": Exact(12.0)},
        n,
        {},
        champion,
        incomparable,
    )


AT_LEAST = {"metric": "test/accuracy", "at_least": 0.9}


def of(specs, found, alpha=0.05):
    return judge(parse(specs), found, alpha)


def test_holm_gives_the_levels_of_its_paper():
    # k = 4 at 0.05: 0.0125, 0.0167, 0.025, 0.05; the third smallest fails, so that the fourth is
    # judged where it stopped
    levels = holm([0.03, 0.01, 0.2, 0.012], 0.05)
    assert levels == pytest.approx([0.025, 0.0125, 0.025, 0.05 / 3])
    assert [p <= level for p, level in zip([0.03, 0.01, 0.2, 0.012], levels, strict=True)] == [
        False,
        True,
        False,
        True,
    ]
    assert holm([], 0.05) == []


def test_a_p_value_below_alpha_does_not_pass_behind_one_that_stopped_the_order():
    assert holm([0.03, 0.04], 0.05)[1] < 0.04
    assert holm([0.001, 0.04], 0.05)[1] == 0.05


def test_an_alarm_holds_but_never_promotes_and_costs_the_rules_nothing():
    assert decide(["pass"], ["pass"]) == "promote"
    assert decide(["pass"], ["undecided"]) == "hold"
    assert decide(["fail"], ["undecided"]) == "reject"
    assert decide([], ["pass"]) == "hold"
    found = replace(evidence(), unmeasured={"slices/worst": "val has too few rows."})
    alone, beside = of([AT_LEAST], found), of([AT_LEAST, {"name": "collapse"}], found)
    assert alone.findings[0].level == beside.findings[0].level == 0.05


@pytest.mark.parametrize(
    ("gating", "decision"),
    [
        (["pass", "pass"], "promote"),
        (["pass", "not_applicable"], "promote"),
        (["pass", "undecided"], "hold"),
        (["undecided", "fail"], "reject"),
        (["not_applicable"], "hold"),
        ([], "hold"),
    ],
)
def test_any_fail_rejects_any_doubt_holds_and_nothing_shown_is_not_promoted(gating, decision):
    assert decide(gating) == decision


@pytest.mark.parametrize(
    ("right", "rule", "decision"),
    [(516, "pass", "promote"), (490, "undecided", "hold"), (450, "fail", "reject")],
)
def test_a_share_passes_is_undecided_or_fails_by_its_interval(right, rule, decision):
    verdict = of([AT_LEAST], evidence(right))
    [finding] = verdict.findings
    assert (finding.verdict, verdict.verdict) == (rule, decision)
    low, high = finding.interval
    assert {"pass": low >= 0.9, "undecided": low < 0.9 <= high, "fail": high < 0.9}[rule]
    assert (finding.rows_needed is not None) == (rule == "undecided")
    assert finding.name == "test/accuracy ≥ 0.9"


def test_watched_rules_change_neither_the_verdict_nor_the_level_of_those_that_decide():
    alone = of([AT_LEAST], evidence())
    watched = [
        {"metric": "test/accuracy", "at_least": bound, "gates": False}
        for bound in (0.99, 0.98, 0.97)
    ]
    both = of([AT_LEAST, *watched], evidence())
    assert both.verdict == "promote"
    assert both.findings[0] == alone.findings[0]
    assert [f.level for f in both.findings[1:]] == [0.05] * 3
    assert of([AT_LEAST, *[{**w, "gates": True} for w in watched]], evidence()).verdict == "reject"


def test_rules_that_do_not_apply_or_are_exact_do_not_make_the_others_stricter():
    specs = [
        AT_LEAST,
        {"metric": "test/accuracy", "against": "champion"},
        {"metric": "edge/size_kb", "at_most": 20},
    ]
    share, champion, size = of(specs, evidence(champion=None)).findings
    assert share.level == 0.05
    assert (
        champion.verdict,
        champion.observed,
        champion.bound,
        champion.interval,
        champion.level,
    ) == ("not_applicable", None, None, None, None)
    assert (size.verdict, size.observed, size.interval, size.rows_used, size.p_value) == (
        "pass",
        12.0,
        None,
        None,
        None,
    )
    assert of(specs, evidence(champion=None)).verdict == "promote"
    assert (
        of([*specs, {"metric": "edge/size_kb", "at_most": 10}], evidence(champion=None)).verdict
        == "reject"
    )


def test_a_champion_that_cannot_be_asked_holds_and_is_never_no_champion():
    specs = [AT_LEAST, {"metric": "test/accuracy", "against": "champion", "margin": 0.02}]
    verdict = of(
        specs, evidence(incomparable="version 6 cannot be asked today's rows: other classes.")
    )
    assert verdict.verdict == "hold"
    assert verdict.findings[1].verdict == "undecided"
    assert verdict.findings[0].level == 0.025
    assert "other classes" in verdict.why
    assert (
        of(specs, evidence(champion=516)).findings[1].verdict == "undecided"
    )  # a name without rows is not comparable either


def test_with_nothing_but_a_champion_s_rule_the_first_version_is_held_and_told_why():
    verdict = of([{"metric": "test/accuracy", "against": "champion"}], evidence(champion=None))
    assert verdict.verdict == "hold"
    assert "no rule that decides applies yet" in verdict.why


def test_names_are_unique():
    assert unique(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]
    found = of([AT_LEAST, AT_LEAST], evidence())
    assert [f.name for f in found.findings] == ["test/accuracy ≥ 0.9", "test/accuracy ≥ 0.9 (2)"]


def test_the_verdict_is_plain_json_and_states_its_error_rate():
    told = of(
        [AT_LEAST, {"metric": "test/accuracy", "against": "teacher", "margin": 0.06}],
        evidence(teacher=527),
    ).as_dict()
    assert set(told["rules"][1]) == {
        *(
            "name",
            "verdict",
            "gates",
            "metric",
            "against",
            "observed",
            "bound",
            "direction",
            "unit",
            "interval",
            "level",
            "rows_used",
            "rows_total",
        ),
        *("rows_needed", "power", "p_value", "discordant", "sentence"),
        *("about", "guards", "audit"),
    }
    assert told["rules"][1]["discordant"] == [11, 0]
    assert told["rules"][1]["sentence"] == (
        f"test/accuracy of the student minus that of the teacher is at least −0.06: −0.02037 "
        f"[{told['rules'][1]['interval'][0]:.4g}, {told['rules'][1]['interval'][1]:.4g}] (11 "
        "rows lost, 0 won of 540)."
    ).replace("-", "−")
    assert "at most 5 %" in told["error_rate"]


@dataclass
class Coin:
    """A test whose p-value is given."""

    met: float
    missed: float = 1.0
    rows: int = 10
    discordant: None = None

    def interval(self, level):
        return 0.0, 1.0

    def rows_needed(self, level):
        return None

    def power(self, level):
        return None


class Given(Rule):
    def __init__(self, p):
        self.p, self.metric = p, f"given/{p}"

    def ask(self, evidence, level):
        return Asked(0.5, ">=", "", observed=0.5, test=Coin(self.p))


def test_where_no_bound_is_met_some_rule_passes_in_at_most_alpha_of_runs():
    generator = np.random.default_rng(0)
    runs = [judge([Given(p) for p in generator.random(4)], Evidence({}, 10)) for _ in range(4000)]
    passed = np.mean([any(f.verdict == "pass" for f in run.findings) for run in runs])
    assert 0.03 < passed < 0.06
    assert not any(run.verdict == "promote" for run in runs)
