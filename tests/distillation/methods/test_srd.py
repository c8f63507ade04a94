import math

import numpy as np
import pytest
import torch
from distillation.rows import STUDENT, TEACHER, batch

from stillhouse.distillation.methods.srd import SMALLEST_SUM, SMALLEST_VARIANCE, SRD, srd_loss
from stillhouse.errors import UsageError
from stillhouse.models.outputs import Outputs

ROWS = batch(torch.tensor([0, 1, -1]))


def outputs(*shape: int, seed: int = 0) -> Outputs:
    return Outputs(
        TEACHER,
        {"penultimate": torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))},
    )


def test_golden_value_by_the_papers_equation():
    student, teacher = (rows.double().numpy() for rows in (STUDENT, TEACHER))
    normed = [
        (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + SMALLEST_VARIANCE)
        for rows in (student, teacher)
    ]
    wanted = math.log((np.abs(normed[0] - normed[1]) ** 4).sum() + SMALLEST_SUM)
    assert srd_loss(STUDENT.double(), TEACHER.double()).item() == pytest.approx(wanted)


def test_golden_value_by_hand():
    """Two rows standardise to ±1 (but for the variance's 1e-4 in 1e6); turned round they differ by
    2 in both rows: log (2⁴ + 2⁴).
    """
    student = torch.tensor([[1000.0], [-1000.0]])
    assert srd_loss(student, -student).item() == pytest.approx(math.log(32), abs=1e-5)


def test_each_side_is_batch_normed_by_torchs_own():
    student, teacher = (
        torch.nn.functional.batch_norm(rows, None, None, training=True, eps=SMALLEST_VARIANCE)
        for rows in (STUDENT, TEACHER)
    )
    torch.testing.assert_close(
        srd_loss(STUDENT, TEACHER, 2.0),
        torch.log((student - teacher).square().sum() + SMALLEST_SUM),
    )


@pytest.mark.parametrize("student", [TEACHER, 3 * TEACHER + 1, torch.ones(3, 3), TEACHER[:1]])
def test_equal_constant_and_single_rows_have_a_finite_loss_and_gradient(student: torch.Tensor):
    student = student.clone().requires_grad_()
    loss = srd_loss(student, TEACHER[: len(student)])
    loss.backward()
    assert torch.isfinite(loss)
    assert loss >= math.log(SMALLEST_SUM) - 1e-4
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_of_one_row_nothing_is_learned():
    student = TEACHER[:1].clone().requires_grad_()
    loss = srd_loss(student, STUDENT[:1])
    loss.backward()
    assert loss.item() == pytest.approx(math.log(SMALLEST_SUM))
    assert student.grad is not None
    assert student.grad.abs().max() == 0


@pytest.mark.parametrize(("mine", "its"), [((4,), (6,)), ((2, 4, 4), (3, 2, 2)), ((4,), (3, 8))])
def test_the_method_is_the_function_behind_pooling_and_its_projector(
    mine: tuple[int, ...], its: tuple[int, ...]
):
    method, student, teacher = SRD(), outputs(*mine), outputs(*its, seed=1)
    method.build(student, teacher)
    assert method.projector is not None
    pooled = [
        o.features["penultimate"].reshape(3, o.features["penultimate"].shape[1], -1).mean(dim=2)
        for o in (student, teacher)
    ]
    torch.testing.assert_close(
        method(student, teacher, ROWS), srd_loss(method.projector(pooled[0]), pooled[1])
    )
    assert len(list(method.parameters())) == 2
    assert not SRD.per_sample


def test_before_it_was_built_it_says_so():
    with pytest.raises(UsageError, match="the projector of 'srd' was not made"):
        SRD()(outputs(4), outputs(6), ROWS)
