import pytest

from stillhouse.errors import PluginNotFound, SettingsError
from stillhouse.gating.metrics import known_metrics
from stillhouse.gating.rules.paired import Paired
from stillhouse.gating.rules.threshold import Threshold
from stillhouse.gating.settings import parse

GOOD = {"metric": "test/accuracy", "at_least": 0.9}


def test_a_rule_s_kind_is_told_by_its_keys_or_by_its_name():
    first, second, third = parse(
        [
            GOOD,
            {"metric": "test/accuracy", "against": "teacher", "margin": 0.06},
            {"name": "threshold", "metric": "test/ece", "at_most": 0.05, "gates": False},
        ]
    )
    assert isinstance(first, Threshold)
    assert isinstance(second, Paired)
    assert isinstance(third, Threshold)
    assert [rule.gates for rule in (first, second, third)] == [True, True, False]
    assert [rule.label for rule in (first, second, third)] == [
        "test/accuracy ≥ 0.9",
        "test/accuracy vs teacher",
        "test/ece ≤ 0.05",
    ]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({**GOOD, "at_most": 0.95}, r"gate.rules.0: .*both at_least and at_most"),
        ({"metric": "test/accuracy"}, "bounds nothing"),
        ({"metric": "test/accuracy", "at_leats": 0.9}, "Did you mean 'at_least'"),
        ({**GOOD, "magrin": 0.1}, "unknown setting 'magrin'"),
        (
            {"metric": "test/acuracy", "at_least": 0.9},
            "no metric 'test/acuracy'.* Did you mean 'test/accuracy'",
        ),
        ({"metric": "edge/latency_ms_p50", "at_most": 1}, "clocks do not"),
        ({"metric": "val/accuracy", "at_least": 0.9}, "chosen on val"),
        ({"metric": "receipt/gain_over_none", "at_least": 0.0}, "against: none"),
        ({"metric": "test/accuracy", "at_least": 90}, "write 0.9 for 90 %"),
        ({"metric": "test/accuracy", "at_least": "0.9"}, "gate.rules.0.at_least"),
        ({"at_least": 0.9}, "gate.rules.0.metric: this setting is required"),
        ({"metric": "test/accuracy", "against": "techer"}, "gate.rules.0.against"),
        ({"metric": "test/accuracy", "against": "teacher", "margin": 6}, "gate.rules.0.margin"),
        (
            {"metric": "test/accuracy", "against": "teacher", "at_least": 0.9},
            "unknown setting 'at_least'",
        ),
        ({"metric": "test/ece", "against": "teacher"}, "cannot be compared row by row"),
        ({"metric": "test/accuracy", "at_least": {"float": [0.8, 0.9]}}, "only under distill"),
        ("test/accuracy", "a rule is a mapping"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_with_its_place_and_fix(spec, said):
    parse([GOOD])
    with pytest.raises(SettingsError, match=said) as caught:
        parse([spec])
    assert caught.value.exit_code == 2


def test_a_name_that_no_rule_has_is_refused():
    parse([{**GOOD, "name": "threshold"}])
    with pytest.raises(PluginNotFound, match="Did you mean 'threshold'"):
        parse([{**GOOD, "name": "treshold"}])


def test_a_gate_that_would_promote_anything_is_refused():
    with pytest.raises(SettingsError, match="promotes anything"):
        parse([])
    with pytest.raises(SettingsError, match="only watched"):
        parse([{**GOOD, "gates": False}])


def test_only_attacks_and_corruptions_of_the_run_can_be_bounded():
    known = known_metrics({"pgd_linf_0.1": "linf"}, ["noise"])
    for metric in (
        "robust/linf/accuracy",
        "robust/pgd_linf_0.1/accuracy",
        "robust/clean/accuracy",
        "corruption/noise/accuracy",
        "corruption/mean_accuracy",
    ):
        parse([{"metric": metric, "at_least": 0.3}], known)
    for metric in (
        "robust/l2/accuracy",
        "robust/pgd_linf_0.2/accuracy",
        "corruption/blur/accuracy",
    ):
        with pytest.raises(SettingsError, match=f"does not measure '{metric}'"):
            parse([{"metric": metric, "at_least": 0.3}], known)
        parse([{"metric": metric, "at_least": 0.3}])  # where the run is not known yet
    with pytest.raises(SettingsError, match="corruption/mean_accuracy"):
        parse([{"metric": "corruption/mean_accuracy", "at_least": 0.3}], known_metrics({}, []))
