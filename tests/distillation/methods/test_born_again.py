import math

import torch
from distillation.rows import STUDENT, TARGETS, TEACHER, batch

from stillhouse.distillation.methods.born_again import BornAgain, born_again_loss
from stillhouse.models.outputs import Outputs


def test_golden_value_by_hand():
    """Confidences 3/4 and 1/2, mean 5/8: weights 1.2 and 0.8 of ln 2."""
    teacher = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log()
    found = born_again_loss(torch.zeros(2, 2), teacher, torch.tensor([0, 1]))
    torch.testing.assert_close(found, torch.tensor([1.2, 0.8]) * math.log(2))


def test_its_mean_is_the_papers_sum_with_weights_that_sum_to_one():
    surest = TEACHER.softmax(dim=1).amax(dim=1)
    each = torch.nn.functional.cross_entropy(STUDENT, TARGETS, reduction="none")
    wanted = (surest / surest.sum() * each).sum()
    torch.testing.assert_close(born_again_loss(STUDENT, TEACHER, TARGETS).mean(), wanted)


def test_one_row_is_plain_cross_entropy():
    torch.testing.assert_close(
        born_again_loss(STUDENT[:1], TEACHER[:1], TARGETS[:1]),
        torch.nn.functional.cross_entropy(STUDENT[:1], TARGETS[:1], reduction="none"),
    )


def test_a_row_without_a_label_has_the_teachers_decision():
    found = BornAgain()(Outputs(STUDENT), Outputs(TEACHER), batch(torch.tensor([0, -1, 2])))
    torch.testing.assert_close(found, born_again_loss(STUDENT, TEACHER, torch.tensor([0, 2, 2])))


def test_no_gradient_flows_into_the_teacher_and_extreme_logits_stay_finite():
    student = torch.tensor([[1e4, -1e4]], requires_grad=True)
    teacher = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    born_again_loss(student, teacher, torch.tensor([1])).sum().backward()
    assert teacher.grad is None
    assert torch.isfinite(student.grad).all()
