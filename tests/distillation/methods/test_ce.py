import numpy as np
import pytest
import torch
from distillation.rows import STUDENT, TEACHER, array, batch, pairs, softmax
from hypothesis import given, settings

from stillhouse.distillation.methods.ce import CE, ce_loss
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Outputs


def test_golden_value():
    """−log q at the teacher's decision: 0, 2 and 2; the first is log(1 + e^−1.5 + e^−3)."""
    found = ce_loss(STUDENT, TEACHER)
    assert found[0].item() == pytest.approx(0.241311, abs=1e-6)
    wanted = -np.log(softmax(array(STUDENT))[[0, 1, 2], [0, 2, 2]])
    torch.testing.assert_close(found.double(), torch.tensor(wanted), atol=1e-6, rtol=0)


def test_only_the_decision_counts():
    assert torch.equal(ce_loss(STUDENT, TEACHER), ce_loss(STUDENT, 9 * TEACHER))


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_it_is_not_negative_and_follows_the_rows(logits):
    student, teacher = logits
    found = ce_loss(student, teacher)
    assert (found >= 0).all()
    torch.testing.assert_close(found, ce_loss(student + 3, teacher - 2))
    torch.testing.assert_close(found.flip(0), ce_loss(student.flip(0), teacher.flip(0)))


def test_extreme_logits_one_row_and_two_classes_stay_finite():
    student = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = ce_loss(student, torch.tensor([[0.0, 1.0]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(2e4)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_the_method_is_the_function_and_needs_a_teacher():
    rows = batch(torch.tensor([-1, -1, -1]))
    assert torch.equal(CE()(Outputs(STUDENT), Outputs(TEACHER), rows), ce_loss(STUDENT, TEACHER))
    with pytest.raises(UsageError, match="'ce' needs a teacher's logits"):
        CE()(Outputs(STUDENT), None, rows)
