from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from stillhouse.data.schema import Quantity, Schema
from stillhouse.evaluation import metrics
from stillhouse.evaluation.tasks import CLASSIFICATION, Regression, task_of

CLASSES = Schema("table", (1,), ("a", "b", "c"), ())
MEAN = replace(CLASSES, classes=(), task="regression", quantity=Quantity("dust", "µg"))
LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [1.0, 1.0, 5.0]])


def test_a_schema_names_its_task_by_what_it_tells():
    assert task_of(CLASSES) is CLASSIFICATION
    assert task_of(MEAN).measure.unit == "µg"
    levels = replace(MEAN, quantity=Quantity("dust", quantiles=(0.1, 0.5)))
    assert task_of(levels).quantiles == (0.1, 0.5)
    assert levels.outputs == ("q0.1", "q0.5")
    assert MEAN.outputs == ("mean",)


def test_the_base_loss_of_classes_is_cross_entropy_over_the_labelled_rows():
    targets = torch.tensor([0, -1, 1])
    wanted = F.cross_entropy(LOGITS[[0, 2]], targets[[0, 2]], reduction="sum")
    assert torch.equal(CLASSIFICATION.total(LOGITS, targets), wanted)
    weighed = CLASSIFICATION.total(LOGITS, targets, torch.tensor([2.0, 3.0, 1.0]))
    rows = F.cross_entropy(LOGITS, targets.clamp_min(0), reduction="none")
    torch.testing.assert_close(weighed, 2 * rows[0] + 3 * rows[2])


def test_the_base_loss_of_a_mean_is_its_squared_error_over_the_labelled_rows():
    told, targets = torch.tensor([[1.0], [4.0], [2.0]]), torch.tensor([3.0, torch.nan, 2.5])
    assert Regression().total(told, targets).item() == pytest.approx(4.25)
    told.requires_grad_()
    Regression().total(told, targets).backward()
    assert told.grad is not None
    assert told.grad.flatten().tolist() == pytest.approx([-4.0, 0.0, -1.0])


def test_the_base_loss_of_quantiles_is_theirs():
    task = Regression((0.1, 0.5, 0.9))
    told = torch.tensor([[0.0, 1.0, 2.0]])
    assert task.total(told, torch.tensor([1.0])).item() == pytest.approx((0.1 + 0.0 + 0.1) / 3)
    assert task.point(told).tolist() == [1.0]


def test_a_quantity_has_no_class_weights():
    with pytest.raises(TypeError, match="no class weights"):
        Regression().total(torch.zeros(1, 1), torch.zeros(1), torch.ones(1))


def test_hard_follows_the_decision_and_of_a_quantity_the_prediction():
    student = torch.tensor([[0.5, 0.2, 0.1]])
    wanted = F.cross_entropy(student, torch.tensor([0]), reduction="none")
    assert torch.equal(CLASSIFICATION.follow(student, LOGITS[:1]), wanted)
    assert Regression().follow(torch.tensor([[1.0]]), torch.tensor([[3.0]])).item() == 4.0


def test_knowledge_of_a_quantity_is_stored_as_it_is():
    prices = torch.tensor([[350_000.0], [351_000.0]])
    assert torch.equal(Regression().stored(prices), prices)
    assert CLASSIFICATION.stored(LOGITS).dtype == torch.float16
    assert CLASSIFICATION.stored(LOGITS).amax(dim=1).tolist() == [0.0, 0.0, 0.0]


def test_more_merit_is_better_in_every_task():
    targets = torch.tensor([0, 1, 0])
    assert torch.equal(CLASSIFICATION.merit(LOGITS, targets), metrics.correct(LOGITS, targets))
    merit = Regression().merit(torch.tensor([[1.0], [5.0]]), torch.tensor([1.5, 1.0]))
    assert merit.tolist() == [-0.5, -4.0]
    assert Regression().measure.of_merit(-2.25) == 2.25


def test_answers_are_named():
    assert CLASSIFICATION.answers(LOGITS[:1], CLASSES)[0]["class"] == "a"
    assert task_of(MEAN).answers(torch.tensor([[2.5]]), MEAN) == [{"mean": 2.5}]
