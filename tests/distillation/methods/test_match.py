import pytest
import torch
from distillation.rows import batch

from stillhouse.distillation.methods.match import Match, match_loss
from stillhouse.distillation.objective import refuse_task
from stillhouse.distillation.selectors.all import All
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import CLASSIFICATION, Regression
from stillhouse.models.outputs import Outputs

STUDENT, TEACHER = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[1.0], [0.0], [7.0]])


def test_golden_value():
    assert match_loss(STUDENT, TEACHER).tolist() == [0.0, 4.0, 9.0]
    two = torch.tensor([[1.0, 2.0]])
    assert match_loss(two, torch.tensor([[3.0, 2.0]])).item() == 2.0


def test_no_gradient_flows_into_the_teacher():
    teacher = TEACHER.clone().requires_grad_()
    student = STUDENT.clone().requires_grad_()
    match_loss(student, teacher).sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.flatten().tolist() == [0.0, 4.0, -6.0]


def test_the_method_is_the_function():
    rows = batch(torch.tensor([-1, -1, -1]))
    assert torch.equal(
        Match()(Outputs(STUDENT), Outputs(TEACHER), rows), match_loss(STUDENT, TEACHER)
    )


def test_classes_are_refused_by_name_and_a_quantity_is_taken():
    refuse_task(Match(), All(), Regression())
    with pytest.raises(UsageError, match="'match' is for regression, and this is a classification"):
        refuse_task(Match(), All(), CLASSIFICATION)
