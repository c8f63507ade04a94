import pytest

from stillhouse.evaluation.gain import Gain
from stillhouse.evaluation.measure import ACCURACY, Measure
from stillhouse.receipt.advice import (
    DECISIONS,
    DROP,
    HARMS,
    KNOWS_NOTHING,
    advice,
    per_point,
    untold,
)

SECONDS = {"prepare": 5.0, "teacher": 6.0, "knowledge": 2.0}
TRAINING = {"student": 3.0, "none": 1.0}


def gains(**over: tuple[float, float, float]) -> list[dict]:
    return [
        {"over": arm, "estimate": estimate, "interval": [low, high]}
        for arm, (low, estimate, high) in over.items()
    ]


KNOWS = [0.5, 0.6, 0.7]


def advised(knows: list[float] | None = KNOWS, **over: tuple[float, float, float]) -> dict:
    return advice(gains(**over), knows=knows, measure=ACCURACY, seconds=SECONDS, training=TRAINING)


def test_a_teacher_that_gave_points_is_kept_and_each_point_has_its_price():
    """10 s of work: 6 + 2 + 2; 4 points [2, 5]."""
    found = advised(none=(0.02, 0.04, 0.05), hard=(0.01, 0.02, 0.03))
    assert found["keep"]
    assert found["confidences"]
    assert found["seconds_per_point"] == pytest.approx([2.0, 2.5, 5.0])
    assert "Each point over labels alone cost 2.5\u00a0s of work [2.0, 5.0]" in found["sentence"]


def test_where_its_decisions_do_as_well_its_confidences_are_not_asked_for():
    found = advised(none=(0.02, 0.04, 0.05), hard=(-0.01, 0.0, 0.01))
    assert (found["keep"], found["confidences"]) == (True, False)
    assert found["sentence"].endswith(DECISIONS)


@pytest.mark.parametrize(
    ("over", "said"), [((-0.01, 0.002, 0.01), DROP), ((-0.05, -0.03, -0.01), HARMS)]
)
def test_a_teacher_that_gave_nothing_is_dropped(over: tuple[float, float, float], said: str):
    found = advised(none=over, hard=(0.1, 0.2, 0.3))
    assert not found["keep"]
    assert found["seconds_per_point"] is None
    assert found["sentence"] == said


@pytest.mark.parametrize("knows", [[-0.01, 0.0, 0.01], [0.0, 0.0, 0.0]])
def test_a_gain_from_a_teacher_that_knows_nothing_of_a_row_is_that_of_softer_labels(
    knows: list[float],
):
    found = advised(knows, none=(0.02, 0.04, 0.05))
    assert not found["keep"]
    assert found["sentence"] == KNOWS_NOTHING
    assert advised(KNOWS, none=(0.02, 0.04, 0.05))["keep"]


def test_without_an_arm_that_had_no_teacher_nothing_is_advised():
    assert advised(hard=(0.1, 0.2, 0.3)) is None
    assert advised(none=(0.1, 0.2, 0.3))["confidences"] is None


def test_a_point_has_no_price_where_nothing_was_clocked_or_an_error_is_told():
    assert per_point(Gain(0.04, 0.02, 0.05), {}, {}) is None
    error = Measure("mae", "Mean absolute error", "s", 1.0, more_is_better=False)
    found = advice(
        gains(none=(1.0, 2.0, 3.0)), knows=None, measure=error, seconds=SECONDS, training=TRAINING
    )
    assert (found["keep"], found["seconds_per_point"], found["sentence"]) == (True, None, "")


def test_a_training_that_is_no_longer_than_without_a_teacher_costs_nothing_more():
    assert per_point(
        Gain(0.01, 0.01, 0.01), SECONDS, {"student": 1.0, "none": 4.0}
    ) == pytest.approx([8.0, 8.0, 8.0])


def test_what_was_not_passed_on_is_told_with_the_class_that_got_least():
    told = untold(
        {
            "selector": {"name": "confidence"},
            "share": 0.875,
            "by_class": [{"class": "elm", "rows": 8, "share": 0.5}],
            "none": [4],
            "nothing": 1,
        }
    )
    assert told == (
        "The selector confidence passed on 87.5\u00a0% of what the teacher said; 1 row got nothing "
        "of it. Least was passed on in class elm, 50.0\u00a0%."
    )
    assert untold(None) == ""
