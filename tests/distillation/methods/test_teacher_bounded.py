import pytest
import torch

from stillhouse.distillation.methods.teacher_bounded import TeacherBounded, teacher_bounded_loss
from stillhouse.errors import UsageError
from stillhouse.evaluation.tasks import Regression
from stillhouse.models.outputs import Batch, Outputs

TRUTH = torch.tensor([0.0, 0.0, 0.0])
STUDENT, TEACHER = torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[2.0], [2.0], [2.0]])


def test_golden_value():
    """Chen et al. 2017, equation 5: 9 > 4 counts, 1 < 4 does not, and 4 only with a margin."""
    assert teacher_bounded_loss(STUDENT, TEACHER, TRUTH).tolist() == [9.0, 0.0, 0.0]
    assert teacher_bounded_loss(STUDENT, TEACHER, TRUTH, 0.5).tolist() == [9.0, 0.0, 4.0]
    assert teacher_bounded_loss(STUDENT, TEACHER, TRUTH, 3.5).tolist() == [9.0, 1.0, 4.0]


def test_a_student_that_is_closer_than_its_teacher_is_left_alone():
    student = STUDENT.clone().requires_grad_()
    teacher_bounded_loss(student, TEACHER, TRUTH).sum().backward()
    assert student.grad is not None
    assert student.grad.flatten().tolist() == [6.0, 0.0, 0.0]


def test_a_row_without_a_label_learns_the_teachers_answer():
    known = torch.tensor([True, True, False])
    targets = torch.where(known, TRUTH, torch.nan)
    rows = Batch(torch.zeros(3, 1), targets, known, torch.arange(3))
    student = STUDENT.clone().requires_grad_()
    found = TeacherBounded()(Outputs(student), Outputs(TEACHER - 1), rows)
    assert found.tolist() == [9.0, 0.0, 1.0]
    found.sum().backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_quantiles_are_refused_and_a_mean_is_taken():
    TeacherBounded().attend(Regression())
    with pytest.raises(UsageError, match="compares errors of a mean"):
        TeacherBounded().attend(Regression((0.1, 0.5, 0.9)))
