import numpy as np
import pytest
import torch
from distillation.rows import STUDENT, TEACHER, array, batch, pairs, softmax
from hypothesis import given, settings

from stillhouse.config import build
from stillhouse.distillation.methods.kd import KD, kd_loss, standardize
from stillhouse.errors import SettingsError, UsageError
from stillhouse.models.outputs import Outputs


def by_the_paper(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return temperature**2 * (p * np.log(p / q)).sum(axis=-1)


def z_scores(logits: np.ndarray) -> np.ndarray:
    mean = logits.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(((logits - mean) ** 2).sum(axis=-1, keepdims=True) / logits.shape[-1])
    return (logits - mean) / deviation


def test_golden_value_by_hand():
    """Teacher ln 3 and 0: p = (3/4, 1/4). Student 0 and 0: q = (1/2, 1/2).

    KL = 3/4 ln 3/2 + 1/4 ln 1/2 = 0.130812; at T = 2, doubled, 4 times that.
    """
    teacher = torch.tensor([[np.log(3), 0.0]])
    assert kd_loss(torch.zeros(1, 2), teacher, 1.0).item() == pytest.approx(0.130812, abs=1e-6)
    assert kd_loss(torch.zeros(1, 2), 2 * teacher, 2.0).item() == pytest.approx(0.523248, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_golden_values_by_the_papers_equation(temperature: float):
    wanted = by_the_paper(array(STUDENT), array(TEACHER), temperature)
    torch.testing.assert_close(
        kd_loss(STUDENT.double(), TEACHER.double(), temperature), torch.tensor(wanted)
    )


def test_golden_standardised_values_by_the_papers_algorithm():
    torch.testing.assert_close(
        standardize(STUDENT.double()), torch.tensor(z_scores(array(STUDENT)))
    )
    wanted = by_the_paper(z_scores(array(STUDENT)), z_scores(array(TEACHER)), 2.0)
    found = KD(temperature=2.0, standardize=True)(
        Outputs(STUDENT.double()), Outputs(TEACHER.double()), batch(torch.tensor([-1, 0, 1]))
    )
    torch.testing.assert_close(found, torch.tensor(wanted))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_the_authors_deviation_is_ours_at_a_higher_temperature(temperature: float):
    """They divide by C − 1: their z-scores are f = √((C − 1) / C) of ours."""
    student, teacher = STUDENT.double(), TEACHER.double()
    f = (2 / 3) ** 0.5
    theirs = [
        (of - of.mean(1, keepdim=True)) / of.std(1, keepdim=True) for of in (student, teacher)
    ]
    found = f**2 * kd_loss(standardize(student), standardize(teacher), temperature / f)
    torch.testing.assert_close(found, kd_loss(*theirs, temperature))


def test_golden_z_scores_by_hand():
    """−1, 0, 1 has mean 0 and deviation √(2/3)."""
    torch.testing.assert_close(
        standardize(torch.tensor([[-1.0, 0.0, 1.0]])), torch.tensor([[-1.2247449, 0.0, 1.2247449]])
    )


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_it_is_not_negative_blind_to_a_shift_and_follows_the_rows(logits):
    student, teacher = logits
    found = kd_loss(student, teacher)
    assert (found >= 0).all()
    torch.testing.assert_close(found, kd_loss(student + 5, teacher - 3), atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(found.flip(0), kd_loss(student.flip(0), teacher.flip(0)))
    torch.testing.assert_close(
        kd_loss(student, student), torch.zeros(len(student), dtype=torch.float64)
    )


@settings(max_examples=25, deadline=None)
@given(pairs(classes=(3, 6)))
def test_standardised_it_is_blind_to_the_size_of_the_logits_too(logits):
    student, teacher = (value + torch.arange(value.shape[-1]) for value in logits)
    torch.testing.assert_close(standardize(student), standardize(7 * student + 2))
    assert (kd_loss(standardize(student), standardize(teacher)) >= 0).all()


def test_no_gradient_flows_into_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    kd_loss(student, teacher).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_extreme_logits_and_one_row_stay_finite():
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = kd_loss(student, torch.tensor([[-1e4, 1e4, 0.0]]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_constant_logits_have_a_modest_gradient_when_standardised():
    student = torch.full((1, 4), 3.0, requires_grad=True)
    kd_loss(standardize(student), standardize(TEACHER[:1].repeat(1, 2)[:, :4])).sum().backward()
    assert student.grad is not None
    assert 0 < student.grad.abs().max() < 1e3


def test_two_classes_are_refused_standardised_and_taken_plain():
    two = torch.tensor([[1.0, 0.0]])
    assert kd_loss(two, -two).item() > 0
    with pytest.raises(
        UsageError, match=r"standardised logits of two classes.*Leave standardize out"
    ):
        standardize(two)


@pytest.mark.parametrize("temperature", [0, -1.0, "hot"])
def test_a_temperature_that_is_not_positive_is_refused(temperature: object):
    assert build(KD, {"temperature": 0.5}, where="distill.method").temperature == 0.5
    with pytest.raises(SettingsError, match=r"distill\.method\.temperature"):
        build(KD, {"temperature": temperature}, where="distill.method")
