from stillhouse.evaluation.tasks import CLASSIFICATION
from stillhouse.gating.evidence import Evidence, Exact
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import judge
from stillhouse.steps.gate import beside

CLEAN = {"metric": "edge/size_kb", "at_most": 50}
UNDER = {"metric": "robust/linf/accuracy", "at_least": 0.3}


def evidence(alarms):
    measured = {"edge/size_kb": Exact(12.0)}
    unmeasured = {"robust/masking/alarms": "robustness did not measure it."}
    if alarms is None:
        return Evidence(measured, 100, unmeasured)
    return Evidence({**measured, "robust/masking/alarms": Exact(float(alarms))}, 100)


def test_a_masked_model_is_held_and_a_plain_one_is_not():
    rules = parse([CLEAN, {"name": "masking"}])
    assert judge(rules, evidence(0)).verdict == "promote"
    told = judge(rules, evidence(2))
    assert (told.verdict, told.findings[1].verdict) == ("hold", "undecided")
    assert "Alarm: robust/masking/alarms" in told.why


def test_where_no_attack_was_made_it_does_not_apply():
    told = judge(parse([CLEAN, {"name": "masking"}]), evidence(None))
    assert (told.verdict, told.findings[1].verdict) == ("promote", "not_applicable")


def test_it_stands_beside_rules_that_decide_under_attack_and_no_others():
    def names(*specs):
        return [spec.get("name", spec.get("metric")) for spec in beside(specs, CLASSIFICATION)]

    assert "masking" in names(CLEAN, UNDER)
    assert "masking" not in names(CLEAN, {**UNDER, "gates": False})
    own = {"metric": "robust/masking/alarms", "at_most": 1}
    assert names(CLEAN, UNDER, own).count("masking") == 0
    assert beside([], CLASSIFICATION) == ()
