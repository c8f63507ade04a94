import pytest
import torch
import torch.nn.functional as F

from stillhouse.data.dataset import Dataset
from stillhouse.data.schema import Feature, Schema
from stillhouse.errors import SettingsError
from stillhouse.evaluation.tasks import MULTI_LABEL, TASKS, task_of, variants
from stillhouse.evaluation.weights import class_weights

NAN = float("nan")
SCHEMA = Schema("table", (1,), (), (Feature("x"),), "multi_label", labels=("a", "b", "c"))
ODDS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 1.0, 0.0]])
TRUTH = torch.tensor([[1.0, 0.0, NAN], [NAN, 0.0, 1.0]])


def test_a_schema_of_labels_is_this_task():
    assert task_of(SCHEMA) is MULTI_LABEL
    assert TASKS["multi_label"] is MULTI_LABEL
    assert variants("multi_label") == (MULTI_LABEL,)
    assert MULTI_LABEL.right_or_wrong
    assert not MULTI_LABEL.decides


def test_the_base_loss_is_the_cross_entropy_of_each_label_that_is_known():
    by_hand = F.binary_cross_entropy_with_logits(ODDS, TRUTH.nan_to_num(0.0), reduction="none")
    wanted = torch.stack([by_hand[0, 0] + by_hand[0, 1], by_hand[1, 1] + by_hand[1, 2]])
    torch.testing.assert_close(MULTI_LABEL.each(ODDS, TRUTH), wanted)
    torch.testing.assert_close(MULTI_LABEL.total(ODDS, TRUTH), wanted.sum())
    asked = ODDS.clone().requires_grad_()
    MULTI_LABEL.total(asked, TRUTH).backward()
    assert asked.grad is not None
    assert asked.grad[TRUTH.isnan()].tolist() == [0.0, 0.0]
    assert (asked.grad[~TRUTH.isnan()] != 0).all()
    with pytest.raises(TypeError, match="no class weights"):
        MULTI_LABEL.total(ODDS, TRUTH, torch.ones(3))


def test_smoothed_labels_leave_half_of_the_smoothing_to_the_other_answer():
    full = torch.tensor([[1.0, 0.0, 1.0]])
    wanted = F.binary_cross_entropy_with_logits(
        ODDS[:1], torch.tensor([[0.9, 0.1, 0.9]]), reduction="sum"
    )
    torch.testing.assert_close(MULTI_LABEL.smoothed(ODDS[:1], full, 0.2), wanted)


def test_hard_follows_every_decision_of_the_teacher():
    teacher = torch.tensor([[5.0, -0.1, 0.1]])
    wanted = F.binary_cross_entropy_with_logits(
        ODDS[:1], torch.tensor([[1.0, 0.0, 1.0]]), reduction="none"
    ).sum(1)
    torch.testing.assert_close(MULTI_LABEL.follow(ODDS[:1], teacher), wanted)


def test_stored_log_odds_are_halves_that_do_not_overflow():
    stored = MULTI_LABEL.stored(torch.tensor([[1e9, -1e9, 1.25]]))
    assert stored.dtype == torch.float16
    assert stored.isfinite().all()
    assert stored[0, 2] == 1.25


def test_a_row_is_right_where_every_known_label_is():
    assert MULTI_LABEL.merit(ODDS, TRUTH).tolist() == [True, False]
    assert MULTI_LABEL.alike(ODDS, -ODDS).tolist() == [False, False]
    assert MULTI_LABEL.agreement(ODDS, ODDS * 3) == 1.0
    assert MULTI_LABEL.moved(ODDS, ODDS).tolist() == [0.0, 0.0]
    assert MULTI_LABEL.curve(ODDS, TRUTH)[0] == 0.5


def test_answers_name_the_labels_and_how_probable_each_is():
    first, second = MULTI_LABEL.answers(ODDS, SCHEMA)
    assert first["labels"] == ["a", "c"]
    assert second["labels"] == ["b"]
    assert first["probabilities"] == pytest.approx(
        {"a": 0.880797, "b": 0.268941, "c": 0.622459}, abs=1e-6
    )


def test_answers_give_each_label_from_its_own_threshold_on():
    at = [0.9, 0.26, 0.6]
    first, second = MULTI_LABEL.answers(ODDS, SCHEMA, at)
    assert (first["labels"], second["labels"]) == (["b", "c"], ["b"])
    assert first["probabilities"] == MULTI_LABEL.answers(ODDS, SCHEMA)[0]["probabilities"]


def test_labels_have_no_class_weights():
    rows = Dataset(torch.zeros(2, 1), TRUTH, SCHEMA, torch.arange(2))
    assert class_weights(None, rows, "distill.class_weights") is None
    with pytest.raises(SettingsError, match="no classes that could weigh"):
        class_weights("balanced", rows, "distill.class_weights")
