import pytest
import torch

from stillhouse.errors import SettingsError
from stillhouse.gating.collect import Outcomes, collect
from stillhouse.gating.evidence import Exact, Resampled, Rows


def logits(*classes):
    return torch.nn.functional.one_hot(torch.tensor(classes), 3).float()


FOUND = Outcomes(
    targets=torch.tensor([0, 1, 2, -1]),
    logits={"student": logits(0, 1, 1, 0), "teacher": logits(0, 1, 2, 0)},
    int8=logits(0, 2, 1, 0),
    robust={
        "clean": torch.tensor([1, 1, 0], dtype=torch.uint8),
        "attack/a": torch.tensor([1, 0, 0], dtype=torch.uint8),
        "attack/b": torch.tensor([0, 1, 0], dtype=torch.uint8),
        "attack/c": torch.tensor([1, 1, 0], dtype=torch.uint8),
        "corruption/noise/1": torch.tensor([1, 1, 0, 0], dtype=torch.uint8),
        "corruption/noise/2": torch.tensor([1, 0, 0, 0], dtype=torch.uint8),
        "corruption/blur/1": torch.tensor([1, 1, 1, 0], dtype=torch.uint8),
    },
    norms={"a": "linf", "b": "linf", "c": "l2"},
    exact={"edge/size_kb": 12.5},
)


def right(evidence, metric, who="student"):
    return evidence.measured[metric].outcomes[who].tolist()


def test_outcomes_are_paired_on_rows_that_have_a_target():
    evidence = collect(FOUND)
    assert evidence.rows == 3
    assert right(evidence, "test/accuracy") == [True, True, False]
    assert right(evidence, "test/accuracy", "teacher") == [True, True, True]
    assert right(evidence, "edge/int8_agreement") == [True, False, True]
    assert right(evidence, "edge/int8_accuracy") == [True, False, False]
    assert evidence.measured["edge/size_kb"] == Exact(12.5)


def test_a_norm_is_the_worst_over_its_attacks_row_by_row():
    evidence = collect(FOUND)
    assert right(evidence, "robust/linf/accuracy") == [False, False, False]
    assert right(evidence, "robust/l2/accuracy") == [True, True, False]
    assert right(evidence, "robust/a/accuracy") == [True, False, False]
    assert right(evidence, "robust/clean/accuracy") == [True, True, False]


def test_a_corruption_of_several_severities_is_a_mean_and_of_one_a_share():
    evidence = collect(FOUND)
    assert isinstance(evidence.measured["corruption/blur/accuracy"], Rows)
    assert evidence.measured["corruption/noise/accuracy"].estimate == pytest.approx(0.5)
    assert evidence.measured["corruption/mean_accuracy"].estimate == pytest.approx((0.5 + 1) / 2)


def test_only_what_rules_ask_for_is_resampled():
    assert "test/ece" not in collect(FOUND).measured
    assert isinstance(collect(FOUND, {"test/ece"}).measured["test/ece"], Resampled)


def test_what_could_not_be_measured_is_undecided_and_what_does_not_exist_is_refused():
    evidence = collect(
        Outcomes(
            FOUND.targets,
            FOUND.logits,
            not_measured={"transfer": "the teacher gives no gradients."},
        ),
        {"robust/transfer_linf_0.1/accuracy"},
    )
    assert evidence.of("edge/int8_size_kb") is None
    assert "int8" in evidence.unmeasured["edge/int8_size_kb"]
    assert (
        evidence.unmeasured["robust/transfer_linf_0.1/accuracy"]
        == "the teacher gives no gradients."
    )
    assert evidence.of("test/accuracy") is not None
    with pytest.raises(SettingsError, match="measures no 'my/metric'"):
        evidence.of("my/metric")
