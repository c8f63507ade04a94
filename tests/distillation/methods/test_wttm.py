import numpy as np
import pytest
import torch
from distillation.rows import STUDENT, TEACHER, array, batch, pairs, softmax
from hypothesis import given, settings

from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.distillation.methods.wttm import WTTM, wttm_loss
from stillhouse.models.outputs import Outputs


def by_the_paper(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    q, raised = softmax(student), softmax(teacher) ** (1 / temperature)
    size = raised.sum(axis=1)
    p = raised / size[:, None]
    return size * (p * np.log(p / q)).sum(axis=1)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0, 20.0])
def test_golden_values_by_the_papers_equations(temperature: float):
    found = wttm_loss(STUDENT.double(), TEACHER.double(), temperature)
    torch.testing.assert_close(
        found, torch.tensor(by_the_paper(array(STUDENT), array(TEACHER), temperature))
    )


def test_golden_value_by_hand():
    """p = (16/17, 1/17) at T = 2: roots 4 and 1 over √17, size 5/√17 = 1.212678, p̂ = (4/5, 1/5);
    against (1/2, 1/2) KL = 0.192745.
    """
    teacher = torch.tensor([[16.0, 1.0]]).log()
    assert wttm_loss(torch.zeros(1, 2), teacher, 2.0).item() == pytest.approx(
        1.212678 * 0.192745, abs=1e-5
    )


def test_at_temperature_one_it_is_kd():
    torch.testing.assert_close(wttm_loss(STUDENT, TEACHER, 1.0), kd_loss(STUDENT, TEACHER, 1.0))


def test_a_doubtful_row_weighs_c_to_the_power_of_one_minus_gamma_and_a_sure_one_1():
    """10^0.75 = 5.62 at ten classes; by the slope around a student of equal logits, as the loss
    itself is 0 there.
    """
    classes, temperature = 10, 4.0
    student = torch.zeros(1, classes, dtype=torch.float64, requires_grad=True)
    wttm_loss(student, torch.zeros(1, classes).double(), temperature).sum().backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-12
    tilted = torch.zeros(1, classes, dtype=torch.float64)
    tilted[0, 0] = 1e-6
    [weight] = wttm_loss(tilted, torch.zeros(1, classes).double(), temperature) / kd_loss(
        tilted, torch.zeros(1, classes).double(), 1.0
    )
    assert weight.item() == pytest.approx(classes**0.75, rel=1e-3)
    sure = torch.zeros(1, classes, dtype=torch.float64)
    sure[0, 0] = 400.0
    assert wttm_loss(torch.zeros(1, classes).double(), sure, temperature).item() == pytest.approx(
        np.log(classes), rel=1e-6
    )


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_it_is_not_negative_blind_to_a_shift_and_follows_the_rows(logits):
    student, teacher = logits
    found = wttm_loss(student, teacher)
    assert found.shape == (len(student),)
    assert (found >= 0).all()
    torch.testing.assert_close(found, wttm_loss(student + 5, teacher - 3), atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(found.flip(0), wttm_loss(student.flip(0), teacher.flip(0)))


def test_extreme_logits_stay_finite():
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = wttm_loss(student, torch.tensor([[-1e4, 1e4, 0.0]]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_the_method_is_the_function():
    found = WTTM(temperature=3.0)(
        Outputs(STUDENT), Outputs(TEACHER), batch(torch.tensor([-1, 0, 1]))
    )
    torch.testing.assert_close(found, wttm_loss(STUDENT, TEACHER, 3.0))
