import pytest

from stillhouse.errors import PluginNotFound, SettingsError
from stillhouse.robustness.case import check_case, make_case, make_cases

GOOD = {"name": "pgd", "norm": "linf", "epsilon": 0.1}


def test_a_mapping_becomes_an_attack_with_its_threat_and_label():
    case = make_case({**GOOD, "steps": 7, "epsilon": 1}, "robustness.attacks.0")
    assert (case.label, case.name, case.ball.norm, case.ball.epsilon, case.settings) == (
        "pgd_linf_1",
        "pgd",
        "linf",
        1.0,
        {"steps": 7},
    )
    assert case.attack.steps == 7


def test_equal_labels_are_numbered():
    cases = make_cases([GOOD, {**GOOD, "steps": 50}, {**GOOD, "norm": "l2"}], "robustness.attacks")
    assert [case.label for case in cases] == ["pgd_linf_0.1", "pgd_linf_0.1_2", "pgd_l2_0.1"]


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"epsilon": 0}, "a.epsilon", "greater than 0"),
        ({"epsilon": -0.1}, "a.epsilon", "greater than 0"),
        ({"epsilon": "0.1"}, "a.epsilon", "number"),
        ({"epsilon": True}, "a.epsilon", "number"),
        ({"epsilon": float("inf")}, "a.epsilon", "finite"),
        ({"epsilon": float("nan")}, "a.epsilon", "nan"),
        ({"norm": "l3"}, "a.norm", "'linf', 'l2'"),
        ({"steps": 0}, "a.steps", "greater than or equal to 1"),
        ({"epsilom": 0.1}, "a", "'epsilon'"),
        ({"step": 3}, "a", "'steps'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_with_their_place(change, place, said):
    check_case(GOOD, "a")
    with pytest.raises(SettingsError) as caught:
        check_case({**GOOD, **change}, "a")
    assert caught.value.where == place
    assert said in str(caught.value)


@pytest.mark.parametrize("missing", ["norm", "epsilon"])
def test_norm_and_epsilon_are_required(missing):
    with pytest.raises(SettingsError, match="required"):
        check_case({key: value for key, value in GOOD.items() if key != missing}, "a")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"name": "flip", "norm": "category", "epsilon": 1.5}, "no whole number"),
        ({"name": "flip", "norm": "category", "epsilon": {"age": 1}}, "one epsilon"),
        ({"name": "fault", "norm": "skew", "epsilon": 1}, "stands still or runs backwards"),
        ({"name": "fault", "norm": "channels", "epsilon": 1}, "'fault' takes drift, skew"),
    ],
)
def test_threats_that_are_no_balls_are_refused_where_they_cannot_be_meant(spec, said):
    check_case({"name": "flip", "norm": "category", "epsilon": 1}, "a")
    check_case({"name": "fault", "norm": "skew", "epsilon": 0.5}, "a")
    with pytest.raises(SettingsError, match=said):
        check_case(spec, "a")


def test_an_unknown_attack_is_refused_with_the_nearest():
    with pytest.raises(PluginNotFound, match="'pgd'"):
        check_case({**GOOD, "name": "pdg"}, "a")


def test_epsilon_can_be_said_column_by_column():
    case = make_case({**GOOD, "epsilon": {"age": 2, "bmi": 0.5}}, "a")
    assert case.label == "pgd_linf_by_feature"
    assert case.ball.reach == (("age", 2.0), ("bmi", 0.5))
    assert case.as_dict()["epsilon"] == {"age": 2.0, "bmi": 0.5}


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"epsilon": {}}, "a.epsilon", "no feature may move"),
        ({"epsilon": {"age": 0}}, "a.reach.0.1", "greater than 0"),
        ({"epsilon": {"age": float("inf")}}, "a.epsilon", "finite"),
        ({"norm": "l0", "epsilon": 3}, "a.norm", "'pgd' takes l1, l2, linf, not l0"),
    ],
)
def test_what_no_column_or_attack_can_do_is_refused(change, place, said):
    with pytest.raises(SettingsError) as caught:
        check_case({**GOOD, **change}, "a")
    assert caught.value.where == place
    assert said in str(caught.value)
