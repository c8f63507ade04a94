from dataclasses import replace

import numpy as np
import pytest
import torch

from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.evidence import Resampled
from stillhouse.gating.settings import parse
from stillhouse.gating.verdict import judge


def sure(classes, by=4.0, count=3):
    return by * torch.nn.functional.one_hot(torch.as_tensor(classes), count).float()


@pytest.fixture
def found():
    """300 rows of three classes; of class 2 the student loses half, which the champion had."""
    targets = torch.arange(300) % 3
    student = torch.where((targets == 2) & (torch.arange(300) % 2 == 0), 0, targets)
    return Outcomes(
        targets,
        {"student": sure(student), "teacher": sure(targets), "champion": sure(targets)},
        classes=("a", "b", "c"),
        slices={"even": torch.arange(300) % 2 == 0},
        unlike={"noise": sure(torch.zeros(200).long(), by=0.5)},
    )


def test_the_worst_class_and_slice_are_judged_by_name(found):
    told = judge(
        parse(
            [
                {"metric": "test/worst_class", "at_least": 0.8},
                {"metric": "slices/worst", "at_least": 0.5},
                {"metric": "fidelity/agreement", "at_least": 0.75},
                {"metric": "fidelity/worst_class", "at_least": 0.7},
                {"metric": "ood/noise", "at_least": 0.9},
            ]
        ),
        collect(found, champion="version 1"),
    )
    assert [f.verdict for f in told.findings] == ["fail", "pass", "pass", "fail", "pass"]
    assert told.findings[0].about == "class c"
    assert told.findings[3].about == "where the teacher says c"
    assert told.findings[4].observed == 1.0
    assert "in class c" in told.findings[0].sentence


def test_slices_of_which_the_test_split_has_no_row_say_nothing(found):
    rules = parse(
        [
            {"metric": "test/accuracy", "at_least": 0.5},
            {"name": "collapse"},
            {"metric": "slices/worst", "at_least": 0.5},
            {"metric": "flips/worst_slice", "against": "champion", "at_most": 0.5},
        ]
    )
    seen = judge(rules, collect(found, champion="version 1"))
    assert [f.verdict for f in seen.findings] == ["pass", "pass", "pass", "pass"]
    nowhere = replace(found, slices={"year = 1989": torch.zeros(300, dtype=torch.bool)})
    told = judge(rules, collect(nowhere, champion="version 1"))
    assert [f.verdict for f in told.findings] == [
        "pass",
        "not_applicable",
        "undecided",
        "undecided",
    ]
    assert "no test row lies in a slice" in told.findings[2].sentence
    assert told.verdict == "hold"


def test_flips_are_counted_against_the_champion_and_need_one(found):
    evidence = collect(found, champion="version 1")
    assert int(evidence.measured["flips/negative"].outcomes["student"].sum()) == 50
    rules = parse(
        [
            {"metric": "flips/negative", "against": "champion", "at_most": 0.1},
            {"metric": "test/accuracy", "at_least": 0.5},
        ]
    )
    assert judge(rules, evidence).findings[0].verdict == "fail"
    alone = Outcomes(found.targets, {"student": found.logits["student"]})
    assert judge(rules, collect(alone)).findings[0].verdict == "not_applicable"
    away = judge(rules, collect(alone, champion="version 1", incomparable="it takes other rows."))
    assert (away.findings[0].verdict, away.verdict) == ("undecided", "hold")
    assert "other rows" in away.findings[0].sentence


def test_calibration_in_equal_bins_and_the_risk_behind_confidence_are_resampled_if_asked(found):
    asked = {"test/adaptive_ece", "test/aurc"}
    assert not asked & set(collect(found).measured)
    evidence = collect(found, asked)
    for name in asked:
        told = evidence.measured[name]
        assert isinstance(told, Resampled)
        assert told.draws[0] < told.estimate < told.draws[-1]
        assert np.isfinite(told.draws).all()
