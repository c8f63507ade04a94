import math

import numpy as np
import pytest
import torch
from distillation.rows import STUDENT, TEACHER, array, batch, pairs, softmax
from hypothesis import given, settings

from stillhouse.distillation.methods.dist import DIST, correlation, dist_loss
from stillhouse.models.outputs import Outputs


def by_the_paper(
    student: np.ndarray, teacher: np.ndarray, beta: float, gamma: float, temperature: float
) -> float:
    q, p = softmax(student / temperature), softmax(teacher / temperature)
    inter = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(q, p, strict=True)])
    intra = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(q.T, p.T, strict=True)])
    return temperature**2 * (beta * inter + gamma * intra)


@pytest.mark.parametrize(
    ("beta", "gamma", "temperature"),
    [(1.0, 1.0, 1.0), (1.0, 0.0, 4.0), (0.0, 2.0, 1.0), (0.5, 0.25, 4.0)],
)
def test_golden_values_by_the_papers_equations(beta: float, gamma: float, temperature: float):
    found = dist_loss(
        STUDENT.double(), TEACHER.double(), beta=beta, gamma=gamma, temperature=temperature
    )
    assert found.item() == pytest.approx(
        by_the_paper(array(STUDENT), array(TEACHER), beta, gamma, temperature), rel=1e-5
    )


def test_golden_value_by_hand():
    """At T = 1/ln 2 logits of whole numbers are powers of two: (4, 2, 1)/7 against (2, 4, 1)/7.

    Centred 5, −1, −4 and −1, 5, −4 (over 21): product 6 of norm² 42, so inter is 1 − 1/7. The two
    rows change places in the teacher: the first two classes fall where they should rise (1 + 1),
    and the third varies in neither (1): intra is 5/3. Together, by T²: (6/7 + 5/3) / ln² 2.
    """
    teacher = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0]], dtype=torch.float64)
    wanted = (6 / 7 + 5 / 3) / math.log(2) ** 2
    found = dist_loss(teacher.flip(0), teacher, temperature=1 / math.log(2))
    assert found.item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("rows", "classes"), [(7, 3), (16, 10), (64, 1000)])
@pytest.mark.parametrize(("temperature", "size"), [(1.0, 5.0), (4.0, 1.0), (20.0, 1.0)])
def test_many_classes_and_soft_answers_are_compared_in_full(
    rows: int, classes: int, temperature: float, size: float
):
    """A floor in the norm that is not in proportion to it would damp them."""
    generator = torch.Generator().manual_seed(3)
    student, teacher = size * torch.randn(
        2, rows, classes, generator=generator, dtype=torch.float64
    )
    q, p = (torch.softmax(logits / temperature, dim=1) for logits in (student, teacher))

    def apart(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
        return 1 - ((a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-8)).mean()

    torch.testing.assert_close(
        dist_loss(student, teacher, temperature=temperature),
        temperature**2 * (apart(q, p) + apart(q.T, p.T)),
    )


def test_golden_correlation_by_hand():
    """(1, 2, 3) and (1, 3, 2): covariance 1, both norms √2, hence 1/2."""
    assert correlation(
        torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 3.0, 2.0]]), dim=1
    ).item() == pytest.approx(0.5)


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_it_is_not_negative_blind_to_a_shift_and_to_the_order_of_rows(logits):
    student, teacher = logits
    found = dist_loss(student, teacher)
    assert found.ndim == 0
    assert found >= 0
    torch.testing.assert_close(found, dist_loss(student + 5, teacher - 3), atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(
        found, dist_loss(student.flip(0), teacher.flip(0)), atol=1e-9, rtol=1e-7
    )


@pytest.mark.parametrize(
    "student", [torch.zeros(4, 3), torch.full((4, 3), 7.0), torch.tensor([[1e4, -1e4, 0.0]] * 4)]
)
def test_constant_and_extreme_logits_have_a_modest_gradient(student: torch.Tensor):
    student = student.clone().requires_grad_()
    teacher = torch.cat([TEACHER, TEACHER[:1]])
    loss = dist_loss(student, teacher, temperature=1.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert student.grad is not None
    assert student.grad.abs().max() < 1e3


def gradient(beta: float, gamma: float, student: torch.Tensor, teacher: torch.Tensor) -> float:
    student = student.clone().requires_grad_()
    dist_loss(student, teacher, beta=beta, gamma=gamma).backward()
    assert student.grad is not None
    return student.grad.abs().max().item()


def test_between_two_classes_only_the_relations_between_rows_teach():
    student, teacher = STUDENT[:, :2].double(), TEACHER[:, :2].double()
    between_rows = gradient(0.0, 1.0, student, teacher)
    assert between_rows > 0.1
    assert gradient(1.0, 0.0, student, teacher) < 1e-4 * between_rows


def test_of_one_row_only_the_relations_between_classes_teach():
    student, teacher = STUDENT[:1].double(), TEACHER[:1].double()
    assert dist_loss(student, teacher, beta=0.0, gamma=1.0, temperature=1.0).item() == 1.0
    assert gradient(0.0, 1.0, student, teacher) == 0
    assert gradient(1.0, 0.0, student, teacher) > 1e-3


def test_the_method_is_the_function_and_says_that_it_needs_the_batch():
    found = DIST(beta=2.0, gamma=0.5, temperature=3.0)(
        Outputs(STUDENT), Outputs(TEACHER), batch(torch.tensor([-1, 0, 1]))
    )
    torch.testing.assert_close(
        found, dist_loss(STUDENT, TEACHER, beta=2.0, gamma=0.5, temperature=3.0)
    )
    assert not DIST.per_sample
