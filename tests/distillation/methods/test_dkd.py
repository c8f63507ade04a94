import numpy as np
import pytest
import torch
from distillation.rows import STUDENT, TARGETS, TEACHER, array, batch, pairs, softmax
from hypothesis import given, settings

from stillhouse.distillation.methods.dkd import DKD, dkd_loss
from stillhouse.distillation.methods.kd import kd_loss
from stillhouse.models.outputs import Outputs


def by_the_paper(
    student: np.ndarray,
    teacher: np.ndarray,
    targets: np.ndarray,
    alpha: float,
    beta: float,
    temperature: float,
) -> np.ndarray:
    found = []
    for z, t, target in zip(student, teacher, targets, strict=True):
        q, p = softmax(z / temperature), softmax(t / temperature)
        tckd = p[target] * np.log(p[target] / q[target]) + (1 - p[target]) * np.log(
            (1 - p[target]) / (1 - q[target])
        )
        others = np.arange(len(z)) != target
        p_hat, q_hat = p[others] / p[others].sum(), q[others] / q[others].sum()
        nckd = (p_hat * np.log(p_hat / q_hat)).sum()
        found.append(temperature**2 * (alpha * tckd + beta * nckd))
    return np.array(found)


@pytest.mark.parametrize(
    ("alpha", "beta", "temperature"),
    [(1.0, 8.0, 4.0), (1.0, 0.0, 1.0), (0.0, 1.0, 2.0), (0.5, 2.0, 1.0)],
)
def test_golden_values_by_the_papers_equations(alpha: float, beta: float, temperature: float):
    wanted = by_the_paper(array(STUDENT), array(TEACHER), TARGETS.numpy(), alpha, beta, temperature)
    found = dkd_loss(
        STUDENT.double(), TEACHER.double(), TARGETS, alpha=alpha, beta=beta, temperature=temperature
    )
    torch.testing.assert_close(found, torch.tensor(wanted))


def test_golden_value_by_hand():
    """p = (1/2, 3/8, 1/8), q = (1/3, 1/3, 1/3), target 0.

    TCKD = 1/2 ln 3/2 + 1/2 ln 3/4 = 0.058892; NCKD of (3/4, 1/4) and (1/2, 1/2) = 0.130812.
    """
    teacher = torch.tensor([[4.0, 3.0, 1.0]]).log()
    first = torch.tensor([0])
    assert dkd_loss(
        torch.zeros(1, 3), teacher, first, alpha=1, beta=0, temperature=1
    ).item() == pytest.approx(0.058892, abs=1e-6)
    assert dkd_loss(
        torch.zeros(1, 3), teacher, first, alpha=0, beta=1, temperature=1
    ).item() == pytest.approx(0.130812, abs=1e-6)


def test_with_beta_the_teachers_doubt_it_is_kd():
    for row in range(3):
        s, t, target = (
            STUDENT[row : row + 1].double(),
            TEACHER[row : row + 1].double(),
            TARGETS[row : row + 1],
        )
        doubt = 1 - torch.softmax(t, dim=-1)[0, target].item()
        torch.testing.assert_close(
            dkd_loss(s, t, target, alpha=1, beta=doubt, temperature=1), kd_loss(s, t, 1.0)
        )


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_it_is_not_negative_blind_to_a_shift_and_follows_the_rows(logits):
    student, teacher = logits
    targets = torch.arange(len(student)) % student.shape[-1]
    found = dkd_loss(student, teacher, targets)
    assert (found >= 0).all()
    torch.testing.assert_close(
        found, dkd_loss(student + 5, teacher - 3, targets), atol=1e-9, rtol=1e-7
    )
    torch.testing.assert_close(
        found.flip(0), dkd_loss(student.flip(0), teacher.flip(0), targets.flip(0))
    )


def test_extreme_logits_stay_finite():
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = dkd_loss(student, torch.tensor([[-1e4, 1e4, 0.0]]), torch.tensor([1]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_with_two_classes_the_other_part_is_exactly_nothing():
    student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 2.0]])
    first = torch.tensor([0])
    assert dkd_loss(student, teacher, first, alpha=0, beta=8).item() == 0
    torch.testing.assert_close(
        dkd_loss(student, teacher, first, alpha=1, beta=8), kd_loss(student, teacher)
    )


def test_a_row_without_label_has_the_teachers_decision_as_its_target():
    method = DKD(alpha=2.0, beta=3.0, temperature=1.5)
    found = method(Outputs(STUDENT), Outputs(TEACHER), batch(torch.tensor([0, 1, -1])))
    torch.testing.assert_close(
        found,
        dkd_loss(STUDENT, TEACHER, torch.tensor([0, 1, 2]), alpha=2.0, beta=3.0, temperature=1.5),
    )
    assert (
        TEACHER[1].argmax() != 1
    )  # the label of the second row counts, not the teacher's decision
