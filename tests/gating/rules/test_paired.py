import numpy as np
import pytest

from stillhouse.errors import SettingsError
from stillhouse.gating.evidence import Evidence, Rows
from stillhouse.gating.rules.paired import Paired


def evidence(champion=None, incomparable=""):
    at = np.arange(540)
    outcomes = {
        "student": at < 516,
        "teacher": (at >= 3) & (at < 530),
        **({"champion": at < 510} if champion and not incomparable else {}),
    }
    return Evidence({"test/accuracy": Rows(outcomes)}, 540, {}, champion, incomparable)


def test_the_difference_is_taken_row_by_row():
    asked = Paired(metric="test/accuracy", against="teacher", margin=0.06).ask(evidence(), 0.0125)
    assert (asked.observed, asked.bound, asked.direction, asked.unit) == (
        -11 / 540,
        -0.06,
        ">=",
        "share",
    )
    assert asked.test.discordant == (14, 3)
    assert asked.test.met <= 0.0125


def test_a_champion_s_rule_needs_a_champion_and_says_what_is_missing():
    rule = Paired(metric="test/accuracy", against="champion")
    first = rule.ask(evidence(), 0.05)
    assert (first.applies, first.observed, first.bound) == (False, None, None)
    broken = rule.ask(evidence("version 6", "other classes."), 0.05)
    assert (broken.applies, broken.observed, broken.why) == (True, None, "other classes.")
    asked = rule.ask(evidence("version 6"), 0.05)
    assert asked.observed == 6 / 540
    assert asked.test.power(0.05) >= 0.8


def test_a_negative_margin_demands_a_gain():
    asked = Paired(metric="test/accuracy", against="champion", margin=-0.005).ask(
        evidence("version 6"), 0.05
    )
    assert asked.bound == 0.005
    assert asked.test.met > 0.05
    assert (
        Paired(metric="test/accuracy", against="champion", margin=0)
        .ask(evidence("version 6"), 0.05)
        .test.met
        <= 0.05
    )


def test_an_arm_that_was_not_trained_leaves_the_rule_open():
    assert (
        "no outcomes of hard"
        in Paired(metric="test/accuracy", against="hard", margin=0).ask(evidence(), 0.05).why
    )


def test_only_what_is_right_or_wrong_for_both_can_be_compared():
    with pytest.raises(SettingsError, match="row by row"):
        Paired(metric="robust/pgd_linf_0.1/accuracy", against="champion")
    with pytest.raises(SettingsError, match="nobody attacks teacher"):
        Paired(metric="robust/linf/accuracy", against="teacher")
    assert Paired(metric="robust/linf/accuracy", against="champion").margin is None
